"""One step after the other.

    Batch ─▶ network ─┬─ embeddings ─▶ triplet loss ─┐
                      └─ logits ─▶ cross-entropy ────┴─▶ sum ─▶ gradients ─▶ (unscale, clip) ─▶ optimiser

State: the network, the optimiser's moments, the scaler of gradients, and the number of steps done. All of it goes into a
checkpoint.
"""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from facenet_training.data.triplets import Batch
from facenet_training.loss import triplet_loss
from facenet_training.models.facenet import FaceNet
from facenet_training.problem import Problem
from facenet_training.recipe import Recipe
from facenet_training.schedule import learning_rate


@dataclass(frozen=True)
class StepReport:
    """What a step did."""

    triplet: float
    """The triplet loss."""
    cross_entropy: float
    accuracy: float
    """Part of the batch that the classifier gets right, 0..1."""
    triplets: int
    """How many of them counted."""
    learning_rate: float


@dataclass(frozen=True)
class TrainerState:
    """What a trainer goes on from."""

    network: dict[str, torch.Tensor]
    """Its state dictionary."""
    optimizer: dict[int, dict[str, Any]]
    """Moments, by the number of the parameter. Rates and the like follow from the recipe."""
    scaler: dict[str, float]
    """Of gradients; empty without mixed precision."""
    step: int


class Trainer:
    """A network that is being trained."""

    def __init__(self, recipe: Recipe, identities: int, steps: int, device: torch.device):
        """`steps` is the length of the whole run, which the learning rate follows."""
        self._recipe, self._steps, self._device = recipe, steps, device
        self.network = untrained(recipe, identities).to(device)
        self._optimizer = _optimizer(recipe, self.network)
        self._scaler = gradient_scaler(device) if recipe.amp else None
        self.step = 0

    def epoch(self, number: int, batches: Iterable[Batch]) -> Iterator[StepReport]:
        """Takes one step a batch. What is random in it (dropout) follows from the seed and the epoch's number."""
        torch.manual_seed(_seed(self._recipe.seed, number))
        self.network.train()
        for batch in batches:
            yield self._take(batch)

    def _take(self, batch: Batch) -> StepReport:
        recipe = self._recipe
        rate = learning_rate(self.step, self._steps, recipe.peak, recipe.warm_up)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        pictures = batch.pictures.to(self._device, non_blocking=True)
        labels = batch.labels.to(self._device, non_blocking=True)
        with torch.autocast(self._device.type, dtype=torch.float16) if recipe.amp else nullcontext():
            embeddings, logits = self.network.train_forward(pictures)
        triplet = triplet_loss(embeddings, labels, recipe.margin, recipe.mining)
        cross_entropy = F.cross_entropy(logits.float(), labels)
        self._descend(triplet.mean + cross_entropy)
        self.step += 1
        accuracy = (logits.argmax(dim=1) == labels).float().mean()
        return StepReport(triplet.mean.item(), cross_entropy.item(), accuracy.item(), triplet.triplets, rate)

    def _descend(self, loss: torch.Tensor) -> None:
        if not math.isfinite(loss.item()):
            raise Problem(f"step {self.step}: the loss is {loss.item()}; lower --learning-rate, or set --clip 1")
        self._optimizer.zero_grad(set_to_none=True)
        if self._scaler is None:
            loss.backward()
            self._clip()
            self._optimizer.step()
            return
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        self._clip()
        # Left out where a gradient is beyond float16; the scale is then lowered.
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def _clip(self) -> None:
        if self._recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._recipe.clip)

    def state(self) -> TrainerState:
        """For a checkpoint."""
        scaler = self._scaler.state_dict() if self._scaler else {}
        return TrainerState(self.network.state_dict(), self._optimizer.state_dict()["state"], scaler, self.step)

    def restore(self, state: TrainerState) -> None:
        """Goes on from `state()` of a trainer with the same recipe and identities."""
        self.network.load_state_dict(state.network)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state.optimizer, "param_groups": groups})
        if self._scaler:
            self._scaler.load_state_dict(state.scaler)
        self.step = state.step


def gradient_scaler(device: torch.device) -> torch.cuda.amp.GradScaler:
    """For mixed precision: keeps small gradients above the least that float16 can hold."""
    if device.type != "cuda":
        raise Problem("--amp needs a GPU, and this run is on the CPU: leave it out", os.EX_USAGE)
    return torch.cuda.amp.GradScaler()


def untrained(recipe: Recipe, identities: int) -> FaceNet:
    """The network that a run with this recipe begins with: weights as PyTorch draws them from the seed."""
    torch.manual_seed(recipe.seed)
    return FaceNet(recipe.backbone, identities, recipe.dropout)


def _optimizer(recipe: Recipe, network: FaceNet) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), recipe.peak, weight_decay=recipe.decay)
    return torch.optim.SGD(network.parameters(), recipe.peak, momentum=0.9, nesterov=True, weight_decay=recipe.decay)


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])
