"""Augmentation, with the tutorial's ranges."""

import numpy as np
from PIL import Image

from facenet_training.data.pictures import GREY

ASPECT = 0.1
"""Width and height are each scaled by 1 +- this, drawn apart."""
SCALE = (0.9, 1.1)
"""The longer side, as a part of the square's."""
ROTATION = 5.0
"""Degrees either way, for every second picture."""
HUE = 0.05
"""Turns of the colour circle either way."""
SATURATION = VALUE = 1.3
"""Multiplied or divided by at most this."""


def augment(picture: Image.Image, size: int, random: np.random.Generator) -> Image.Image:
    """A variant of the picture in a square of `size` pixels; the same one for the same state of `random`."""
    placed = _place(picture, size, random)
    if random.random() < 0.5:
        angle = random.uniform(-ROTATION, ROTATION)
        placed = placed.rotate(angle, Image.Resampling.BILINEAR, fillcolor=GREY)
    return _recolour(placed, random)


def _place(picture: Image.Image, size: int, random: np.random.Generator) -> Image.Image:
    """Jitters proportions and scale, mirrors every second picture, and puts it somewhere in or over the square."""
    jitter = random.uniform(1 - ASPECT, 1 + ASPECT) / random.uniform(1 - ASPECT, 1 + ASPECT)
    aspect = picture.width / picture.height * jitter
    longer = random.uniform(*SCALE) * size
    width = max(1, int(longer * min(1.0, aspect)))
    height = max(1, int(longer / max(1.0, aspect)))
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    if random.random() < 0.5:
        resized = resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Negative where the picture is larger than the square: it is cut there.
    left, top = (int(random.uniform(0, 1) * (size - side)) for side in (width, height))
    square = Image.new("RGB", (size, size), GREY)
    square.paste(resized, (left, top))
    return square


def _recolour(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Shifts the hue, scales saturation and value, by tables of 256 entries."""
    hue = random.uniform(-HUE, HUE)
    saturation, value = (_factor(most, random) for most in (SATURATION, VALUE))
    levels = np.arange(256)
    tables = [(levels + round(hue * 256)) % 256, *((levels * f).clip(0, 255) for f in (saturation, value))]
    table = np.concatenate(tables).astype(np.uint8).tolist()
    return picture.convert("HSV").point(table).convert("RGB")


def _factor(most: float, random: np.random.Generator) -> float:
    factor = random.uniform(1, most)
    return float(factor if random.random() < 0.5 else 1 / factor)
