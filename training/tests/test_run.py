import dataclasses
import os
import resource
import shutil
from unittest import mock

import torch

from facenet_training import checkpoint
from facenet_training.checkpoint import Checkpoint
from facenet_training.data import folders
from facenet_training.problem import Problem
from facenet_training.recipe import Recipe
from facenet_training.run import Run, Setting, prepare_output
from facenet_training.trainer import TrainerState
from tests.support import InFolder, draw_people
from tests.test_event_file import fields, records

RECIPE = Recipe(size=32, batch=12, epochs=3, seed=3, held_out=3, optimizer="adam")


class ARun(InFolder):
    def setUp(self) -> None:
        super().setUp()
        draw_people(self.folder / "people", 7, 6)
        self.people = folders.read(self.folder / "people")

    def run_to(self, name: str, recipe: Recipe = RECIPE, workers: int = 0) -> Run:
        setting = Setting(self.folder / name, torch.device("cpu"), workers, report=lambda text: None)
        return Run(recipe, self.people, None, setting)

    def logged(self, name: str) -> dict[tuple[int, str], float]:
        """All scalars of a run by step and tag, as TensorBoard shows them: a session takes back what it begins with."""
        found: dict[tuple[int, str], float] = {}
        for path in sorted((self.folder / name).glob("events*")):
            for event in map(dict, map(fields, records(path.read_bytes()))):
                if 7 in event:
                    found = {(step, tag): value for (step, tag), value in found.items() if step < event[2]}
                for _, value in fields(event.get(5, b"")):
                    tag, number = dict(fields(value))[1], dict(fields(value))[2]
                    found[event[2], tag.decode()] = number
        return found

    def test_that_was_interrupted_goes_on_exactly_where_it_was(self) -> None:
        for optimizer in ("adam", "sgd"):
            recipe = dataclasses.replace(RECIPE, optimizer=optimizer)
            self.run_to(f"{optimizer}-whole", recipe).go()
            name = f"{optimizer}-parts"
            # In the middle of the second epoch; its first step is in the event file already.
            ends = mock.patch("facenet_training.trainer.Trainer._descend", _ends_at(3))
            with ends, self.assertRaises(KeyboardInterrupt):
                self.run_to(name, recipe).go()
            resumed = self.run_to(name, recipe, workers=1)
            resumed.resume()
            resumed.go()
            self.assertEqual(self.logged(name), self.logged(f"{optimizer}-whole"))
            whole, parts = (checkpoint.load(self.folder / f"{optimizer}-{x}" / "last.pth") for x in ("whole", "parts"))
            for key, value in whole.state.network.items():
                self.assertTrue(torch.equal(value, parts.state.network[key]), key)
            self.assertEqual((whole.epoch, whole.best), (parts.epoch, parts.best))

    def test_keeps_the_best_checkpoint_beside_the_last(self) -> None:
        worth = iter([0.4, 0.7, 0.5])
        run = self.run_to("out")
        run._measure = lambda measured: next(worth)
        run.go()
        last, best = (checkpoint.load(self.folder / "out" / f"{name}.pth") for name in ("last", "best"))
        self.assertEqual((last.epoch, best.epoch, last.best), (3, 2, 0.7))

    def test_logs_every_step_and_every_evaluation(self) -> None:
        self.run_to("out").go()
        logged = self.logged("out")
        steps = {step for step, tag in logged if tag == "train/triplet"}
        self.assertEqual(steps, {1, 2, 3, 4, 5, 6})
        evaluated = {step for step, tag in logged if tag == "verification/tar_at_far_0.1"}
        self.assertEqual(evaluated, {2, 4, 6})

    def test_is_not_resumed_with_other_pictures_or_another_recipe(self) -> None:
        self.run_to("out", dataclasses.replace(RECIPE, epochs=1)).go()
        with self.assertRaisesRegex(Problem, "epochs was 1, and now is 3"):
            self.run_to("out").resume()
        os.unlink(self.people[0].pictures[0])
        self.people = folders.read(self.folder / "people")
        with self.assertRaisesRegex(Problem, "other people or pictures"):
            self.run_to("out", dataclasses.replace(RECIPE, epochs=1)).resume()

    def test_does_not_write_over_another(self) -> None:
        with self.assertRaisesRegex(Problem, "nothing to resume"):
            prepare_output(self.folder / "out", resume=True)
        self.run_to("out", dataclasses.replace(RECIPE, epochs=1)).go()
        with self.assertRaisesRegex(Problem, "is there already"):
            prepare_output(self.folder / "out", resume=False)
        prepare_output(self.folder / "out", resume=True)

    def test_ends_with_the_name_of_a_broken_picture(self) -> None:
        for person in self.people:
            person.pictures[0].write_bytes(b"no picture")
        with self.assertRaisesRegex(Problem, "0.png: not a picture"):
            self.run_to("out").go()


class Checkpoints(InFolder):
    def test_that_are_none_are_an_error(self) -> None:
        torch.save({"weight": torch.ones(1)}, self.folder / "weights.pth")
        torch.save(RECIPE, self.folder / "program.pth")
        for number, about in enumerate(('{"format": 2}', '{"format": 1, "recipe": {"flavour": 1}}', "[]", "{", 7)):
            torch.save({"about": about, "network": {}, "optimizer": {}}, self.folder / f"about{number}.pth")
        (self.folder / "text.pth").write_text("no checkpoint")
        (self.folder / "empty.pth").write_bytes(b"")
        shutil.copy(self.folder / "weights.pth", self.folder / "cut.pth")
        os.truncate(self.folder / "cut.pth", 200)
        for path in sorted(self.folder.iterdir()):
            with self.assertRaisesRegex(Problem, path.name):
                checkpoint.load(path)
        with self.assertRaisesRegex(Problem, "no such file"):
            checkpoint.load(self.folder / "nowhere.pth")

    def test_run_nothing_that_stands_in_them(self) -> None:
        torch.save({"about": _Trap(str(self.folder / "ran"))}, self.folder / "trap.pth")
        with self.assertRaises(Problem):
            checkpoint.load(self.folder / "trap.pth")
        self.assertFalse((self.folder / "ran").exists())

    def test_are_there_whole_or_not_at_all(self) -> None:
        path = self.folder / "last.pth"
        state = TrainerState({"weight": torch.ones(1000)}, {}, {}, 7)
        Checkpoint(RECIPE, 5, "", 1, 0.5, state).save(path)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            with self.assertRaisesRegex(Problem, "last.pth: cannot be written: File too large"):
                Checkpoint(RECIPE, 5, "", 2, 0.5, state).save(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        stored = checkpoint.load(path)
        self.assertEqual((stored.epoch, stored.best, stored.recipe, stored.state.step), (1, 0.5, RECIPE, 7))
        self.assertEqual([p.name for p in self.folder.iterdir()], ["last.pth"])


class _Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: str):
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self._path,)


def _ends_at(step: int):  # type: ignore[no-untyped-def]
    from facenet_training.trainer import Trainer

    descend = Trainer._descend

    def until(self: Trainer, loss: torch.Tensor) -> None:
        if self.step == step:
            raise KeyboardInterrupt
        descend(self, loss)

    return until
