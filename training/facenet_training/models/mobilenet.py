"""MobileNetV1 (Howard et al. 2017, arXiv:1704.04861) without its classifier."""

import torch
from torch import nn

CHANNELS = 1024
"""Of what comes out."""

STAGE1 = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))
STAGE2 = ((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1))
STAGE3 = ((1024, 2), (1024, 1))
"""Blocks: channels that come out, and stride."""


class MobileNetV1(nn.Module):
    """[n, 3, height, width] to [n, 1024, height/32, width/32], rounded up."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6())
        self.stage1 = nn.Sequential(first, *_blocks(32, STAGE1))
        self.stage2 = nn.Sequential(*_blocks(256, STAGE2))
        self.stage3 = nn.Sequential(*_blocks(512, STAGE3))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.stage3(self.stage2(self.stage1(pictures)))


def _blocks(channels: int, blocks: tuple[tuple[int, int], ...]) -> list[nn.Module]:
    widths = [channels, *(width for width, _ in blocks)]
    return [_separable(before, width, stride) for before, (width, stride) in zip(widths, blocks)]


def _separable(before: int, after: int, stride: int) -> nn.Sequential:
    """A 3 x 3 convolution of each channel by itself, then a 1 x 1 convolution across them."""
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False),
        nn.BatchNorm2d(before),
        nn.ReLU6(),
        nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU6(),
    )
