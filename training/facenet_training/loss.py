"""The triplet loss (Schroff et al. 2015, section 3.1), on Euclidean distances as in the tutorial.

    loss(a, p, n) = max(d(a, p) - d(a, n) + margin, 0)

    d(a, n) - d(a, p):   < 0         0..margin      > margin
                         hard        semi-hard      no loss
"""

from dataclasses import dataclass

import torch

MININGS = ("semi-hard", "drawn")
"""Which triplets of a batch count; see `triplet_loss`."""


@dataclass(frozen=True)
class TripletLoss:
    """The mean over the triplets that count, a scalar that can be differentiated, and how many these are."""

    mean: torch.Tensor
    triplets: int


def triplet_loss(embeddings: torch.Tensor, labels: torch.Tensor, margin: float, mining: str) -> TripletLoss:
    """The loss of a batch: `embeddings` float32 [n, d], `labels` int64 [n].

    `semi-hard`: of all triplets that the batch has, those whose negative is farther than the positive, by less than the
    margin. `drawn`: only the triplets as they were drawn (first third anchors, second positives, third negatives), those
    that have a loss, hard ones too; this is what the tutorial's code does. Zero where no triplet counts.
    """
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    if mining == "semi-hard":
        anchor, positive, negative = semi_hard(distances.detach(), labels, margin)
    else:
        anchor, positive, negative = torch.arange(len(labels), device=labels.device).chunk(3)
    losses = (distances[anchor, positive] - distances[anchor, negative] + margin).clamp(min=0)
    count = int((losses > 0).sum())
    return TripletLoss(losses.sum() / max(count, 1), count)


def semi_hard(distances: torch.Tensor, labels: torch.Tensor, margin: float) -> tuple[torch.Tensor, ...]:
    """Anchors, positives and negatives, int64 [triplets] each, with d(a, p) < d(a, n) < d(a, p) + margin.

    `distances` is float [n, n], `labels` int64 [n]. Needs memory for n^3 truth values.
    """
    same = labels[:, None] == labels[None, :]
    is_self = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    further = distances[:, None, :] - distances[:, :, None]
    wanted = (same & ~is_self)[:, :, None] & ~same[:, None, :] & (further > 0) & (further < margin)
    return wanted.nonzero(as_tuple=True)
