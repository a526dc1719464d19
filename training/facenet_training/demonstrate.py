"""Does training on a few people help with others, and is it the labels that do it?

    for each seed:   people ─▶ split ─┬─ trained on ─▶ labels as they are ─▶ network ─┐
                                      │            └▶ labels shuffled ────▶ network ─┤
                                      └─ held out ──▶ scores of all pairs ◀──────────┴─ untrained network

All three begin with the same weights. A run ends after its last epoch: nothing is chosen by the held-out people. The gain is
in TAR at FAR 0.1, over the untrained network as it was drawn, and over the same with batch normalisation calibrated on the
pictures that are trained on: as drawn, its statistics are of nothing, and what that does has nothing to do with training.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facenet_training.bootstrap import Comparison, gain
from facenet_training.data.folders import Identity, Samples, samples, split
from facenet_training.data.pictures import letterbox, open_picture, to_array
from facenet_training.data.triplets import Triplets, batches
from facenet_training.evaluation import CHUNK, all_pairs, embed, scores, stack
from facenet_training.metrics import Roc
from facenet_training.models.facenet import FaceNet
from facenet_training.problem import Problem
from facenet_training.progress import Progress
from facenet_training.recipe import Recipe
from facenet_training.trainer import Trainer, untrained

FAR = 0.1
CPU = torch.device("cpu")

RECIPE = Recipe(
    backbone="inception_resnetv1", size=96, epochs=40, batch=24, learning_rate=1e-3, dropout=0.2, held_out=8
)
"""For some twenty people with ten pictures each, on a processor. MobileNetV1, without shortcuts, learns so few people by heart."""


@dataclass(frozen=True)
class Outcome:
    """One seed, one way of labelling: scores of the held-out people's pairs."""

    seed: int
    shuffled: bool
    untrained: np.ndarray
    """Of the network as it was drawn."""
    calibrated: np.ndarray
    """Of the same with its batch normalisation calibrated."""
    trained: np.ndarray
    first: np.ndarray
    """Whose picture is the first of each pair: a place in the list of all people."""
    second: np.ndarray

    def tar(self, similarity: np.ndarray) -> float:
        """TAR at FAR 0.1."""
        return Roc(similarity, self.first == self.second).tar_at(FAR)

    def compared(self, before: np.ndarray) -> Comparison:
        """What this training gives against other scores of the same pairs."""
        return Comparison(self.first, self.second, before, self.trained)


def demonstrate(identities: list[Identity], recipe: Recipe, count: int, jobs: int) -> str:
    """Trains `count` networks, from the recipe's seed on, and as many with shuffled labels; a table of both, in Markdown."""
    seeds = range(recipe.seed, recipe.seed + count)
    tasks = [(identities, replace(recipe, seed=seed), shuffled) for seed in seeds for shuffled in (False, True)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool, Progress("runs", len(tasks)) as progress:
        outcomes = []
        try:
            for outcome in pool.map(_compare, tasks):
                outcomes.append(outcome)
                progress.advance()
        except BrokenProcessPool as error:
            raise Problem("a run was ended from outside, or for want of memory; try fewer --jobs", os.EX_OSERR) from error
    return table(outcomes, len(identities))


def _compare(task: tuple[list[Identity], Recipe, bool]) -> Outcome:
    identities, recipe, shuffled = task
    # Jobs are processes; more threads than cores only wait for each other.
    torch.set_num_threads(1)
    trained, held_out = split(identities, recipe.held_out, recipe.seed)
    to_train = samples(trained)
    pairs = all_pairs(held_out)
    place = {identity.name: i for i, identity in enumerate(identities)}
    people = np.array([place[picture.parent.name] for picture in pairs.pictures])
    network = untrained(recipe, to_train.identities)

    def score(network: FaceNet) -> np.ndarray:
        return scores(embed(network, pairs.pictures, recipe.size, CPU), pairs)

    return Outcome(
        seed=recipe.seed,
        shuffled=shuffled,
        untrained=score(network),
        calibrated=score(calibrate(network, to_train.pictures, recipe.size)),
        trained=score(train(to_train, recipe, shuffled)),
        first=people[pairs.first],
        second=people[pairs.second],
    )


def calibrate(network: FaceNet, pictures: Sequence[Path], size: int) -> FaceNet:
    """Sets the statistics of batch normalisation, nothing else, to those over the pictures. The network itself."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # The mean over all chunks.
        norm.momentum = None
    network.train()
    with torch.no_grad():
        for chunk in np.array_split(np.arange(len(pictures)), -(-len(pictures) // CHUNK)):
            network(stack([to_array(letterbox(open_picture(pictures[i]), size)) for i in chunk]))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    return network.eval()


def train(to_train: Samples, recipe: Recipe, shuffled: bool) -> FaceNet:
    """The network after the recipe's last epoch."""
    labelled = to_train.with_shuffled_labels(recipe.seed) if shuffled else to_train
    per_epoch = recipe.steps_per_epoch(len(labelled.pictures))
    steps = per_epoch * recipe.epochs
    trainer = Trainer(recipe, labelled.identities, steps, CPU)
    stream = batches(Triplets(labelled, recipe.size, recipe.seed, recipe.augmented), 0, steps, recipe.batch // 3)
    for _ in trainer.epoch(0, stream):
        pass
    return trainer.network


def table(outcomes: Sequence[Outcome], people: int) -> str:
    """TAR at FAR 0.1 of each seed, and the mean gains with their intervals."""
    real, control = ([o for o in outcomes if o.shuffled == shuffled] for shuffled in (False, True))
    rows = [(a.tar(a.untrained), a.tar(a.calibrated), a.tar(a.trained), b.tar(b.trained)) for a, b in zip(real, control)]
    comparisons = {
        "trained, over untrained as drawn": [o.compared(o.untrained) for o in real],
        "trained, over untrained, calibrated": [o.compared(o.calibrated) for o in real],
        "shuffled labels, over untrained as drawn": [o.compared(o.untrained) for o in control],
        "shuffled labels, over untrained, calibrated": [o.compared(o.calibrated) for o in control],
        "trained, over shuffled labels": [a.compared(b.trained) for a, b in zip(real, control)],
    }
    lines = [
        f"TAR at FAR {FAR:g} on held-out people:",
        "",
        "| seed | untrained, as drawn | untrained, calibrated | trained | shuffled labels |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(_row(str(o.seed), row) for o, row in zip(real, rows)),
        _row("mean", np.mean(rows, axis=0)),
        "",
        "| mean gain | | 95 % interval over seeds and people |",
        "| --- | ---: | ---: |",
        *(f"| {name} | {gain(compared, people, FAR)} |" for name, compared in comparisons.items()),
    ]
    return "\n".join(lines)


def _row(name: str, rates: Sequence[float]) -> str:
    return f"| {name} | " + " | ".join(f"{rate:.3f}" for rate in rates) + " |"
