"""From a checkpoint to a model of watchlistd.

    best.pth ─▶ NAME.pth: the weights, without optimiser and classifier
                  └─ watchlistd models import ─▶ NAME.onnx, NAME.toml (the draft of its manifest)
"""

import os
import subprocess
from collections import OrderedDict
from pathlib import Path

import torch

from facenet_training.checkpoint import Checkpoint
from facenet_training.files import save
from facenet_training.models.facenet import FAMILIES
from facenet_training.problem import Problem

SIZE = 160
"""Of the input that `watchlistd models import` writes for these networks."""


def export(checkpoint: Checkpoint, weights: Path, watchlistd: Path, force: bool) -> str:
    """Writes `weights` (.pth) and has `watchlistd` make the ONNX file and the manifest beside it. What it said of them."""
    if checkpoint.recipe.size != SIZE:
        size = checkpoint.recipe.size
        raise Problem(f"the run was at {size} x {size} pixels; watchlistd runs these networks at {SIZE}: --size {SIZE}")
    if weights.exists() and not force:
        raise Problem(f"{weights}: is there already; --force writes over it", os.EX_CANTCREAT)
    save(inference_state(checkpoint), weights)
    family = FAMILIES[checkpoint.recipe.backbone]
    command = [str(watchlistd), "models", "import", "--family", family, str(weights), *(["--force"] if force else [])]
    return _run(command)


def inference_state(checkpoint: Checkpoint) -> "OrderedDict[str, torch.Tensor]":
    """The network's weights by the tutorial's names, without the classifier."""
    weights = checkpoint.state.network.items()
    return OrderedDict((key, value) for key, value in weights if not key.startswith("classifier."))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Problem(f"{command[0]}: cannot be run: {error.strerror}; name the program with --watchlistd") from error
    if done.returncode != 0:
        said = done.stderr.strip() or "nothing said"
        raise Problem(f"{' '.join(command)}: exit status {done.returncode}: {said}", os.EX_UNAVAILABLE)
    return done.stdout
