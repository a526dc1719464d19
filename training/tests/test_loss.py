import unittest

import torch

from facenet_training.loss import semi_hard, triplet_loss


def on_a_line(*places: float) -> torch.Tensor:
    """Points [n, 1], so that distances can be read off."""
    return torch.tensor(places)[:, None].requires_grad_()


class TheTripletLoss(unittest.TestCase):
    def test_of_one_semi_hard_triplet_is_the_margin_minus_what_the_negative_is_farther(self) -> None:
        # d(a, p) = 0.5, d(a, n) = 0.6; seen from the positive the negative is 1.1 away, which is no loss.
        loss = triplet_loss(on_a_line(0.0, 0.5, -0.6), torch.tensor([0, 0, 1]), 0.2, "semi-hard")
        self.assertEqual(loss.triplets, 1)
        self.assertAlmostEqual(loss.mean.item(), 0.1, places=6)

    def test_pulls_the_positive_and_pushes_the_negative(self) -> None:
        points = on_a_line(0.0, 0.5, -0.6)
        triplet_loss(points, torch.tensor([0, 0, 1]), 0.2, "semi-hard").mean.backward()
        assert points.grad is not None
        self.assertEqual(points.grad.flatten().tolist(), [-2.0, 1.0, 1.0])

    def test_is_zero_and_can_be_differentiated_where_no_triplet_counts(self) -> None:
        points = on_a_line(0.0, 0.1, 5.0)
        for mining in ("semi-hard", "drawn"):
            loss = triplet_loss(points, torch.tensor([0, 0, 1]), 0.2, mining)
            self.assertEqual((loss.mean.item(), loss.triplets), (0.0, 0))
            loss.mean.backward()

    def test_as_drawn_counts_hard_triplets_and_no_other_than_those_drawn(self) -> None:
        # Two triplets: (0, 1, 0.4), which is hard, and (9, 9.1, 20), which has no loss.
        points = on_a_line(0.0, 9.0, 1.0, 9.1, 0.4, 20.0)
        loss = triplet_loss(points, torch.tensor([0, 1, 0, 1, 2, 3]), 0.2, "drawn")
        self.assertEqual(loss.triplets, 1)
        self.assertAlmostEqual(loss.mean.item(), 1.0 - 0.4 + 0.2, places=6)

    def test_of_equal_embeddings_has_gradients_that_are_numbers(self) -> None:
        points = torch.ones(6, 4, requires_grad=True)
        for mining in ("semi-hard", "drawn"):
            triplet_loss(points, torch.tensor([0, 1, 0, 1, 2, 3]), 0.2, mining).mean.backward()
        assert points.grad is not None
        self.assertTrue(points.grad.isfinite().all())


class SemiHardTriplets(unittest.TestCase):
    def test_are_those_whose_negative_is_farther_by_less_than_the_margin(self) -> None:
        # From picture 0, of person 0, whose other picture is 0.5 away.
        places = {2: 0.4, 3: 0.5, 4: 0.6, 5: 0.69, 6: 0.71}
        distances = torch.full((7, 7), 9.0)
        distances[0, 1] = 0.5
        for picture, distance in places.items():
            distances[0, picture] = distance
        labels = torch.tensor([0, 0, 1, 2, 3, 4, 5])
        found = set(zip(*(part.tolist() for part in semi_hard(distances, labels, 0.2))))
        self.assertEqual(found, {(0, 1, 4), (0, 1, 5)})

    def test_agree_with_the_definition_on_random_batches(self) -> None:
        torch.manual_seed(3)
        for _ in range(20):
            labels = torch.randint(0, 4, (12,))
            points = torch.nn.functional.normalize(torch.randn(12, 3), dim=1)
            d = torch.cdist(points, points)
            expected = {
                (a, p, n)
                for a in range(12) for p in range(12) for n in range(12)
                if a != p and labels[a] == labels[p] and labels[a] != labels[n] and d[a, p] < d[a, n] < d[a, p] + 0.2
            }  # fmt: skip
            found = set(zip(*(part.tolist() for part in semi_hard(d, labels, 0.2))))
            self.assertEqual(found, expected)
