#!/usr/bin/env python3
"""The plain loop: OpenCV decodes, RetinaFace finds faces, each face is warped and embedded, one after the other.

    loop.py video VIDEO DETECTOR EMBEDDER [--tracks FILE] [--flush]   every frame, every face
    loop.py embed CROPS.npy EMBEDDER --threads N [--flush]            embedding alone (0: the session's own default)

Prints one JSON line. This is what a tutorial does, with the same two models as the daemon and one thread.
"""

import argparse
import json
import os
import resource
import sys
import time

import cv2
import numpy as np
import onnxruntime as ort

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
STRIDES = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def session(path, threads, flush=False):
    options = ort.SessionOptions()
    if flush:
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if threads:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def anchors(height, width):
    out = []
    for stride, sizes in STRIDES:
        h, w = -(-height // stride), -(-width // stride)
        ys, xs = np.mgrid[0:h, 0:w]
        level = np.stack(
            [
                np.stack([(xs + 0.5) * stride, (ys + 0.5) * stride, np.full((h, w), s), np.full((h, w), s)], -1)
                for s in sizes
            ],
            2,
        )
        out.append(level.reshape(-1, 4))
    return np.concatenate(out).astype(np.float32)


def nms(boxes, scores, limit):
    order, kept = scores.argsort()[::-1], []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        corner = np.maximum(boxes[best, :2], boxes[rest, :2])
        other = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = np.prod(np.clip(other - corner, 0, None), axis=1)
        order = rest[overlap / (areas[best] + areas[rest] - overlap) <= limit]
    return kept


class Detector:
    def __init__(self, path, threads, width, height, score, flush):
        self.session = session(path, threads, flush)
        self.width, self.height, self.score = width, height, score
        self.anchors = {}

    def __call__(self, frame):
        h, w = frame.shape[:2]
        scale = min(self.width / w, self.height / h, 1.0)
        size = (round(w * scale), round(h * scale))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
        tensor = (small.astype(np.float32) - (104, 117, 127)).transpose(2, 0, 1)[None].astype(np.float32)
        loc, conf, landmarks = self.session.run(["loc", "conf", "landmarks"], {"input": tensor})
        prior = self.anchors.setdefault(size, anchors(size[1], size[0]))
        good = conf[0, :, 1] >= self.score
        prior, loc, landmarks, scores = prior[good], loc[0][good], landmarks[0][good], conf[0, good, 1]
        centre = prior[:, :2] + loc[:, :2] * 0.1 * prior[:, 2:]
        extent = prior[:, 2:] * np.exp(loc[:, 2:] * 0.2)
        boxes = np.concatenate([centre - extent / 2, centre + extent / 2], 1)
        points = prior[:, None, :2] + landmarks.reshape(-1, 5, 2) * 0.1 * prior[:, None, 2:]
        return [(boxes[i] / scale, points[i] / scale, float(scores[i])) for i in nms(boxes, scores, 0.4)]


def embed(embedder, crop):
    tensor = ((crop.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
    vector = embedder.run(None, {embedder.get_inputs()[0].name: tensor})[0][0]
    return vector / np.linalg.norm(vector)


def video(arguments):
    cv2.setNumThreads(1)
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"
    detector = Detector(
        arguments.detector, 1, arguments.width, arguments.height, arguments.score, arguments.flush
    )
    embedder = session(arguments.embedder, 1, arguments.flush)
    reader = cv2.VideoCapture(arguments.video)
    frames = faces = 0
    seen = []
    started, cpu = time.perf_counter(), cpu_seconds()
    while True:
        good, frame = reader.read()
        if not good:
            break
        for box, points, score in detector(frame):
            matrix, _ = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)
            if matrix is None:
                continue
            vector = embed(embedder, cv2.warpAffine(frame, matrix, (112, 112)))
            faces += 1
            if arguments.tracks:
                seen.append({"frame": frames, "box": [float(x) for x in box], "score": score, "vector": vector.tolist()})
        frames += 1
    result = {"frames": frames, "faces": faces, "cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - started}
    if arguments.tracks:
        with open(arguments.tracks, "w") as file:
            json.dump(seen, file)
    return result


def embed_alone(arguments):
    crops = np.load(arguments.crops)
    embedder = session(arguments.embedder, arguments.threads, arguments.flush)
    for crop in crops[:8]:
        embed(embedder, crop)
    started, cpu, count = time.perf_counter(), cpu_seconds(), 0
    while time.perf_counter() - started < arguments.seconds:
        for crop in crops:
            embed(embedder, crop)
        count += len(crops)
    return {"faces": count, "cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - started}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    loop = verbs.add_parser("video")
    loop.add_argument("video")
    loop.add_argument("detector")
    loop.add_argument("embedder")
    loop.add_argument("--width", type=int, default=640)
    loop.add_argument("--height", type=int, default=640)
    loop.add_argument("--score", type=float, default=0.7)
    loop.add_argument("--tracks", help="write every face with its box and vector there (for matching people)")
    alone = verbs.add_parser("embed")
    alone.add_argument("crops")
    alone.add_argument("embedder")
    alone.add_argument("--threads", type=int, default=1)
    alone.add_argument("--seconds", type=float, default=3.0)
    for verb in (loop, alone):
        verb.add_argument("--flush", action="store_true", help="treat denormal numbers as zero, which few know to ask for")
    arguments = parser.parse_args()
    result = video(arguments) if arguments.verb == "video" else embed_alone(arguments)
    result["versions"] = {
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": ort.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
