"""Checkpoints: everything that a run needs to go on, in one file of `torch.save`.

    "about"       JSON: {"format": 1, "recipe": {...}, "identities": n, "data": SHA-256, "epoch": done, "best": value,
                         "step": done, "scaler": {...}}
    "network"     its state dictionary
    "optimizer"   moments by the number of the parameter

It holds weights and numbers, no names and no pictures. It is read with `weights_only`, which runs nothing that stands in the
file; PyTorch 1.13 then reads tensors and texts, but no floating-point numbers, hence the JSON.
"""

import json
import os
import pickle
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from facenet_training.files import save
from facenet_training.problem import Problem
from facenet_training.recipe import Recipe
from facenet_training.trainer import TrainerState

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A run after an epoch."""

    recipe: Recipe
    identities: int
    """The classifier's classes."""
    data: str
    """`folders.digest` of all people, held-out ones too."""
    epoch: int
    """Epochs done."""
    best: float | None
    """The best value of the measure that `best.pth` is chosen by. None where nothing was measured."""
    state: TrainerState

    def save(self, path: Path) -> None:
        """Written whole or not at all."""
        about = {
            "format": FORMAT,
            "recipe": asdict(self.recipe),
            "identities": self.identities,
            "data": self.data,
            "epoch": self.epoch,
            "best": self.best,
            "step": self.state.step,
            "scaler": self.state.scaler,
        }
        content = {"about": json.dumps(about), "network": self.state.network, "optimizer": self.state.optimizer}
        save(content, path)


def load(path: Path) -> Checkpoint:
    """Reads a checkpoint, its tensors into memory of the CPU."""
    content = _content(path)
    try:
        about = json.loads(content["about"])
        if about.pop("format") != FORMAT:
            raise Problem(f"{path}: a checkpoint of another format than {FORMAT}; use the version that wrote it")
        state = TrainerState(content["network"], content["optimizer"], about.pop("scaler"), about.pop("step"))
        return Checkpoint(Recipe(**about.pop("recipe")), state=state, **about)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise Problem(f"{path}: not a checkpoint; expected last.pth or best.pth of a run") from error


def _content(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise Problem(f"{path}: no such file", os.EX_NOINPUT) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise Problem(f"{path}: not a file of torch.save, or a damaged one: {first_line}") from error
