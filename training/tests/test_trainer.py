import unittest
from collections.abc import Iterator
from itertools import islice
from unittest import mock

import torch

from facenet_training.data import folders
from facenet_training.data.triplets import Batch, Triplets, batches
from facenet_training.problem import Problem
from facenet_training.recipe import Recipe
from facenet_training.trainer import StepReport, Trainer, untrained
from tests.support import InFolder, draw_people

CPU = torch.device("cpu")


class ATrainer(InFolder):
    def setUp(self) -> None:
        super().setUp()
        draw_people(self.folder, 4, 4)
        self.samples = folders.samples(folders.read(self.folder))

    def trainer(self, **recipe: object) -> tuple[Trainer, Iterator[Batch]]:
        made = Recipe(size=32, batch=12, seed=3, **recipe)  # type: ignore[arg-type]
        trainer = Trainer(made, self.samples.identities, 60, CPU)
        return trainer, batches(Triplets(self.samples, 32, 3), 0, 60, 4)

    def take(self, steps: int, **recipe: object) -> tuple[Trainer, list[StepReport]]:
        trainer, stream = self.trainer(**recipe)
        return trainer, list(trainer.epoch(0, islice(stream, steps)))

    def test_learns_who_is_who(self) -> None:
        for optimizer in ("adam", "sgd"):
            _, reports = self.take(40, optimizer=optimizer, learning_rate=3e-3 if optimizer == "adam" else 5e-2)
            early, late = reports[:5], reports[-5:]
            self.assertLess(sum(r.cross_entropy for r in late), 0.7 * sum(r.cross_entropy for r in early), optimizer)
            self.assertGreater(sum(r.accuracy for r in late), sum(r.accuracy for r in early), optimizer)

    def test_follows_the_schedule(self) -> None:
        _, reports = self.take(4, warm_up=0.05)
        self.assertEqual([r.learning_rate for r in reports][:4], [0.00025, 0.0005, 0.00075, 0.001])

    def test_clips_gradients_to_the_length_that_is_asked_for(self) -> None:
        trainer, _ = self.take(1, clip=0.01)
        gradients = [p.grad.flatten() for p in trainer.network.parameters() if p.grad is not None]
        self.assertAlmostEqual(torch.cat(gradients).norm().item(), 0.01, delta=1e-4)

    def test_says_when_the_loss_is_no_number_any_more(self) -> None:
        trainer, stream = self.trainer()
        with torch.no_grad():
            trainer.network.classifier.weight.fill_(float("nan"))
        with self.assertRaisesRegex(Problem, "step 0: the loss is nan; lower --learning-rate"):
            next(trainer.epoch(0, stream))

    def test_begins_with_the_weights_of_its_seed(self) -> None:
        trainer, _ = self.trainer()
        again, other = untrained(Recipe(seed=3), 4), untrained(Recipe(seed=4), 4)
        self.assertTrue(torch.equal(trainer.network.Bottleneck.weight, again.Bottleneck.weight))
        self.assertFalse(torch.equal(again.Bottleneck.weight, other.Bottleneck.weight))

    def test_has_no_mixed_precision_on_a_cpu(self) -> None:
        with self.assertRaisesRegex(Problem, "--amp needs a GPU"):
            self.trainer(amp=True)

    @unittest.skipUnless(hasattr(torch.amp, "GradScaler"), "needs PyTorch 2.3: before, only a GPU can scale gradients")
    def test_in_mixed_precision_learns_too(self) -> None:
        _, whole = self.take(1, clip=1.0)
        with mock.patch("facenet_training.trainer.gradient_scaler", lambda device: torch.amp.GradScaler(device.type)):
            trainer, mixed = self.take(40, clip=1.0, amp=True, learning_rate=3e-3)
            again, _ = self.trainer(amp=True)
        self.assertNotEqual(whole[0].cross_entropy, mixed[0].cross_entropy)
        self.assertAlmostEqual(whole[0].cross_entropy, mixed[0].cross_entropy, delta=0.05)
        self.assertLess(sum(r.cross_entropy for r in mixed[-5:]), 0.7 * sum(r.cross_entropy for r in mixed[:5]))
        again.restore(trainer.state())
        self.assertEqual(again.state().scaler, trainer.state().scaler)

    @unittest.skipUnless(torch.cuda.is_available(), "no GPU here")
    def test_on_a_gpu_scales_gradients_in_mixed_precision(self) -> None:
        recipe = Recipe(size=32, batch=12, seed=3, amp=True, clip=1.0)
        trainer = Trainer(recipe, self.samples.identities, 20, torch.device("cuda"))
        reports = list(trainer.epoch(0, batches(Triplets(self.samples, 32, 3), 0, 20, 4)))
        self.assertLess(reports[-1].cross_entropy, reports[0].cross_entropy)
        self.assertGreater(trainer.state().scaler["scale"], 1.0)
