import collections

import numpy as np
from PIL import Image

from facenet_training.data import folders
from facenet_training.data.augment import augment
from facenet_training.data.pictures import letterbox, open_picture, to_array
from facenet_training.data.triplets import Triplets, batches
from facenet_training.problem import Problem
from tests.support import InFolder, draw_people


class Folders(InFolder):
    def test_are_read_sorted_and_what_is_no_picture_is_passed_over(self) -> None:
        draw_people(self.folder, 2, 2)
        (self.folder / "p00" / "notes.txt").write_text("no picture")
        (self.folder / "p00" / ".hidden.png").write_bytes(b"")
        (self.folder / "empty").mkdir()
        (self.folder / "loose.png").write_bytes(b"")
        found = [(identity.name, [picture.name for picture in identity.pictures]) for identity in folders.read(self.folder)]
        self.assertEqual(found, [("p00", ["0.png", "1.png"]), ("p01", ["0.png", "1.png"])])

    def test_without_pictures_are_an_error_that_says_what_was_expected(self) -> None:
        with self.assertRaisesRegex(Problem, "PERSON/PICTURE.jpg"):
            folders.read(self.folder)
        with self.assertRaisesRegex(Problem, "not a folder"):
            folders.read(self.folder / "elsewhere")

    def test_are_split_by_person_the_same_way_for_the_same_seed(self) -> None:
        draw_people(self.folder, 12, 2, size=4)
        people = folders.read(self.folder)
        trained, held_out = folders.split(people, 4, seed=5)
        self.assertEqual((trained, held_out), folders.split(people, 4, seed=5))
        self.assertEqual((len(trained), len(held_out)), (8, 4))
        self.assertEqual(sorted(i.name for i in trained + held_out), [i.name for i in people])
        self.assertGreater(len({tuple(i.name for i in folders.split(people, 4, seed)[1]) for seed in range(10)}), 5)

    def test_never_hold_out_people_of_whom_there_is_one_picture(self) -> None:
        draw_people(self.folder, 8, 2, size=4)
        for name in ("p01", "p05"):
            (self.folder / name / "1.png").unlink()
        for seed in range(20):
            held_out = folders.split(folders.read(self.folder), 4, seed)[1]
            self.assertTrue(all(len(identity.pictures) == 2 for identity in held_out))

    def test_too_small_to_hold_out_so_many_are_an_error(self) -> None:
        draw_people(self.folder, 4, 2, size=4)
        for held_out in (-1, 1, 3, 9):
            with self.assertRaises(Problem):
                folders.split(folders.read(self.folder), held_out, seed=0)

    def test_with_other_names_have_another_digest(self) -> None:
        draw_people(self.folder, 3, 2, size=4)
        before = folders.digest(folders.read(self.folder))
        self.assertEqual(before, folders.digest(folders.read(self.folder)))
        (self.folder / "p01" / "1.png").rename(self.folder / "p02" / "2.png")
        self.assertNotEqual(before, folders.digest(folders.read(self.folder)))


class Labels(InFolder):
    def test_that_are_shuffled_stand_at_other_pictures_but_as_many_of_each(self) -> None:
        draw_people(self.folder, 6, 5, size=4)
        samples = folders.samples(folders.read(self.folder))
        shuffled = samples.with_shuffled_labels(1)
        self.assertEqual(shuffled.pictures, samples.pictures)
        self.assertEqual(np.bincount(shuffled.labels).tolist(), np.bincount(samples.labels).tolist())
        self.assertLess(np.mean(shuffled.labels == samples.labels), 0.5)


