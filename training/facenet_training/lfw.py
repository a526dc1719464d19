"""LFW's pairs (Huang et al. 2007; `pairs.txt`, view 2).

    10      300                                   folds, and pairs of each kind in one
    Abel_Pacheco    1       4                     mated: one person, two numbers of pictures
    Abdel_Madi_Shabneh  1   Dean_Barker     1     non-mated
"""

import os
from pathlib import Path

import numpy as np

from facenet_training.evaluation import Pairs
from facenet_training.problem import Problem

SUFFIXES = (".jpg", ".png")


def read(folder: Path, pairs_file: Path) -> Pairs:
    """The pairs of the file, with the pictures of LFW's folders. A picture that is not there is an error, not left out."""
    try:
        lines = pairs_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{pairs_file}: cannot be read: {error}", os.EX_NOINPUT) from error
    folds, per_kind = _header(pairs_file, lines)
    rows = [(number, line.split()) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    if len(rows) != folds * per_kind * 2:
        raise Problem(f"{pairs_file}: {len(rows)} pairs; its first line says {folds} x 2 x {per_kind}")
    pictures: dict[Path, int] = {}
    ends = []
    for number, fields in rows:
        ends.append([pictures.setdefault(path, len(pictures)) for path in _pair(folder, pairs_file, number, fields)])
    first, second = np.array(ends, dtype=np.int64).T
    mated = np.array([len(fields) == 3 for _, fields in rows])
    by_fold = mated.reshape(folds, -1).sum(axis=1)
    for fold in np.flatnonzero(by_fold != per_kind):
        raise Problem(f"{pairs_file}: fold {fold + 1} has {by_fold[fold]} mated pairs; its first line says {per_kind}")
    return Pairs(tuple(pictures), first, second, mated, np.arange(len(rows)) // (per_kind * 2))


def _header(pairs_file: Path, lines: list[str]) -> tuple[int, int]:
    fields = lines[0].split() if lines else []
    if len(fields) != 2 or not all(field.isdecimal() and int(field) > 0 for field in fields) or int(fields[0]) < 2:
        raise Problem(f"{pairs_file}: its first line is not FOLDS PAIRS, as in '10 300'")
    return int(fields[0]), int(fields[1])


def _pair(folder: Path, pairs_file: Path, number: int, fields: list[str]) -> tuple[Path, Path]:
    """(name, n, n) or (name, n, name, n)."""
    if len(fields) not in (3, 4) or not (fields[1] + fields[-1]).isdecimal():
        raise Problem(f"{pairs_file}, line {number}: expected NAME N N, or NAME N NAME N")
    other = fields[0] if len(fields) == 3 else fields[2]
    return _picture(folder, fields[0], int(fields[1])), _picture(folder, other, int(fields[-1]))


def _picture(folder: Path, name: str, number: int) -> Path:
    paths = [folder / name / f"{name}_{number:04}{suffix}" for suffix in SUFFIXES]
    for path in paths:
        if path.is_file():
            return path
    raise Problem(f"{paths[0]}: not there; --lfw is the folder that has a folder for each person of LFW", os.EX_NOINPUT)
