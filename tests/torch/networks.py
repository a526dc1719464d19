"""The networks whose weights `watchlistd models import` reads, in PyTorch: what its tests compare with.

Written from the papers, with the module names that the public files of weights have; see docs/models.md.
"""

import torch
import torch.nn.functional as F
from torch import nn


def conv_bn(channels_in, channels_out, kernel, stride, activation, groups=1):
    """Convolution, batch normalisation and, if there is one, an activation, as a list of modules."""
    padding = kernel // 2
    layers = [
        nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(channels_out),
    ]
    return layers + ([activation()] if activation else [])


def separable(channels_in, channels_out, stride, activation):
    """Depthwise 3 x 3, then 1 x 1."""
    depthwise = conv_bn(channels_in, channels_in, 3, stride, activation, groups=channels_in)
    return nn.Sequential(*depthwise, *conv_bn(channels_in, channels_out, 1, 1, activation))


class MobileNet(nn.Module):
    """MobileNetV1 (Howard et al. 2017) without its classifier."""

    def __init__(self, width, activation):
        super().__init__()
        channels = width

        def stage(*blocks):
            nonlocal channels
            modules = []
            for widths, stride in blocks:
                modules.append(separable(channels, widths * width, stride, activation))
                channels = widths * width
            return modules

        first = nn.Sequential(*conv_bn(3, width, 3, 2, activation))
        self.stage1 = nn.Sequential(first, *stage((2, 1), (4, 2), (4, 1), (8, 2), (8, 1)))
        self.stage2 = nn.Sequential(*stage((16, 2), (16, 1), (16, 1), (16, 1), (16, 1), (16, 1)))
        self.stage3 = nn.Sequential(*stage((32, 2), (32, 1)))

    def forward(self, x):
        fine = self.stage1(x)
        middle = self.stage2(fine)
        return fine, middle, self.stage3(middle)


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, channels_in, channels_out, kernel, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels_out, eps=0.001)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Residual(nn.Module):
    """Branches side by side, brought back to the input's channels, scaled and added to it."""

    def __init__(self, channels, width, branches, scale, relu=True):
        super().__init__()
        for number, branch in enumerate(branches):
            setattr(self, f"branch{number}", branch)
        self.count, self.scale, self.relu = len(branches), scale, relu
        self.conv2d = nn.Conv2d(width, channels, 1)

    def forward(self, x):
        parts = [getattr(self, f"branch{number}")(x) for number in range(self.count)]
        y = self.conv2d(torch.cat(parts, 1)) * self.scale + x
        return F.relu(y) if self.relu else y


def block35():
    return Residual(
        256,
        96,
        [
            Unit(256, 32, 1),
            nn.Sequential(Unit(256, 32, 1), Unit(32, 32, 3, padding=1)),
            nn.Sequential(Unit(256, 32, 1), Unit(32, 32, 3, padding=1), Unit(32, 32, 3, padding=1)),
        ],
        0.17,
    )


def block17():
    long = nn.Sequential(
        Unit(896, 128, 1), Unit(128, 128, (1, 7), padding=(0, 3)), Unit(128, 128, (7, 1), padding=(3, 0))
    )
    return Residual(896, 256, [Unit(896, 128, 1), long], 0.10)


def block8(scale=0.20, relu=True):
    long = nn.Sequential(
        Unit(1792, 192, 1), Unit(192, 192, (1, 3), padding=(0, 1)), Unit(192, 192, (3, 1), padding=(1, 0))
    )
    return Residual(1792, 384, [Unit(1792, 192, 1), long], scale, relu)


class Reduction(nn.Module):
    """Branches and a maximum side by side, half as high and wide."""

    def __init__(self, *branches):
        super().__init__()
        for number, branch in enumerate(branches):
            setattr(self, f"branch{number}", branch)
        self.count = len(branches)

    def forward(self, x):
        parts = [getattr(self, f"branch{number}")(x) for number in range(self.count)]
        return torch.cat([*parts, F.max_pool2d(x, 3, 2)], 1)


