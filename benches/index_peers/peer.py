#!/usr/bin/env python3
"""One peer, one thread: builds its index over the rows of a file, then answers for the probes of another, as often as it is asked.

    peer.py NAME ROWS.f32 PROBES.f32 DIMENSION K

Prints a JSON line when it is built, then one for each line it reads: microseconds of each search, and the nearest row with its score.
"""

import json
import sys
import time

import numpy as np


def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def faiss_flat(rows):
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)

    def search(probe, k):
        scores, found = index.search(probe, k)
        return found[0, 0], scores[0, 0]

    return f"faiss {faiss.__version__}", search, index


def hnswlib(rows, ef):
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=200, M=16)
    index.set_num_threads(1)
    index.add_items(rows, np.arange(len(rows)), num_threads=1)

    def search(probe, k):
        index.set_ef(max(ef, k))
        found, distances = index.knn_query(probe, k=k, num_threads=1)
        return found[0, 0], 1.0 - distances[0, 0]

    return "hnswlib 0.8.0", search, index


def usearch(rows, ef):
    import usearch
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="ip", dtype="f32", connectivity=16, expansion_add=200, expansion_search=ef)
    index.add(np.arange(len(rows)), rows, threads=1)

    def search(probe, k):
        matches = index.search(probe[0], k, threads=1)
        return matches.keys[0], 1.0 - matches.distances[0]

    return f"usearch {usearch.__version__}", search, index


PEERS = {
    "faiss-flat": faiss_flat,
    "hnswlib-64": lambda rows: hnswlib(rows, 64),
    "hnswlib-256": lambda rows: hnswlib(rows, 256),
    "usearch-64": lambda rows: usearch(rows, 64),
}


def main():
    name, rows, probes, dimension, k = sys.argv[1:]
    dimension, k = int(dimension), int(k)
    rows = np.fromfile(rows, np.float32).reshape(-1, dimension)
    probes = np.fromfile(probes, np.float32).reshape(-1, 1, dimension)
    PEERS[name](rows[:100])  # What it loads is no memory of the index.
    before, started = resident(), time.perf_counter()
    version, search, _index = PEERS[name](rows)
    built = {"version": version, "build_s": time.perf_counter() - started, "memory": resident() - before}
    print(json.dumps(built), flush=True)
    for _ in sys.stdin:
        micros, nearest = [], []
        for probe in probes:
            started = time.perf_counter_ns()
            row, score = search(probe, k)
            micros.append((time.perf_counter_ns() - started) / 1e3)
            nearest.append([int(row), float(score)])
        print(json.dumps({"micros": micros, "nearest": nearest}), flush=True)


if __name__ == "__main__":
    main()
