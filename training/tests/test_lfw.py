from facenet_training import lfw
from facenet_training.problem import Problem
from tests.support import InFolder

PAIRS = """2\t1
Ada\t1\t2
Ada\t1\tBob\t1
Bob\t1\t2
Ada\t2\tBob\t2
"""


class LfwPairs(InFolder):
    def setUp(self) -> None:
        super().setUp()
        for name in ("Ada", "Bob"):
            (self.folder / name).mkdir()
            for number in (1, 2):
                (self.folder / name / f"{name}_{number:04}.jpg").write_bytes(b"")
        self.file = self.folder / "pairs.txt"
        self.file.write_text(PAIRS)

    def test_are_read_with_their_kinds_and_folds(self) -> None:
        pairs = lfw.read(self.folder, self.file)
        names = [path.stem for path in pairs.pictures]
        ends = [(names[first], names[second]) for first, second in zip(pairs.first, pairs.second)]
        self.assertEqual(ends[0], ("Ada_0001", "Ada_0002"))
        self.assertEqual(ends[3], ("Ada_0002", "Bob_0002"))
        self.assertEqual(pairs.mated.tolist(), [True, False, True, False])
        self.assertEqual(pairs.folds.tolist(), [0, 0, 1, 1])

    def test_that_are_not_as_they_should_be_are_named(self) -> None:
        cases = {
            "not FOLDS PAIRS": PAIRS.replace("2\t1\n", "pairs\n", 1),
            "line 3: expected NAME": PAIRS.replace("Ada\t1\tBob\t1", "Ada\t1"),
            "line 2: expected NAME": PAIRS.replace("Ada\t1\t2", "Ada\tone\t2"),
            "3 pairs; its first line says 2 x 2 x 1": PAIRS.replace("Bob\t1\t2\n", ""),
            "fold 1 has 0 mated": PAIRS.replace("Ada\t1\t2", "Ada\t1\tBob\t2"),
            "Bob_0003.jpg: not there": PAIRS.replace("Bob\t2", "Bob\t3"),
        }
        for message, text in cases.items():
            self.file.write_text(text)
            with self.assertRaisesRegex(Problem, message):
                lfw.read(self.folder, self.file)
        self.file.unlink()
        with self.assertRaisesRegex(Problem, "cannot be read"):
            lfw.read(self.folder, self.file)
