"""A run: epochs, each with an evaluation, its place in the event file, and checkpoints.

    OUTPUT/last.pth                 after each epoch
    OUTPUT/best.pth                 after each epoch that was better than all before
    OUTPUT/events.out.tfevents.*    for TensorBoard
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from facenet_training import checkpoint
from facenet_training.checkpoint import Checkpoint
from facenet_training.data.folders import Identity, digest, samples, split
from facenet_training.data.triplets import Batch, Triplets, batches
from facenet_training.evaluation import Pairs, Verification, all_pairs, embed, scores, verification
from facenet_training.event_file import EventFile
from facenet_training.models.facenet import FaceNet
from facenet_training.problem import Problem
from facenet_training.progress import Progress
from facenet_training.recipe import Recipe
from facenet_training.trainer import StepReport, Trainer


@dataclass(frozen=True)
class Setting:
    """Where and how a run is done; its result depends on none of it, but for a GPU's rounding."""

    output: Path
    device: torch.device
    workers: int = 0
    report: Callable[[str], None] = print


class Run:
    """A run over identities, from the start or from its last checkpoint."""

    def __init__(self, recipe: Recipe, identities: list[Identity], lfw: Pairs | None, setting: Setting):
        self._recipe, self._setting = recipe, setting
        trained, held_out = split(identities, recipe.held_out, recipe.seed)
        self._samples = samples(trained)
        self._data = digest(identities)
        self._pairs = lfw if lfw is not None else all_pairs(held_out) if held_out else None
        # LFW's own measure; held-out people have too few pairs for an accuracy to be fine enough.
        self._measure = _accuracy if lfw is not None else _tar
        self._per_epoch = recipe.steps_per_epoch(len(self._samples.pictures))
        self._steps = self._per_epoch * recipe.epochs
        self._trainer = Trainer(recipe, self._samples.identities, self._steps, setting.device)
        self._done = 0
        self._best: float | None = None

    @property
    def last(self) -> Path:
        """The checkpoint that a run goes on from."""
        return self._setting.output / "last.pth"

    def resume(self) -> None:
        """Goes on after the last epoch that was done."""
        stored = checkpoint.load(self.last)
        if stored.data != self._data:
            raise Problem(f"{self.last}: was trained on other people or pictures than these; name the same folder")
        if stored.recipe != self._recipe:
            raise Problem(f"{self.last}: {_difference(stored.recipe, self._recipe)}; a run is resumed with the same recipe")
        self._trainer.restore(stored.state)
        self._done, self._best = stored.epoch, stored.best

    def go(self) -> None:
        """Trains until the last epoch is done."""
        recipe, setting = self._recipe, self._setting
        people, pictures = self._samples.identities, len(self._samples.pictures)
        setting.report(f"{people} people, {pictures} pictures, {self._per_epoch} steps an epoch, on {setting.device}")
        triplets = Triplets(self._samples, recipe.size, recipe.seed, recipe.augmented)
        stream = batches(triplets, self._trainer.step, self._steps, recipe.batch // 3, setting.workers)
        with closing(EventFile(setting.output, self._trainer.step)) as events:
            for epoch in range(self._done, recipe.epochs):
                self._epoch(epoch, stream, events)
                self._evaluate(epoch, events)
                events.flush()
                self._save(self.last)

    def _epoch(self, epoch: int, stream: Iterator[Batch], events: EventFile) -> None:
        reports = []
        with Progress(f"epoch {epoch + 1}/{self._recipe.epochs}", self._per_epoch) as progress:
            for report in self._trainer.epoch(epoch, islice(stream, self._per_epoch)):
                reports.append(report)
                events.scalars(self._trainer.step, _tags(report))
                progress.advance(note=_note(report))
        count = len(reports)
        triplet, entropy, accuracy = (
            sum(values) / count for values in zip(*((r.triplet, r.cross_entropy, r.accuracy) for r in reports))
        )
        self._done = epoch + 1
        self._setting.report(
            f"epoch {epoch + 1}: triplet loss {triplet:.4f}, cross-entropy {entropy:.4f}, accuracy {accuracy:.3f}"
        )

    def _evaluate(self, epoch: int, events: EventFile) -> None:
        if self._pairs is None:
            return
        measured = measure(self._trainer.network, self._pairs, self._recipe, self._setting)
        events.scalars(self._trainer.step, _verification_tags(measured))
        self._setting.report(f"epoch {epoch + 1}: {measured}")
        value = self._measure(measured)
        if self._best is None or value > self._best:
            self._best = value
            self._save(self._setting.output / "best.pth")

    def _save(self, path: Path) -> None:
        state = self._trainer.state()
        Checkpoint(self._recipe, self._samples.identities, self._data, self._done, self._best, state).save(path)


def measure(network: FaceNet, pairs: Pairs, recipe: Recipe, setting: Setting) -> Verification:
    """Verification on these pairs."""
    with Progress("evaluation", len(pairs.pictures)) as progress:
        embeddings = embed(network, pairs.pictures, recipe.size, setting.device, setting.workers, progress.advance)
    return verification(scores(embeddings, pairs), pairs)


def prepare_output(folder: Path, resume: bool) -> None:
    """Nobody's run is written over, and none is resumed that is not there."""
    last = folder / "last.pth"
    if resume and not last.is_file():
        raise Problem(f"{last}: not there: nothing to resume", os.EX_NOINPUT)
    if not resume and last.exists():
        raise Problem(f"{last}: is there already: go on with --resume, or name another --output", os.EX_CANTCREAT)


def _difference(stored: Recipe, asked: Recipe) -> str:
    pairs = zip(dataclasses.asdict(stored).items(), dataclasses.asdict(asked).values())
    return ", ".join(f"{key} was {was}, and now is {now}" for (key, was), now in pairs if was != now)


def _accuracy(measured: Verification) -> float:
    return measured.accuracy


def _tar(measured: Verification) -> float:
    return measured.tar[1e-1]


def _tags(report: StepReport) -> dict[str, float]:
    return {f"train/{name}": float(value) for name, value in dataclasses.asdict(report).items()}


def _note(report: StepReport) -> str:
    return f"triplet {report.triplet:.3f} entropy {report.cross_entropy:.3f} lr {report.learning_rate:.2g}"


def _verification_tags(measured: Verification) -> dict[str, float]:
    tar = {f"verification/tar_at_far_{far:g}": value for far, value in measured.tar.items()}
    return {"verification/accuracy": measured.accuracy, **tar}
