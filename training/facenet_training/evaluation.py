"""Verification: how well the network tells apart people it was not trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facenet_training.data.folders import Identity
from facenet_training.data.loading import load
from facenet_training.data.pictures import letterbox, open_picture, to_array
from facenet_training.metrics import Roc, fold_accuracies
from facenet_training.models.facenet import FaceNet
from facenet_training.problem import Problem

FARS = (1e-1, 1e-2, 1e-3)
"""False accept rates that the true accept rate is told at, where there are pairs enough."""

FOLDS = 10
CHUNK = 64
"""Pictures that go through the network at once."""

MOST_PICTURES = 20
"""Of one held-out person, so that nobody decides alone."""


@dataclass(frozen=True)
class Pairs:
    """Comparisons: pictures `first[i]` and `second[i]`, whether they are of one person, and the fold it is counted in."""

    pictures: tuple[Path, ...]
    first: np.ndarray
    second: np.ndarray
    mated: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True)
class Verification:
    """What was measured."""

    mated: int
    non_mated: int
    accuracy: float
    """Mean over the folds; see `metrics.fold_accuracies`."""
    deviation: float
    """Standard deviation over the folds."""
    tar: dict[float, float]
    """By FAR."""

    def __str__(self) -> str:
        rates = ", ".join(f"TAR {tar:.3f} at FAR {far:g}" for far, tar in self.tar.items())
        pairs = f"{self.mated} mated and {self.non_mated} non-mated pairs"
        return f"accuracy {self.accuracy:.4f} +- {self.deviation:.4f}, {rates} ({pairs})"


def all_pairs(identities: Sequence[Identity]) -> Pairs:
    """Each picture of these people with each other; of one person at most 20 pictures, spread over what there is."""
    chosen = [_spread(identity.pictures) for identity in identities]
    people = np.repeat(np.arange(len(chosen)), [len(pictures) for pictures in chosen])
    first, second = np.triu_indices(len(people), k=1)
    mated = people[first] == people[second]
    if mated.sum() < FOLDS or (~mated).sum() < FOLDS:
        raise Problem(f"{len(identities)} people give {mated.sum()} mated pairs: {FOLDS} and more are needed to measure")
    # Pairs of each kind are dealt out to the folds in turn, so that each has both.
    folds = np.empty(len(mated), dtype=np.int64)
    for kind in (mated, ~mated):
        folds[kind] = np.arange(kind.sum()) % FOLDS
    return Pairs(tuple(picture for pictures in chosen for picture in pictures), first, second, mated, folds)


def _spread(pictures: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(pictures) <= MOST_PICTURES:
        return pictures
    return tuple(pictures[i * len(pictures) // MOST_PICTURES] for i in range(MOST_PICTURES))


def embed(
    network: FaceNet, pictures: Sequence[Path], size: int, device: torch.device, workers: int = 0,
    done: Callable[[int], None] = lambda count: None,
) -> np.ndarray:  # fmt: skip
    """Embeddings, float32 [pictures, 128], of letterboxed pictures. The network is left in evaluation mode."""
    network.eval()
    chunks = [range(i, min(i + CHUNK, len(pictures))) for i in range(0, len(pictures), CHUNK)]
    embeddings = []
    with torch.inference_mode():
        for chunk in load(Letterboxed(pictures, size), chunks, stack, workers):
            embeddings.append(network(chunk.to(device)).float().cpu().numpy())
            done(len(chunk))
    return np.concatenate(embeddings)


class Letterboxed:
    """Pictures by number: float32 [3, size, size]."""

    def __init__(self, pictures: Sequence[Path], size: int):
        self._pictures, self._size = pictures, size

    def __getitem__(self, number: int) -> np.ndarray:
        return to_array(letterbox(open_picture(self._pictures[number]), self._size))


def stack(arrays: list[np.ndarray]) -> torch.Tensor:
    """[...] each to [n, ...]."""
    return torch.from_numpy(np.stack(arrays))


def scores(embeddings: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Cosine similarity of each pair, float32 [pairs], -1..1."""
    return np.einsum("ij,ij->i", embeddings[pairs.first], embeddings[pairs.second])


def verification(similarity: np.ndarray, pairs: Pairs) -> Verification:
    """What the scores of the pairs are worth."""
    accuracies = fold_accuracies(similarity, pairs.mated, pairs.folds)
    roc = Roc(similarity, pairs.mated)
    mated = int(pairs.mated.sum())
    non_mated = len(pairs.mated) - mated
    tar = {far: roc.tar_at(far) for far in FARS if far * non_mated >= 1}
    return Verification(mated, non_mated, float(accuracies.mean()), float(accuracies.std()), tar)
