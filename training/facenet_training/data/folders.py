"""Identity folders: one folder a person, as CASIA-WebFace and LFW are laid out.

    DATA/0000045/001.jpg      identity 0000045, two pictures
    DATA/0000045/002.jpg
    DATA/0000099/001.jpg      identity 0000099
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facenet_training.problem import Problem

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
"""What is taken for a picture, in lower or upper case."""


@dataclass(frozen=True)
class Identity:
    """A person: the folder's name, and the pictures in it, sorted by name; at least one."""

    name: str
    pictures: tuple[Path, ...]


@dataclass(frozen=True)
class Samples:
    """Pictures to train on: `labels[i]`, in 0..identities, says whose `pictures[i]` is."""

    pictures: tuple[Path, ...]
    labels: np.ndarray
    identities: int

    def with_shuffled_labels(self, seed: int) -> "Samples":
        """The same pictures and as many of each label, but the labels dealt out at random."""
        return Samples(self.pictures, np.random.default_rng(seed).permutation(self.labels), self.identities)


def read(folder: Path) -> list[Identity]:
    """All identities of a folder, sorted by name. Hidden files, other files and empty folders are passed over."""
    if not folder.is_dir():
        raise Problem(f"{folder}: not a folder; expected one with a folder of pictures for each person", os.EX_NOINPUT)
    identities = []
    for person in sorted(_visible(folder)):
        if person.is_dir():
            pictures = sorted(p for p in _visible(person) if p.suffix.lower() in SUFFIXES and p.is_file())
            if pictures:
                identities.append(Identity(person.name, tuple(pictures)))
    if not identities:
        raise Problem(f"{folder}: no pictures; expected {folder}/PERSON/PICTURE.jpg", os.EX_NOINPUT)
    return identities


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise Problem(f"{folder}: cannot be read: {error.strerror}", os.EX_NOINPUT) from error


def split(identities: Sequence[Identity], held_out: int, seed: int) -> tuple[list[Identity], list[Identity]]:
    """Splits people, never one person's pictures: (to train on, held out), each sorted by name.

    Same identities and seed give the same split. `held_out` is a number of people; they are chosen from those with two
    pictures or more, as nothing can be measured on others.
    """
    eligible = [i for i, identity in enumerate(identities) if len(identity.pictures) > 1]
    if held_out == 1 or held_out < 0:
        raise Problem(f"{held_out} people held out: expected 0, or 2 and more", os.EX_USAGE)
    if held_out > len(eligible) or held_out > len(identities) - 2:
        raise Problem(
            f"{held_out} of {len(identities)} people cannot be held out: {len(eligible)} of them have two pictures, and "
            f"two people are needed to train on"
        )
    chosen = {eligible[i] for i in np.random.default_rng(seed).permutation(len(eligible))[:held_out]}
    parts: tuple[list[Identity], list[Identity]] = ([], [])
    for i, identity in enumerate(identities):
        parts[i in chosen].append(identity)
    return parts


def samples(identities: Sequence[Identity]) -> Samples:
    """Numbers the identities in their order. There must be two, and one of them with two pictures."""
    if len(identities) < 2 or all(len(identity.pictures) < 2 for identity in identities):
        raise Problem("triplets need two people, one of them with two pictures; there are fewer")
    labels = [label for label, identity in enumerate(identities) for _ in identity.pictures]
    pictures = tuple(picture for identity in identities for picture in identity.pictures)
    return Samples(pictures, np.array(labels, dtype=np.int64), len(identities))


def digest(identities: Sequence[Identity]) -> str:
    """SHA-256 over the names of people and pictures: two sets with the same digest have the same split and labels."""
    hasher = hashlib.sha256()
    for identity in identities:
        for name in (identity.name, *(picture.name for picture in identity.pictures), ""):
            hasher.update(os.fsencode(name) + b"\0")
    return hasher.hexdigest()