class InceptionResnetV1(nn.Module):
    """Szegedy et al., AAAI 2017, with the channels of David Sandberg's FaceNet."""

    def __init__(self):
        super().__init__()
        self.conv2d_1a = Unit(3, 32, 3, 2)
        self.conv2d_2a = Unit(32, 32, 3)
        self.conv2d_2b = Unit(32, 64, 3, padding=1)
        self.conv2d_3b = Unit(64, 80, 1)
        self.conv2d_4a = Unit(80, 192, 3)
        self.conv2d_4b = Unit(192, 256, 3, 2)
        self.repeat_1 = nn.Sequential(*(block35() for _ in range(5)))
        self.mixed_6a = Reduction(
            Unit(256, 384, 3, 2),
            nn.Sequential(Unit(256, 192, 1), Unit(192, 192, 3, padding=1), Unit(192, 256, 3, 2)),
        )
        self.repeat_2 = nn.Sequential(*(block17() for _ in range(10)))
        self.mixed_7a = Reduction(
            nn.Sequential(Unit(896, 256, 1), Unit(256, 384, 3, 2)),
            nn.Sequential(Unit(896, 256, 1), Unit(256, 256, 3, 2)),
            nn.Sequential(Unit(896, 256, 1), Unit(256, 256, 3, padding=1), Unit(256, 256, 3, 2)),
        )
        self.repeat_3 = nn.Sequential(*(block8() for _ in range(5)))
        self.block8 = block8(scale=1.0, relu=False)

    def forward(self, x):
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(F.max_pool2d(x, 3, 2))))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        return self.block8(self.repeat_3(self.mixed_7a(x)))


class Backbone(nn.Module):
    """Only for the names: its parameters are under `model`."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        features = self.model(x)
        return features[-1] if isinstance(features, tuple) else features


class FaceNet(nn.Module):
    """Schroff et al., CVPR 2015: an embedding of 128 numbers and length 1."""

    def __init__(self, model, channels):
        super().__init__()
        self.backbone = Backbone(model)
        self.Bottleneck = nn.Linear(channels, 128, bias=False)
        self.last_bn = nn.BatchNorm1d(128, eps=0.001)

    def forward(self, x):
        features = self.backbone(x).mean((2, 3))
        return F.normalize(self.last_bn(self.Bottleneck(features)))


def leaky():
    return nn.LeakyReLU(0.1)


class Pyramid(nn.Module):
    def __init__(self):
        super().__init__()
        for number, channels in enumerate((64, 128, 256), 1):
            setattr(self, f"output{number}", nn.Sequential(*conv_bn(channels, 64, 1, 1, leaky)))
        self.merge1 = nn.Sequential(*conv_bn(64, 64, 3, 1, leaky))
        self.merge2 = nn.Sequential(*conv_bn(64, 64, 3, 1, leaky))

    def forward(self, maps):
        fine, middle, coarse = self.output1(maps[0]), self.output2(maps[1]), self.output3(maps[2])
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return fine, middle, coarse


class Context(nn.Module):
    """SSH (Najibi et al., ICCV 2017)."""

    def __init__(self):
        super().__init__()
        self.conv3X3 = nn.Sequential(*conv_bn(64, 32, 3, 1, None))
        self.conv5X5_1 = nn.Sequential(*conv_bn(64, 16, 3, 1, leaky))
        self.conv5X5_2 = nn.Sequential(*conv_bn(16, 16, 3, 1, None))
        self.conv7X7_2 = nn.Sequential(*conv_bn(16, 16, 3, 1, leaky))
        self.conv7x7_3 = nn.Sequential(*conv_bn(16, 16, 3, 1, None))

    def forward(self, x):
        first = self.conv5X5_1(x)
        parts = [self.conv3X3(x), self.conv5X5_2(first), self.conv7x7_3(self.conv7X7_2(first))]
        return F.relu(torch.cat(parts, 1))


class Head(nn.Module):
    def __init__(self, numbers):
        super().__init__()
        self.numbers = numbers
        self.conv1x1 = nn.Conv2d(64, 2 * numbers, 1)

    def forward(self, x):
        return self.conv1x1(x).permute(0, 2, 3, 1).reshape(len(x), -1, self.numbers)


class RetinaFace(nn.Module):
    """Deng et al., CVPR 2020, on a MobileNet of a quarter of the width."""

    def __init__(self):
        super().__init__()
        self.body = MobileNet(8, leaky)
        self.fpn = Pyramid()
        self.ssh1, self.ssh2, self.ssh3 = Context(), Context(), Context()
        self.ClassHead = nn.ModuleList(Head(2) for _ in range(3))
        self.BboxHead = nn.ModuleList(Head(4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(Head(10) for _ in range(3))

    def forward(self, x):
        maps = self.fpn(self.body(x))
        maps = [ssh(map) for ssh, map in zip((self.ssh1, self.ssh2, self.ssh3), maps)]

        def joined(heads):
            return torch.cat([head(map) for head, map in zip(heads, maps)], 1)

        return {
            "loc": joined(self.BboxHead),
            "conf": F.softmax(joined(self.ClassHead), -1),
            "landmarks": joined(self.LandmarkHead),
        }


def networks():
    """Each network by its name on the command line."""
    return {
        "facenet-mobilenet": FaceNet(MobileNet(32, nn.ReLU6), 1024),
        "facenet-inception-resnetv1": FaceNet(InceptionResnetV1(), 1792),
        "retinaface-mobilenet": RetinaFace(),
    }
