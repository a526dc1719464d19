"""FaceNet and its backbones.

Names of modules, and so the keys of a state dictionary, are those of bubbliiiing/facenet-pytorch: its files of weights load
here, and ours load there and in `watchlistd models import`.
"""