class Pictures(InFolder):
    def test_keep_their_proportions_between_grey_borders(self) -> None:
        wide = letterbox(Image.new("RGB", (80, 33), (255, 0, 0)), 160)
        pixels = np.asarray(wide)
        # 33 * 2 = 66 rows of picture, from row 47.
        self.assertTrue((pixels[47:113] == (255, 0, 0)).all())
        self.assertTrue((np.delete(pixels, np.s_[47:113], axis=0) == 128).all())
        tall = np.asarray(letterbox(Image.new("RGB", (50, 200), (0, 255, 0)), 160))
        self.assertTrue((tall[:, 60:100] == (0, 255, 0)).all())
        self.assertTrue((np.delete(tall, np.s_[60:100], axis=1) == 128).all())

    def test_that_fit_exactly_have_no_border(self) -> None:
        # Of 77 and 154 pixels, 160 / side * side is below 160.
        for side in (1, 2, 49, 77, 112, 154, 159, 160, 161, 250, 303, 1077):
            self.assertTrue((np.asarray(letterbox(Image.new("RGB", (side, side)), 160)) == 0).all(), side)

    def test_of_extreme_proportions_keep_a_pixel(self) -> None:
        self.assertEqual(letterbox(Image.new("RGB", (4000, 2)), 160).size, (160, 160))

    def test_become_planes_of_rgb_from_0_to_1(self) -> None:
        array = to_array(Image.new("RGB", (3, 2), (255, 0, 51)))
        self.assertEqual((array.shape, array.dtype), ((3, 2, 3), np.float32))
        self.assertEqual(array[:, 0, 0].tolist(), [1.0, 0.0, np.float32(0.2)])

    def test_of_any_mode_are_read_as_rgb(self) -> None:
        for mode in ("L", "RGBA", "P", "1", "CMYK"):
            path = self.folder / f"{mode}.{'jpg' if mode == 'CMYK' else 'png'}"
            Image.new(mode, (5, 4)).save(path)
            self.assertEqual((open_picture(path).mode, open_picture(path).size), ("RGB", (5, 4)))

    def test_that_are_broken_are_named(self) -> None:
        draw_people(self.folder, 1, 1)
        whole = (self.folder / "p00" / "0.png").read_bytes()
        for length in (0, 10, 40, len(whole) // 2):
            broken = self.folder / f"{length}.png"
            broken.write_bytes(whole[:length])
            with self.assertRaisesRegex(Problem, f"{length}.png: not a picture"):
                open_picture(broken)

    def test_are_augmented_the_same_way_by_the_same_draws(self) -> None:
        picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8))
        variants = [np.asarray(augment(picture, 64, np.random.default_rng(seed))) for seed in (1, 1, 2)]
        self.assertEqual(variants[0].shape, (64, 64, 3))
        self.assertTrue((variants[0] == variants[1]).all())
        self.assertFalse((variants[0] == variants[2]).all())


class TheStreamOfTriplets(InFolder):
    def setUp(self) -> None:
        super().setUp()
        draw_people(self.folder, 5, 3, size=16)
        (self.folder / "p04" / "1.png").unlink()
        (self.folder / "p04" / "2.png").unlink()
        self.samples = folders.samples(folders.read(self.folder))

    def test_has_two_pictures_of_one_person_and_one_of_another(self) -> None:
        triplets = Triplets(self.samples, 16, seed=1)
        negatives: collections.Counter[int] = collections.Counter()
        for number in range(300):
            (anchor, positive, negative), _ = triplets.draw(number)
            labels = self.samples.labels
            self.assertNotEqual(anchor, positive)
            self.assertEqual(labels[anchor], labels[positive])
            self.assertNotEqual(labels[anchor], labels[negative])
            negatives[labels[negative]] += 1
        # A person of one picture can be a negative, and nothing else.
        self.assertEqual(set(negatives), {0, 1, 2, 3, 4})

    def test_is_the_same_from_wherever_it_starts_and_with_workers(self) -> None:
        triplets = Triplets(self.samples, 16, seed=1)
        whole = list(batches(triplets, 0, 4, per_batch=2))
        for part in (batches(triplets, 2, 4, per_batch=2), batches(triplets, 2, 4, per_batch=2, workers=2)):
            for batch, expected in zip(part, whole[2:], strict=True):
                self.assertTrue((batch.pictures == expected.pictures).all())
                self.assertTrue((batch.labels == expected.labels).all())

    def test_comes_as_anchors_then_positives_then_negatives(self) -> None:
        batch = next(batches(Triplets(self.samples, 16, seed=1), 0, 1, per_batch=4))
        self.assertEqual(batch.pictures.shape, (12, 3, 16, 16))
        anchors, positives, negatives = batch.labels.chunk(3)
        self.assertTrue((anchors == positives).all())
        self.assertTrue((anchors != negatives).all())

    def test_ends_with_the_name_of_a_broken_picture_with_workers_too(self) -> None:
        for picture in self.samples.pictures:
            picture.write_bytes(b"no picture")
        for workers in (0, 1):
            with self.assertRaisesRegex(Problem, r"^[^\n]*png: not a picture[^\n]*$"):
                next(batches(Triplets(self.samples, 16, seed=1), 0, 1, per_batch=2, workers=workers))
