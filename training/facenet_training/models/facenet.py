"""FaceNet (Schroff et al. 2015, arXiv:1503.03832), with the head that the tutorial gives it.

    pictures ─▶ backbone ─▶ average ─▶ Dropout ─▶ Bottleneck ─▶ last_bn ─┬─▶ L2 normalise ─▶ embedding
    [n,3,s,s]              [n,1024|1792]           [n,128]               └─▶ classifier ───▶ logits [n,identities]
"""

import torch
import torch.nn.functional as F
from torch import nn

from facenet_training.models import inception_resnet, mobilenet

DIMENSIONS = 128
"""Of an embedding."""

FAMILIES = {"mobilenet": "facenet-mobilenet", "inception_resnetv1": "facenet-inception-resnetv1"}
"""Backbones, and what `watchlistd models import --family` calls the FaceNet that has them."""

SMALLEST = {"mobilenet": 32, "inception_resnetv1": 75}
"""The smallest input, in pixels, that leaves something to average."""


class Backbone(nn.Module):
    """One level more, as the tutorial's keys begin with `backbone.model.`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.model(pictures)


class FaceNet(nn.Module):
    """The network. Without `identities` it has no classifier, as in use."""

    def __init__(self, backbone: str, identities: int | None = None, dropout: float = 0.5) -> None:
        super().__init__()
        if backbone == "mobilenet":
            self.backbone = Backbone(mobilenet.MobileNetV1())
            channels = mobilenet.CHANNELS
        elif backbone == "inception_resnetv1":
            self.backbone = Backbone(inception_resnet.InceptionResnetV1())
            channels = inception_resnet.CHANNELS
        else:
            raise ValueError(f"backbone {backbone}: expected one of {', '.join(FAMILIES)}")
        self.Dropout = nn.Dropout(dropout)
        self.Bottleneck = nn.Linear(channels, DIMENSIONS, bias=False)
        self.last_bn = nn.BatchNorm1d(DIMENSIONS, eps=0.001, momentum=0.1)
        if identities is not None:
            self.classifier = nn.Linear(DIMENSIONS, identities)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """float [n, 3, size, size], RGB, 0..1, to float [n, 128], not normalised yet."""
        pooled = self.backbone(pictures).mean(dim=(2, 3))
        return self.last_bn(self.Bottleneck(self.Dropout(pooled)))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """float [n, 3, size, size], RGB, 0..1, to embeddings, float [n, 128], of length 1."""
        return F.normalize(self.features(pictures), dim=1)

    def train_forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings as float32 [n, 128], also in mixed precision, and logits [n, identities]."""
        features = self.features(pictures)
        return F.normalize(features.float(), dim=1), self.classifier(features)
