import stat
from pathlib import Path

import torch

from facenet_training.checkpoint import Checkpoint
from facenet_training.export import export, inference_state
from facenet_training.models.facenet import FaceNet
from facenet_training.problem import Problem
from facenet_training.recipe import Recipe
from facenet_training.trainer import TrainerState
from tests.support import InFolder


class AnExport(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.network = FaceNet("mobilenet", identities=5)
        self.checkpoint = self.of(Recipe())
        self.weights = self.folder / "facenet.pth"

    def of(self, recipe: Recipe) -> Checkpoint:
        return Checkpoint(recipe, 5, "", 1, None, TrainerState(self.network.state_dict(), {}, {}, 0))

    def program(self, script: str) -> Path:
        """A stand-in for watchlistd."""
        path = self.folder / "watchlistd"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def test_holds_all_of_the_network_but_the_classifier(self) -> None:
        export(self.checkpoint, self.weights, self.program("exit 0"), force=False)
        stored = torch.load(self.weights, weights_only=True)
        self.assertEqual(set(stored), set(FaceNet("mobilenet").state_dict()))
        self.assertTrue(torch.equal(stored["Bottleneck.weight"], self.network.Bottleneck.weight))

    def test_gives_the_embeddings_of_the_training(self) -> None:
        network = FaceNet("mobilenet")
        network.load_state_dict(inference_state(self.checkpoint))
        pictures = torch.rand(2, 3, 160, 160)
        self.assertTrue(torch.equal(network.eval()(pictures), self.network.eval()(pictures)))

    def test_has_watchlistd_import_the_weights(self) -> None:
        said = export(self.checkpoint, self.weights, self.program('echo "$@"'), force=True)
        self.assertEqual(said, f"models import --family facenet-mobilenet {self.weights} --force\n")

    def test_passes_on_what_watchlistd_refuses(self) -> None:
        program = self.program("echo 'no command import' >&2; exit 64")
        with self.assertRaisesRegex(Problem, "exit status 64: no command import"):
            export(self.checkpoint, self.weights, program, force=False)
        with self.assertRaisesRegex(Problem, "cannot be run"):
            export(self.checkpoint, self.weights, self.folder / "nowhere", force=True)

    def test_is_refused_for_another_size_and_over_a_file(self) -> None:
        with self.assertRaisesRegex(Problem, "112 x 112 pixels; watchlistd runs these networks at 160"):
            export(self.of(Recipe(size=112)), self.weights, self.program("exit 0"), force=False)
        self.weights.write_bytes(b"there")
        with self.assertRaisesRegex(Problem, "is there already"):
            export(self.checkpoint, self.weights, self.program("exit 0"), force=False)
        self.assertEqual(self.weights.read_bytes(), b"there")
