import unittest

from facenet_training.problem import Problem
from facenet_training.recipe import Recipe
from facenet_training.schedule import learning_rate


class TheLearningRate(unittest.TestCase):
    def test_rises_then_falls_to_a_hundredth(self) -> None:
        rates = [learning_rate(step, 100, 0.5, 0.1) for step in range(100)]
        self.assertEqual(rates.index(max(rates)), 10)
        self.assertEqual(max(rates), 0.5)
        self.assertAlmostEqual(rates[-1], 0.005)
        self.assertGreater(rates[0], 0)
        self.assertEqual(rates[:11], sorted(rates[:11]))
        self.assertEqual(rates[10:], sorted(rates[10:], reverse=True))

    def test_without_warm_up_begins_at_its_peak(self) -> None:
        self.assertEqual([learning_rate(0, steps, 0.5, 0.0) for steps in (1, 2, 50)], [0.5] * 3)


class Recipes(unittest.TestCase):
    def test_that_make_no_sense_are_refused_by_the_option(self) -> None:
        wrong = {
            "backbone": "resnet", "size": 31, "epochs": 0, "batch": 16, "optimizer": "lion", "learning_rate": 0.0,
            "weight_decay": -1.0, "warm_up": 1.0, "margin": 2.0, "mining": "all", "dropout": 1.0, "clip": 0.0, "seed": -1,
        }  # fmt: skip
        for key, value in wrong.items():
            with self.assertRaisesRegex(Problem, f"--{key.replace('_', '-')} is {value}: expected"):
                Recipe(**{key: value})  # type: ignore[arg-type]

    def test_take_the_optimisers_usual_numbers_unless_told_otherwise(self) -> None:
        self.assertEqual((Recipe().peak, Recipe().decay), (1e-3, 0.0))
        self.assertEqual((Recipe(optimizer="sgd").peak, Recipe(optimizer="sgd").decay), (1e-2, 5e-4))
        self.assertEqual((Recipe(learning_rate=0.5).peak, Recipe(weight_decay=0.25).decay), (0.5, 0.25))
