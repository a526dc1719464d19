#!/usr/bin/env python3
"""The figures of an evaluation, computed independently of the program: plain counting over every threshold, in NumPy.

    python3 tests/eval/reference.py > tests/eval/figures.json

The trials are made from whole numbers that SplitMix64 gives, so that the program's test (src/eval/tests/reference.rs) makes the very same
ones. Scores are multiples of 1/1024 with many ties; some comparisons could not be made.
"""

import json
import math

import numpy as np

MASK = (1 << 64) - 1


class SplitMix64:
    """Steele, Lea and Flood 2014."""

    def __init__(self, seed):
        self.state = seed & MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, bound):
        return (self.next() * bound) >> 64

    def shuffle(self, items):
        for last in range(len(items) - 1, 0, -1):
            other = self.below(last + 1)
            items[last], items[other] = items[other], items[last]


# ---- verification ----

PEOPLE, FOLDS, TRIALS, IN_USE, REPEATS = 60, 10, 6000, 0.5, 40
TARGETS = [(1, 10**k) for k in range(1, 7)]


def trials():
    """Score (NaN: not compared), mated, people a and b, fold."""
    random, rows = SplitMix64(2026), []
    for n in range(TRIALS):
        mated = n % 3 == 0
        a = random.below(PEOPLE)
        # Somebody else of the same fold.
        b = a if mated else (a + FOLDS * (1 + random.below(PEOPLE // FOLDS - 1))) % PEOPLE
        units = sum(random.below(256) for _ in range(3)) + (330 if mated else 0)
        lost = random.below(100) < 2
        rows.append((math.nan if lost else units / 1024 - 0.25, mated, a, b, a % FOLDS))
    score, mated, a, b, fold = (np.array(column) for column in zip(*rows))
    return score, mated.astype(bool), a, b, fold


def wilson(count, n):
    if n == 0:
        return None
    z = 1.959963984540054
    p = count / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return [0.0 if count == 0 else centre - half, 1.0 if count == n else centre + half]


def share(count, n):
    return {"count": int(count), "trials": int(n), "rate": count / n, "interval": wilson(count, n)}


def thresholds_of(scores):
    """Every distinct score, highest first."""
    return np.unique(scores)[::-1]


def at_rate(mated, non_mated, target):
    """The lowest threshold with a false accept rate of at most the target; infinity if there is none."""
    errors, in_trials = target
    best = math.inf
    for threshold in thresholds_of(np.concatenate([mated, non_mated])):
        if np.sum(non_mated >= threshold) * in_trials <= errors * len(non_mated):
            best = threshold
    return best


def claim(target, n):
    errors, in_trials = target
    if n * errors < 3 * in_trials:
        return "not_enough_trials"
    return "indicative" if n * errors < 30 * in_trials else "supported"


def auc(mated, non_mated, lost):
    wins = np.sign(mated[:, None] - non_mated[None, :])
    return float((np.sum(wins) + wins.size) / 2 / ((len(mated) + lost) * len(non_mated)))


def eer(mated, non_mated, lost):
    before = (1.0, 0.0)
    for threshold in thresholds_of(np.concatenate([mated, non_mated])):
        misses = 1 - np.sum(mated >= threshold) / (len(mated) + lost)
        matches = np.sum(non_mated >= threshold) / len(non_mated)
        if matches >= misses:
            # Both rates as straight lines from one point to the next: where they meet.
            part = (before[0] - before[1]) / ((before[0] - misses) + (matches - before[1]))
            return float(before[1] + part * (matches - before[1]))
        before = (misses, matches)
    raise AssertionError("the rates do not meet")


def operating_points(mated, non_mated, lost, targets):
    points = []
    for target in targets:
        said = claim(target, len(non_mated))
        point = {"far": target[0] / target[1], "claim": said, "threshold": None, "false_accepts": None, "tar": None}
        if said != "not_enough_trials":
            threshold = at_rate(mated, non_mated, target)
            point["threshold"] = None if math.isinf(threshold) else float(threshold)
            point["false_accepts"] = share(np.sum(non_mated >= threshold), len(non_mated))
            point["tar"] = share(np.sum(mated >= threshold), len(mated) + lost)
        points.append(point)
    return points


def balanced(score, mated, threshold):
    """Mean of both shares of right answers; NaN scores are never right."""
    accepted = np.nan_to_num(score, nan=-math.inf) >= threshold
    rejected = np.nan_to_num(score, nan=math.inf) < threshold
    return (np.mean(accepted[mated]) + np.mean(rejected[~mated])) / 2


def accuracy(score, mated, fold):
    folds = []
    for test in range(FOLDS):
        here, train = fold == test, fold != test
        known = np.unique(score[train & ~np.isnan(score)])
        # Halfway between neighbours, below all, and above all; highest first.
        candidates = [math.inf] + list((known[1:] + known[:-1])[::-1] / 2) + [known[0]]
        m, n = np.sum(mated & train), np.sum(~mated & train)
        gains = []
        for threshold in candidates:
            accepted = train & (np.nan_to_num(score, nan=-math.inf) >= threshold)
            gains.append(int(np.sum(accepted & mated)) * int(n) - int(np.sum(accepted & ~mated)) * int(m))
        best = [i for i, gain in enumerate(gains) if gain == max(gains)]
        threshold = candidates[best[(len(best) - 1) // 2]]
        folds.append({"threshold": float(threshold), "accuracy": float(balanced(score[here], mated[here], threshold))})
    values = np.array([f["accuracy"] for f in folds])
    deviation = float(np.std(values, ddof=1))
    return {"mean": float(np.mean(values)), "standard_deviation": deviation,
            "standard_error": deviation / math.sqrt(FOLDS), "folds": folds}


def middle(values):
    values = sorted(values)
    low = int((len(values) - 1) * 0.025)
    return [float(values[low]), float(values[len(values) - 1 - low])]


def bootstrap(score, mated, a, b, targets, people, seed):
    """People drawn with replacement; every trial repeated as often as its people were drawn."""
    random, draws = SplitMix64(seed), []
    for _ in range(REPEATS):
        weight = np.zeros(people, dtype=np.int64)
        for _ in range(people):
            weight[random.below(people)] += 1
        times = np.where(a == b, weight[a], weight[a] * weight[b])
        m = np.repeat(score[mated], times[mated])
        n = np.repeat(score[~mated], times[~mated])
        n = n[~np.isnan(n)]
        lost, m = int(np.sum(np.isnan(m))), m[~np.isnan(m)]
        tars = []
        for target in targets:
            tars.append(np.sum(m >= at_rate(m, n, target)) / (len(m) + lost))
        draws.append((auc(m, n, lost), eer(m, n, lost), tars))
    return {"auc": middle([d[0] for d in draws]), "eer": middle([d[1] for d in draws]),
            "tar": [middle([d[2][i] for d in draws]) for i in range(len(targets))]}


def verification(failures):
    score, mated, a, b, fold = trials()
    made = ~np.isnan(score)
    not_compared = share(np.sum(~made), len(score))
    if failures == "left_out":
        score, mated, a, b, fold = (column[made] for column in (score, mated, a, b, fold))
        made = ~np.isnan(score)
    m, n = score[mated & made], score[~mated & made]
    lost = int(np.sum(mated & ~made))
    return {
        "not_compared": not_compared,
        "auc": auc(m, n, lost),
        "eer": eer(m, n, lost),
        "at": operating_points(m, n, lost, TARGETS),
        "in_use": {"far": share(np.sum(n >= IN_USE), len(n)), "tar": share(np.sum(m >= IN_USE), len(m) + lost)},
        "accuracy": accuracy(score, mated, fold),
        "intervals": bootstrap(score, mated, a, b, TARGETS, PEOPLE, 7),
    }


# ---- identification ----

CROWD, DIMENSION, NO_FACE = 90, 16, 23
SEARCH_TARGETS = [(3, 10), (1, 10), (3, 100), (1, 100), (3, 1000), (1, 1000), (1, 10000)]
THRESHOLD = 0.75


def pictures_of(person):
    return 1 + person % 6


def templates():
    """A vector a picture (None: no face), around the person's own."""
    random, vectors = SplitMix64(77), {}
    for person in range(CROWD):
        own = [random.below(2001) - 1000 for _ in range(DIMENSION)]
        for picture in range(pictures_of(person)):
            raw = np.array([x + random.below(1601) - 800 for x in own], dtype=np.float64)
            unit = (raw / math.sqrt(float(np.sum(raw * raw)))).astype(np.float32)
            vectors[person, picture] = None if random.below(NO_FACE) == 0 else unit.astype(np.float64)
    return vectors


def divide(share_enrolled, each, seed):
    random, order = SplitMix64(seed), list(range(CROWD))
    random.shuffle(order)
    wanted, enrolled, templates_of, mated, non_mated = round(CROWD * share_enrolled), 0, [], [], []
    for person in order:
        own = [(person, picture) for picture in range(pictures_of(person))]
        random.shuffle(own)
        if len(own) < 2 or enrolled == wanted:
            non_mated += own
            continue
        count = min(each, len(own) - 1)
        templates_of += own[:count]
        mated += own[count:]
        enrolled += 1
    return templates_of, mated, non_mated, enrolled


def searching(point):
    """A point in the terms of searches."""
    hits = point["tar"]
    return {"target": point["far"], "claim": point["claim"], "threshold": point["threshold"],
            "fpir": point["false_accepts"],
            "fnir": hits and share(hits["trials"] - hits["count"], hits["trials"])}


def identification(failures, rank):
    vectors = templates()
    enrolled, mated, non_mated, people = divide(0.5, 2, 5)
    gallery = {}
    for place in enrolled:
        if vectors[place] is not None:
            gallery.setdefault(place[0], []).append(vectors[place])

    def scores(probe):
        return {person: max(float(probe @ template) for template in own) for person, own in gallery.items()}

    found, ranks, tops = [], [], []
    for place in mated:
        probe = vectors[place]
        if probe is None or place[0] not in gallery:
            found.append(math.nan)
            ranks.append(10**9)
            continue
        all_scores = scores(probe)
        own = all_scores.pop(place[0])
        found.append(own)
        ranks.append(1 + sum(other >= own for other in all_scores.values()))
    for place in non_mated:
        if vectors[place] is not None:
            tops.append(max(scores(vectors[place]).values()))
    found, ranks, tops = np.array(found), np.array(ranks), np.array(tops)
    if failures == "left_out":
        ranks, found = ranks[~np.isnan(found)], found[~np.isnan(found)]
    counted = found[~np.isnan(found) & (ranks <= rank)]
    lost = len(found) - len(counted)
    probes = mated + non_mated
    return {
        "identities": len(gallery),
        "templates": sum(len(own) for own in gallery.values()),
        "failed_to_enrol": share(people - len(gallery), people),
        "failed_to_acquire": share(sum(vectors[place] is None for place in probes), len(probes)),
        "rank_1": share(np.sum(ranks <= 1), len(found)),
        "rank_5": share(np.sum(ranks <= 5), len(found)),
        "at": [searching(point) for point in operating_points(counted, tops, lost, SEARCH_TARGETS)],
        "in_use": {"fpir": share(np.sum(tops >= THRESHOLD), len(tops)),
                   "fnir": share(len(found) - np.sum(counted >= THRESHOLD), len(found))},
    }


def main():
    figures = {
        "verification": {failures: verification(failures) for failures in ("wrong", "left_out")},
        "identification": {
            f"{failures}_{rank}": identification(failures, rank)
            for failures in ("wrong", "left_out") for rank in (1, 3)
        },
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
