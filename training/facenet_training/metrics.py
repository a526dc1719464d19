"""How well similarity scores tell mated pairs (one person) from non-mated ones (two people).

TAR, the true accept rate, is 1 - FNMR; FAR, the false accept rate, is FMR (ISO/IEC 19795-1).
"""

import numpy as np


class Roc:
    """One network's scores of many pairs, sorted once; rates can then be had under many weightings of the pairs."""

    def __init__(self, scores: np.ndarray, mated: np.ndarray):
        """`scores` float [pairs], `mated` bool [pairs]."""
        self._mated = scores[mated]
        non_mated = scores[~mated]
        self._order = np.argsort(-non_mated, kind="stable")
        self._non_mated = non_mated[self._order]

    def tar_at(self, far: float, mated: np.ndarray | None = None, non_mated: np.ndarray | None = None) -> float:
        """Part of the mated pairs above the lowest threshold that at most `far` of the non-mated ones are above.

        `mated` and `non_mated` are weights of the pairs, 0 or more, in their order; None weighs all alike. NaN where all
        weights of a kind are 0.
        """
        mated = np.ones(len(self._mated)) if mated is None else mated
        weights = np.ones(len(self._non_mated)) if non_mated is None else non_mated[self._order]
        if mated.sum() <= 0 or weights.sum() <= 0:
            return float("nan")
        accepted = np.cumsum(weights)
        # Rounding must not cost the pair that just fits.
        first_refused = np.searchsorted(accepted, far * accepted[-1] * (1 + 1e-9), side="right")
        threshold = self._non_mated[first_refused] if first_refused < len(accepted) else -np.inf
        return float(mated[self._mated > threshold].sum() / mated.sum())


def fold_accuracies(scores: np.ndarray, mated: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """LFW's protocol (Huang et al. 2007): each fold at the threshold that is best on the others; float [folds].

    Accuracy is the mean of TAR and 1 - FAR, which on LFW, where half of each fold is mated, is the plain accuracy.
    `folds` int [pairs] says where a pair belongs; there must be two, each with pairs of both kinds.
    """
    numbers = np.unique(folds)
    thresholds = [best_threshold(scores[folds != fold], mated[folds != fold]) for fold in numbers]
    return np.array([_accuracy(scores[folds == f], mated[folds == f], t) for f, t in zip(numbers, thresholds)])


def best_threshold(scores: np.ndarray, mated: np.ndarray) -> float:
    """The score from which on to accept, for the best mean of TAR and 1 - FAR on these pairs."""
    order = np.argsort(-scores, kind="stable")
    scores, mated = scores[order], mated[order]
    gain = np.cumsum(mated) / mated.sum() - np.cumsum(~mated) / (~mated).sum()
    # Equal scores are accepted together.
    last_of_equals = np.append(scores[1:] != scores[:-1], True)
    return float(scores[np.argmax(np.where(last_of_equals, gain, -np.inf))])


def _accuracy(scores: np.ndarray, mated: np.ndarray, threshold: float) -> float:
    accepted = scores >= threshold
    return float((accepted[mated].mean() + (~accepted[~mated]).mean()) / 2)
