"""Pictures and folders for tests: drawn, of nobody."""

import tempfile
import unittest
from pathlib import Path

import numpy as np
from PIL import Image


def draw_people(folder: Path, people: int, pictures: int, size: int = 40) -> None:
    """People as colours and stripes of their own; pictures of one of them differ by noise."""
    random = np.random.default_rng(7)
    for person in range(people):
        pattern = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        (folder / f"p{person:02}").mkdir(parents=True)
        for picture in range(pictures):
            pixels = np.asarray(Image.fromarray(pattern).resize((size, size)), dtype=np.int64)
            noisy = (pixels + random.integers(-20, 21, pixels.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"p{person:02}" / f"{picture}.png")


class InFolder(unittest.TestCase):
    """A test with a folder of its own, `self.folder`."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
