"""Pictures from files, in the network's size."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from facenet_training.problem import Problem

GREY = (128, 128, 128)
"""The borders, as in the tutorial and in `watchlistd`'s `fit = "letterbox"`."""


def open_picture(path: Path) -> Image.Image:
    """The whole picture, decoded, as 8-bit RGB."""
    try:
        with Image.open(path) as picture:
            return picture.convert("RGB")
    except FileNotFoundError as error:
        raise Problem(f"{path}: no such file", os.EX_NOINPUT) from error
    # Decoders raise nearly anything on a broken file: OSError, ValueError, SyntaxError, struct.error, ...
    except Exception as error:
        raise Problem(f"{path}: not a picture that can be read ({error}); remove or replace it") from error


def letterbox(picture: Image.Image, size: int) -> Image.Image:
    """Fits the picture into a square of `size` pixels: proportions kept, sides rounded down, in the middle, grey borders."""
    scale = min(size / picture.width, size / picture.height)
    # Down to whole pixels, but for what rounding takes from a side that fits exactly; one pixel at least.
    width, height = (max(1, min(size, int(side * scale + 1e-3))) for side in picture.size)
    square = Image.new("RGB", (size, size), GREY)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    square.paste(resized, ((size - width) // 2, (size - height) // 2))
    return square


def to_array(picture: Image.Image) -> np.ndarray:
    """What goes into the network: float32 [3, height, width], RGB, 0..1."""
    pixels = np.asarray(picture, dtype=np.float32) / 255.0
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
