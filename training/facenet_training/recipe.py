"""What a run is: everything that its result depends on, beside the pictures."""

import os
from dataclasses import dataclass

from facenet_training.loss import MININGS
from facenet_training.models.facenet import FAMILIES, SMALLEST
from facenet_training.problem import Problem

OPTIMIZERS = {"adam": (1e-3, 0.0), "sgd": (1e-2, 5e-4)}
"""Each one's learning rate and weight decay, unless others are asked for; the tutorial's."""


@dataclass(frozen=True)
class Recipe:
    """Checked where it is made. Stored in every checkpoint; a run is resumed with the same one."""

    backbone: str = "mobilenet"
    size: int = 160
    """Pixels a side of what goes into the network."""
    epochs: int = 100
    batch: int = 96
    """Pictures a step, a third of them anchors."""
    optimizer: str = "adam"
    learning_rate: float | None = None
    """At its peak. None: the optimiser's usual one."""
    weight_decay: float | None = None
    """None: the optimiser's usual one."""
    warm_up: float = 0.05
    """Part of the run in which the learning rate rises."""
    margin: float = 0.2
    mining: str = "semi-hard"
    dropout: float = 0.5
    clip: float | None = None
    """The gradient's greatest length. None: as it is."""
    amp: bool = False
    """Mixed precision: float16 where that is safe, with scaled gradients. On a GPU only."""
    augmented: bool = True
    seed: int = 0
    held_out: int = 0
    """People who are not trained on, for evaluation."""

    def __post_init__(self) -> None:
        self._expect(self.backbone in FAMILIES, "backbone", f"one of {', '.join(FAMILIES)}")
        self._expect(self.size >= SMALLEST[self.backbone], "size", f"{SMALLEST[self.backbone]} pixels or more")
        self._expect(self.epochs >= 1, "epochs", "1 or more")
        self._expect(self.batch >= 6 and self.batch % 3 == 0, "batch", "a multiple of 3, 6 or more")
        self._expect(self.optimizer in OPTIMIZERS, "optimizer", f"one of {', '.join(OPTIMIZERS)}")
        self._expect(self.learning_rate is None or self.learning_rate > 0, "learning_rate", "a number above 0")
        self._expect(self.weight_decay is None or self.weight_decay >= 0, "weight_decay", "0 or more")
        self._expect(0 <= self.warm_up < 1, "warm_up", "0 up to 1, without 1")
        self._expect(0 < self.margin < 2, "margin", "above 0 and below 2, the greatest distance")
        self._expect(self.mining in MININGS, "mining", f"one of {', '.join(MININGS)}")
        self._expect(0 <= self.dropout < 1, "dropout", "0 up to 1, without 1")
        self._expect(self.clip is None or self.clip > 0, "clip", "a number above 0")
        self._expect(self.seed >= 0, "seed", "0 or more")

    def _expect(self, holds: bool, key: str, expected: str) -> None:
        if not holds:
            raise Problem(f"--{key.replace('_', '-')} is {getattr(self, key)}: expected {expected}", os.EX_USAGE)

    @property
    def peak(self) -> float:
        """The learning rate at its peak."""
        return OPTIMIZERS[self.optimizer][0] if self.learning_rate is None else self.learning_rate

    @property
    def decay(self) -> float:
        """The weight decay."""
        return OPTIMIZERS[self.optimizer][1] if self.weight_decay is None else self.weight_decay

    def steps_per_epoch(self, pictures: int) -> int:
        """An epoch shows about as many pictures as there are; one step at least."""
        return max(1, pictures // self.batch)
