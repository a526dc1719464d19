import contextlib
import io
import os

from facenet_training import checkpoint
from facenet_training.cli import main
from tests.support import InFolder, draw_people

SMALL = ["--size", "32", "--batch", "12", "--threads", "1", "--device", "cpu"]


class TheCommandLine(InFolder):
    def setUp(self) -> None:
        super().setUp()
        draw_people(self.folder / "people", 6, 6)
        self.output = self.folder / "out"

    def call(self, *arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([str(argument) for argument in arguments])
        return status, out.getvalue(), err.getvalue()

    def train(self, *more: object) -> tuple[int, str, str]:
        return self.call("train", self.folder / "people", "--output", self.output, *more)

    def test_trains_resumes_and_evaluates_the_people_who_were_held_out(self) -> None:
        status, out, _ = self.train(*SMALL, "--epochs", 1, "--held-out", 2)
        self.assertEqual(status, os.EX_OK)
        self.assertIn("4 people, 24 pictures, 2 steps an epoch", out)
        self.assertIn("TAR", out)
        # With the stored recipe; nothing of it has to be said again, and nothing else can be.
        self.assertEqual(self.train("--resume", "--device", "cpu")[0], os.EX_OK)
        status, _, err = self.train("--resume", "--size", 64)
        self.assertEqual((status, "size was 32, and now is 64" in err), (os.EX_DATAERR, True))
        status, out, _ = self.call("evaluate", self.output / "last.pth", self.folder / "people", "--device", "cpu")
        self.assertEqual(status, os.EX_OK)
        self.assertIn("only the 2 people who were held out", out)
        self.assertIn("(30 mated and 36 non-mated pairs)", out)

    def test_evaluates_lfws_pairs_each_epoch(self) -> None:
        for person in ("A", "B"):
            (self.folder / "lfw" / person).mkdir(parents=True)
            for number in (1, 2):
                target = self.folder / "lfw" / person / f"{person}_{number:04}.png"
                target.write_bytes((self.folder / "people" / f"p0{number}" / "0.png").read_bytes())
        lines = ["2 2"] + ["A 1 2", "B 1 2", "A 1 B 1", "A 2 B 2"] * 2
        (self.folder / "pairs.txt").write_text("\n".join(lines))
        lfw = ["--lfw", self.folder / "lfw", "--pairs", self.folder / "pairs.txt"]
        status, out, _ = self.train(*SMALL, "--epochs", 1, *lfw)
        self.assertEqual(status, os.EX_OK)
        # With LFW nobody is held out unless it is asked for.
        self.assertIn("6 people, 36 pictures", out)
        self.assertIn("(4 mated and 4 non-mated pairs)", out)
        self.assertIsNotNone(checkpoint.load(self.output / "best.pth").best)

    def test_names_the_last_epoch_where_nobody_is_evaluated_on(self) -> None:
        status, out, _ = self.train(*SMALL, "--epochs", 1, "--held-out", 0)
        self.assertEqual(status, os.EX_OK)
        self.assertIn(f"export {self.output / 'last.pth'}", out)
        self.assertFalse((self.output / "best.pth").exists())

    def test_demonstrates(self) -> None:
        status, out, _ = self.call(
            "demonstrate", self.folder / "people", "--seeds", 2, "--jobs", 1, "--backbone", "mobilenet",
            *SMALL[:4], "--epochs", 1, "--held-out", 2,
        )  # fmt: skip
        self.assertEqual(status, os.EX_OK)
        self.assertRegex(out, r"\| 1 \| [01]\.\d{3} \| [01]\.\d{3} \| [01]\.\d{3} \| [01]\.\d{3} \|")
        self.assertRegex(out, r"\| trained, over shuffled labels \| [+-]0\.\d{3} \| [+-][01]\.\d{3} to [+-][01]\.\d{3} \|")

    def test_says_what_is_wrong_in_a_line(self) -> None:
        cases = [
            (["train", self.folder / "nowhere"], os.EX_NOINPUT, "not a folder"),
            (["train", self.folder / "people", "--output", self.output, "--batch", 7], os.EX_USAGE, "--batch is 7"),
            (["evaluate", self.folder / "nowhere.pth"], os.EX_NOINPUT, "no such file"),
            (["export", self.folder / "nowhere.pth", "--watchlistd", "x"], os.EX_NOINPUT, "no such file"),
            (["train", self.folder / "people", "--amp", "--device", "cpu"], os.EX_USAGE, "--amp needs a GPU"),
            (["train", self.folder / "people", "--lfw", self.folder], os.EX_USAGE, "go together"),
        ]
        for arguments, expected, message in cases:
            status, _, err = self.call(*arguments)
            self.assertEqual((status, err.count("\n")), (expected, 1), err)
            self.assertIn(message, err)
