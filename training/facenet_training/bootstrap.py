"""How sure a mean gain is, over seeds and people.

The same people are compared under every seed, so neither seeds nor people alone are independent draws. Both are drawn again,
each with replacement, and a person drawn twice counts twice wherever it is held out (the pigeonhole bootstrap: Owen 2007,
Annals of Applied Statistics 1(2)). A mated pair of a person drawn w times weighs w; a pair of two people weighs the product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facenet_training.metrics import Roc


@dataclass(frozen=True)
class Comparison:
    """One seed: the same pairs of held-out people, scored by two networks."""

    first: np.ndarray
    """Whose picture is the first of a pair: int64 [pairs], in 0..people of all seeds together."""
    second: np.ndarray
    before: np.ndarray
    """Scores of the network that is compared with, float [pairs]."""
    after: np.ndarray


@dataclass(frozen=True)
class Interval:
    """A mean and the percentiles 2.5 and 97.5 of its bootstrap; as text two columns of a Markdown table."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} | {self.low:+.3f} to {self.high:+.3f}"


class Gain:
    """The gain in TAR at a FAR, of one seed, under any weighting of the people."""

    def __init__(self, comparison: Comparison, far: float):
        mated = comparison.first == comparison.second
        self._before, self._after = Roc(comparison.before, mated), Roc(comparison.after, mated)
        self._mated = comparison.first[mated]
        self._first, self._second = comparison.first[~mated], comparison.second[~mated]
        self._far = far

    def of(self, weights: np.ndarray) -> float:
        """`weights` float [people]. NaN where no pair of a kind is left."""
        pairs = weights[self._mated], weights[self._first] * weights[self._second]
        return self._after.tar_at(self._far, *pairs) - self._before.tar_at(self._far, *pairs)


def gain(comparisons: Sequence[Comparison], people: int, far: float, draws: int = 2000, seed: int = 0) -> Interval:
    """The mean gain over the seeds, with its 95 % interval over seeds and people."""
    gains = [Gain(comparison, far) for comparison in comparisons]
    mean = float(np.mean([each.of(np.ones(people)) for each in gains]))
    random = np.random.default_rng(seed)
    means = [_draw(gains, people, random) for _ in range(draws)]
    low, high = np.nanpercentile(means, [2.5, 97.5])
    return Interval(mean, float(low), float(high))


def _draw(gains: Sequence[Gain], people: int, random: np.random.Generator) -> float:
    weights = np.bincount(random.integers(people, size=people), minlength=people).astype(float)
    drawn = [gains[i].of(weights) for i in random.integers(len(gains), size=len(gains))]
    # A seed of whose people too few were drawn says nothing; with eight people that happens once in millions.
    return float(np.nanmean(drawn)) if not np.all(np.isnan(drawn)) else float("nan")
