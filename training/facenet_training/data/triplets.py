"""The stream of triplets that a run trains on.

    seed, number ──▶ anchor, positive: two pictures of one person
                     negative: a picture of another            each augmented

Triplet `number` of a run follows from the seed and the number alone: not from the triplets before it, nor from how many
worker processes there are. So a run that is resumed at a step sees what it would have seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from facenet_training.data.augment import augment
from facenet_training.data.folders import Samples
from facenet_training.data.loading import load
from facenet_training.data.pictures import letterbox, open_picture, to_array


@dataclass(frozen=True)
class Batch:
    """A third anchors, a third positives, a third negatives, in the same order."""

    pictures: torch.Tensor
    """float32 [n, 3, size, size], RGB, 0..1; n is a multiple of 3."""
    labels: torch.Tensor
    """int64 [n]."""


class Triplets:
    """Triplets by number, without an end: float32 [3, 3, size, size] and labels, int64 [3]."""

    def __init__(self, samples: Samples, size: int, seed: int, augmented: bool = True):
        self._samples, self._size, self._seed, self._augmented = samples, size, seed, augmented
        counts = np.bincount(samples.labels, minlength=samples.identities)
        order = np.argsort(samples.labels, kind="stable")
        self._pictures_of = np.split(order, np.cumsum(counts)[:-1])
        self._with_pairs = np.flatnonzero(counts > 1)
        self._with_any = np.flatnonzero(counts > 0)

    def draw(self, number: int) -> tuple[np.ndarray, np.random.Generator]:
        """Which pictures, int64 [3]: anchor, positive, negative; and the generator for what else is drawn."""
        random = np.random.default_rng((self._seed, number))
        person = random.choice(self._with_pairs)
        other = random.choice(self._with_any[self._with_any != person])
        anchor, positive = random.choice(self._pictures_of[person], 2, replace=False)
        return np.array([anchor, positive, random.choice(self._pictures_of[other])]), random

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        chosen, random = self.draw(number)
        return np.stack([self._picture(i, random) for i in chosen]), self._samples.labels[chosen]

    def _picture(self, i: int, random: np.random.Generator) -> np.ndarray:
        picture = open_picture(self._samples.pictures[i])
        return to_array(augment(picture, self._size, random) if self._augmented else letterbox(picture, self._size))


def batches(triplets: Triplets, first: int, last: int, per_batch: int, workers: int = 0) -> Iterator[Batch]:
    """Batches `first..last` of the run, of `per_batch` triplets each. Raises the `Problem` of a broken picture."""
    numbers = [range(step * per_batch, (step + 1) * per_batch) for step in range(first, last)]
    return load(triplets, numbers, _stack, workers)


def _stack(drawn: list[tuple[np.ndarray, np.ndarray]]) -> Batch:
    pictures = np.stack([pictures for pictures, _ in drawn], axis=1)
    labels = np.stack([labels for _, labels in drawn], axis=1)
    return Batch(torch.from_numpy(pictures.reshape(-1, *pictures.shape[2:])), torch.from_numpy(labels.reshape(-1)))
