"""Trains FaceNet for watchlistd.

A package outside the daemon: it shares no code with it, and hands over one file of weights.

    data/         identity folders, pictures, augmentation, the stream of triplets
    models/       FaceNet on MobileNetV1 or Inception-ResNetV1, with the tutorial's names of weights
    loss.py       distances, which triplets count, the loss
    trainer.py    one step after the other
    run.py        epochs: evaluation, event file, checkpoints
    evaluation.py similarity scores of held-out people, or of LFW's pairs
    export.py     checkpoint to weights, and `watchlistd models import`
    demonstrate.py does training on few people help with others, and is it the labels that do it?
"""
