import unittest

import numpy as np

from facenet_training.bootstrap import Comparison, Gain, gain
from facenet_training.metrics import Roc, best_threshold, fold_accuracies


def scored(mated: list[float], non_mated: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(mated + non_mated), np.array([True] * len(mated) + [False] * len(non_mated))


class TarAtFar(unittest.TestCase):
    def test_is_the_part_of_mated_scores_above_what_that_part_of_non_mated_ones_is_above(self) -> None:
        non_mated = [i / 10 for i in range(10)]
        roc = Roc(*scored([0.95, 0.85, 0.8, 0.1], non_mated))
        # One of ten may pass: the threshold is the second best, 0.8, and has to be passed.
        self.assertEqual(roc.tar_at(0.1), 0.5)
        self.assertEqual(roc.tar_at(0.09), 0.25)
        self.assertEqual(roc.tar_at(0.2), 0.75)
        self.assertEqual(roc.tar_at(1.0), 1.0)

    def test_counts_equal_scores_as_refused(self) -> None:
        self.assertEqual(Roc(*scored([0.5, 0.5], [0.5, 0.5, 0.5, 0.5])).tar_at(0.5), 0.0)

    def test_with_weights_is_that_of_pairs_that_are_there_as_often(self) -> None:
        random = np.random.default_rng(4)
        for _ in range(30):
            mated, non_mated = random.normal(1, 1, 9).round(1), random.normal(0, 1, 25).round(1)
            weights = random.integers(0, 4, 9), random.integers(0, 4, 25)
            repeated = scored(np.repeat(mated, weights[0]).tolist(), np.repeat(non_mated, weights[1]).tolist())
            once = Roc(*scored(mated.tolist(), non_mated.tolist()))
            weighted = once.tar_at(0.1, *(kind.astype(float) for kind in weights))
            self.assertAlmostEqual(weighted, Roc(*repeated).tar_at(0.1))

    def test_of_no_pairs_is_no_number(self) -> None:
        self.assertTrue(np.isnan(Roc(*scored([1.0], [0.0])).tar_at(0.1, np.zeros(1), np.ones(1))))
        self.assertTrue(np.isnan(Roc(*scored([], [0.0])).tar_at(0.1)))


class Accuracy(unittest.TestCase):
    def test_is_measured_at_the_threshold_of_the_other_folds(self) -> None:
        # Fold 0 is best split at 0.5, fold 1 at 0.9.
        scores = np.array([0.5, 0.1, 0.9, 0.6])
        mated = np.array([True, False, True, False])
        self.assertEqual(fold_accuracies(scores, mated, np.array([0, 0, 1, 1])).tolist(), [0.5, 0.5])

    def test_threshold_is_the_best_there_is(self) -> None:
        random = np.random.default_rng(2)
        for _ in range(30):
            scores, mated = random.normal(0, 1, 40).round(1), random.random(40) < 0.3
            mated[:2] = True, False
            gains = {t: (scores[mated] >= t).mean() - (scores[~mated] >= t).mean() for t in scores}
            self.assertAlmostEqual(gains[best_threshold(scores, mated)], max(gains.values()))


class TheBootstrap(unittest.TestCase):
    @staticmethod
    def comparison(seed: int, help: float, people: int = 8) -> Comparison:
        """Five pictures each, scores of noise, and mated pairs `help` better afterwards."""
        random = np.random.default_rng(seed)
        owners = np.repeat(np.arange(people), 5)
        first, second = np.triu_indices(len(owners), k=1)
        before, after = random.normal(0, 1, (2, len(first)))
        mated = owners[first] == owners[second]
        return Comparison(owners[first], owners[second], before, after + help * mated)

    def test_finds_a_gain_that_is_there_and_none_that_is_not(self) -> None:
        helped = gain([self.comparison(seed, 1.5) for seed in range(5)], 8, 0.1, draws=300)
        self.assertGreater(helped.low, 0.2)
        self.assertTrue(helped.low < helped.mean < helped.high)
        alike = gain([self.comparison(seed, 0.0) for seed in range(5)], 8, 0.1, draws=300)
        self.assertTrue(alike.low < 0 < alike.high)

    def test_covers_the_truth_about_as_often_as_it_says(self) -> None:
        # No gain in truth; a crossed bootstrap is on the safe side.
        intervals = [gain([self.comparison(50 * i + s, 0.0) for s in range(3)], 8, 0.1, draws=100) for i in range(40)]
        self.assertGreaterEqual(sum(interval.low <= 0 <= interval.high for interval in intervals), 35)

    def test_weighs_a_person_drawn_twice_twice(self) -> None:
        weights = np.array([2.0, 0.0, 1.0, 1.0])
        for seed in range(10):
            comparison = self.comparison(seed, 0.5, people=4)
            drawn = Gain(self.with_copies(comparison, [0, 0, 2, 3]), 0.1).of(np.ones(4))
            self.assertAlmostEqual(Gain(comparison, 0.1).of(weights), drawn)

    @staticmethod
    def with_copies(comparison: Comparison, people: list[int]) -> Comparison:
        """What it would be if these were the people; pairs of two copies of one person left out."""
        owners = np.repeat(np.arange(4), 5)
        table = np.full((20, 20, 2), np.nan)
        rows, columns = np.triu_indices(20, k=1)
        for i, similarity in enumerate((comparison.before, comparison.after)):
            table[rows, columns, i] = table[columns, rows, i] = similarity
        pictures = [(copy, 5 * person + k) for copy, person in enumerate(people) for k in range(5)]
        pairs = [(a, b) for i, a in enumerate(pictures) for b in pictures[:i]]
        pairs = [(a, b) for a, b in pairs if a[0] == b[0] or owners[a[1]] != owners[b[1]]]
        first, second = (np.array([pair[side][0] for pair in pairs]) for side in (0, 1))
        scores = np.array([table[a[1], b[1]] for a, b in pairs])
        return Comparison(first, second, scores[:, 0], scores[:, 1])
