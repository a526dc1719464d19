"""Inception-ResNet-v1 (Szegedy et al. 2016, arXiv:1602.07261), in the variant that FaceNets use.

    stem ─▶ 5 x Block35 ─▶ Mixed_6a ─▶ 10 x Block17 ─▶ Mixed_7a ─▶ 5 x Block8 ─▶ Block8, linear
     256      256            896          896            1792         1792          1792   channels
"""

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = 1792
"""Of what comes out."""

Side = int | tuple[int, int]


class Unit(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, before: int, after: int, kernel: Side, stride: int = 1, padding: Side = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001, momentum=0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


class Branches(nn.Module):
    """Modules `branch0`, `branch1`, ... side by side; what they give is concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self._names = [f"branch{number}" for number in range(len(branches))]
        for name, branch in zip(self._names, branches):
            self.add_module(name, branch)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.get_submodule(name)(x) for name in self._names], dim=1)


class Residual(Branches):
    """Branches, a 1 x 1 convolution back to the input's channels, scaled and added to the input."""

    def __init__(self, channels: int, width: int, scale: float, *branches: nn.Module, relu: bool = True) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(width, channels, 1)
        self._scale, self._relu = scale, relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added = x + self._scale * self.conv2d(super().forward(x))
        return F.relu(added) if self._relu else added


def _block35() -> Residual:
    return Residual(
        256, 96, 0.17,
        Unit(256, 32, 1),
        nn.Sequential(Unit(256, 32, 1), Unit(32, 32, 3, padding=1)),
        nn.Sequential(Unit(256, 32, 1), Unit(32, 32, 3, padding=1), Unit(32, 32, 3, padding=1)),
    )  # fmt: skip


def _block17() -> Residual:
    along = nn.Sequential(Unit(896, 128, 1), Unit(128, 128, (1, 7), padding=(0, 3)), Unit(128, 128, (7, 1), padding=(3, 0)))
    return Residual(896, 256, 0.10, Unit(896, 128, 1), along)


def _block8(scale: float = 0.20, relu: bool = True) -> Residual:
    along = nn.Sequential(Unit(1792, 192, 1), Unit(192, 192, (1, 3), padding=(0, 1)), Unit(192, 192, (3, 1), padding=(1, 0)))
    return Residual(1792, 384, scale, Unit(1792, 192, 1), along, relu=relu)


def _mixed_6a() -> Branches:
    return Branches(
        Unit(256, 384, 3, stride=2),
        nn.Sequential(Unit(256, 192, 1), Unit(192, 192, 3, padding=1), Unit(192, 256, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


def _mixed_7a() -> Branches:
    return Branches(
        nn.Sequential(Unit(896, 256, 1), Unit(256, 384, 3, stride=2)),
        nn.Sequential(Unit(896, 256, 1), Unit(256, 256, 3, stride=2)),
        nn.Sequential(Unit(896, 256, 1), Unit(256, 256, 3, padding=1), Unit(256, 256, 3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


class InceptionResnetV1(nn.Module):
    """[n, 3, height, width] to [n, 1792, rows, columns]; 3 x 3 of these from 160 x 160. Sides of 75 pixels or more."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = Unit(3, 32, 3, stride=2)
        self.conv2d_2a = Unit(32, 32, 3)
        self.conv2d_2b = Unit(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = Unit(64, 80, 1)
        self.conv2d_4a = Unit(80, 192, 3)
        self.conv2d_4b = Unit(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(_block35() for _ in range(5)))
        self.mixed_6a = _mixed_6a()
        self.repeat_2 = nn.Sequential(*(_block17() for _ in range(10)))
        self.mixed_7a = _mixed_7a()
        self.repeat_3 = nn.Sequential(*(_block8() for _ in range(5)))
        self.block8 = _block8(scale=1.0, relu=False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        # Children stand in the order in which they run.
        x = pictures
        for child in self.children():
            x = child(x)
        return x
