import unittest
from typing import Any

import torch

from facenet_training.models.facenet import SMALLEST, FaceNet

# The published networks: MobileNetV1 of 1,000 classes has 4,231,976 parameters, 1,025,000 of them its classifier's;
# FaceNet's Inception-ResNet-v1 with a bottleneck of 512 has 23,482,624, 918,528 of them behind the backbone.
BACKBONES = {
    "mobilenet": (4_231_976 - 1_025_000, 1024),
    "inception_resnetv1": (23_482_624 - 918_528, 1792),
}

KEYS = {
    "mobilenet": {
        "backbone.model.stage1.0.0.weight": (32, 3, 3, 3),
        "backbone.model.stage1.0.1.running_var": (32,),
        "backbone.model.stage1.1.0.weight": (32, 1, 3, 3),
        "backbone.model.stage1.1.3.weight": (64, 32, 1, 1),
        "backbone.model.stage2.5.3.weight": (512, 512, 1, 1),
        "backbone.model.stage3.1.4.bias": (1024,),
        "Bottleneck.weight": (128, 1024),
    },
    "inception_resnetv1": {
        "backbone.model.conv2d_1a.conv.weight": (32, 3, 3, 3),
        "backbone.model.conv2d_4b.bn.running_mean": (256,),
        "backbone.model.repeat_1.4.branch2.2.conv.weight": (32, 32, 3, 3),
        "backbone.model.repeat_1.0.conv2d.bias": (256,),
        "backbone.model.mixed_6a.branch1.2.conv.weight": (256, 192, 3, 3),
        "backbone.model.repeat_2.9.branch1.1.conv.weight": (128, 128, 1, 7),
        "backbone.model.mixed_7a.branch2.2.bn.weight": (256,),
        "backbone.model.repeat_3.4.branch1.2.conv.weight": (192, 192, 3, 1),
        "backbone.model.block8.conv2d.weight": (1792, 384, 1, 1),
        "Bottleneck.weight": (128, 1792),
    },
}

HEAD = {
    "last_bn.weight": (128,),
    "last_bn.running_var": (128,),
    "classifier.weight": (7, 128),
    "classifier.bias": (7,),
}


class FaceNets(unittest.TestCase):
    def test_have_the_published_numbers_of_parameters(self) -> None:
        for backbone, (parameters, channels) in BACKBONES.items():
            network = FaceNet(backbone)
            self.assertEqual(sum(p.numel() for p in network.backbone.parameters()), parameters)
            self.assertEqual(sum(p.numel() for p in network.parameters()), parameters + channels * 128 + 256)

    def test_have_the_tutorials_keys(self) -> None:
        for backbone, expected in KEYS.items():
            state = FaceNet(backbone, identities=7).state_dict()
            for key, shape in {**expected, **HEAD}.items():
                self.assertEqual(tuple(state[key].shape), shape, key)
            self.assertNotIn("Bottleneck.bias", state)
            self.assertEqual({key.split(".")[0] for key in state}, {"backbone", "Bottleneck", "last_bn", "classifier"})

    def test_give_128_numbers_of_length_1_also_from_the_smallest_input(self) -> None:
        for backbone, smallest in SMALLEST.items():
            # With its statistics of nothing, an untrained network of many layers gives next to nothing.
            network = FaceNet(backbone).train()
            for size in (smallest, 160):
                with torch.no_grad():
                    embeddings = network(torch.rand(4, 3, size, size))
                self.assertEqual(embeddings.shape, (4, 128))
                self.assertTrue(torch.allclose(embeddings.norm(dim=1), torch.ones(4), atol=1e-5))
        with self.assertRaises(RuntimeError), torch.no_grad():
            network(torch.rand(2, 3, smallest - 1, smallest - 1))

    def test_drop_nothing_out_in_use_and_half_in_training(self) -> None:
        network = FaceNet("mobilenet", identities=3)
        pictures = torch.rand(4, 3, 64, 64)
        network.train()
        self.assertFalse(torch.equal(network.features(pictures), network.features(pictures)))
        network.eval()
        self.assertTrue(torch.equal(network(pictures), network(pictures)))
        self.assertEqual(network.Dropout.p, 0.5)

    def test_classify_what_is_not_normalised_yet(self) -> None:
        network = FaceNet("mobilenet", identities=3).eval()
        pictures = torch.rand(2, 3, 64, 64)
        embeddings, logits = network.train_forward(pictures)
        self.assertTrue(torch.allclose(logits, network.classifier(network.features(pictures))))
        self.assertTrue(torch.allclose(embeddings, network(pictures)))

    def test_normalise_with_the_tutorials_constants(self) -> None:
        norm = FaceNet("mobilenet").last_bn
        self.assertEqual((norm.eps, norm.momentum), (0.001, 0.1))
        model: Any = FaceNet("inception_resnetv1").backbone.model
        self.assertEqual({m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)}, {0.001})
        scales = [block._scale for block in (model.repeat_1[0], model.repeat_2[0], model.repeat_3[0], model.block8)]
        self.assertEqual(scales, [0.17, 0.10, 0.20, 1.0])

    def test_of_another_name_are_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "mobilenet, inception_resnetv1"):
            FaceNet("resnet")
