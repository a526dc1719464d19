"""Writes what the tests of `watchlistd models import` compare with, beside this file. `make torch-fixture` runs it.

    answers.json    what PyTorch's networks answer. Weights and inputs are drawn from a generator that the tests have too
    *.pth           small files of torch.save, in both formats; keys in them are addresses, others each time
    tensors.json    what is in them
"""

import hashlib
import json
import math
import pathlib

import numpy
import torch

from networks import networks

HERE = pathlib.Path(__file__).parent


def draw(key, shape, low, high):
    """Uniform numbers, by splitmix64 (Steele et al., OOPSLA 2014) seeded with the key's FNV-1a."""
    seed = 0xCBF29CE484222325
    for byte in key.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    steps = numpy.arange(1, math.prod(shape) + 1, dtype=numpy.uint64)
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(seed) + steps * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    unit = (z >> numpy.uint64(40)).astype(numpy.float64) / 2**24
    return torch.from_numpy((low + (high - low) * unit).astype(numpy.float32)).reshape(shape)


def parameter(key, shape):
    """A parameter with which signals neither vanish nor explode."""
    if len(shape) > 1:
        most = math.sqrt(6 / math.prod(shape[1:]))
        return draw(key, shape, -most, most)
    ranges = {"running_var": (0.1, 1.1), "weight": (0.3, 0.9)}
    return draw(key, shape, *ranges.get(key.rsplit(".", 1)[1], (-0.05, 0.05)))


def blocks(key, height, width, side, low, high):
    """A picture of squares."""
    small = draw(key, (1, 3, height // side, width // side), low, high)
    return small.repeat_interleave(side, 2).repeat_interleave(side, 3)


def rounded(tensor):
    return [float(f"{number:.7g}") for number in tensor.flatten().tolist()]


def answer(name, network):
    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
    shapes = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    weights = {key: parameter(key, shape) for key, shape in shapes.items()}
    network.load_state_dict(weights, strict=False)
    network.eval()
    if name.startswith("facenet"):
        pictures = torch.cat([blocks(f"picture {i}", 160, 160, 16, 0, 1) for i in range(2)])
        outputs = {"embedding": network(pictures)}
        a, b = outputs["embedding"]
        print(f"{name}: similarity of the two {a @ b:.3f}, largest number {outputs['embedding'].abs().max():.3f}")
    else:
        # The maps are 5 x 7, 3 x 4 and 2 x 2: sides that are halved with and without a rest.
        outputs = network(blocks("picture 0", 40, 56, 8, -10, 10))
        ranges = [f"{key} {value.min():.3f} to {value.max():.3f}" for key, value in outputs.items()]
        print(f"{name}: {', '.join(ranges)}")
    names = "".join(f"{key} {shapes[key]}\n" for key in sorted(shapes))
    return {
        "parameters": len(shapes),
        "names_sha256": hashlib.sha256(names.encode()).hexdigest(),
        "outputs": {key: {"shape": list(value.shape), "values": rounded(value)} for key, value in outputs.items()},
    }


def small_files():
    base = draw("base", (6, 5), -1, 1)
    tensors = {
        "plain.weight": draw("plain", (2, 3), -1, 1),
        # Every other row from the second on, without the first column, turned: offset 6, strides 1 and 10.
        "view": base[1::2, 1:].t(),
        "same.storage": base[2],
        "half": draw("half", (3, 2), -100, 100).half(),
        "bfloat16": draw("bfloat16", (5,), -100, 100).bfloat16(),
        "double": draw("double", (4,), -1, 1).double(),
        "parameter": torch.nn.Parameter(draw("parameter", (2, 2), -1, 1)),
        "num_batches_tracked": torch.tensor(1234),
        "bytes": torch.tensor([0, 1, 255], dtype=torch.uint8),
        "empty": torch.zeros(0, 3),
    }
    torch.save(tensors, HERE / "zip.pth")
    torch.save(tensors, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    network = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)))
    with torch.no_grad():
        for key, value in network.state_dict().items():
            value.copy_(draw(key, value.shape, -1, 1))
    optimizer = torch.optim.Adam(network.parameters())
    checkpoint = {
        "epoch": 7,
        "best": 0.5,
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": [(1, 0.25), (2, None)],
    }
    torch.save(checkpoint, HERE / "checkpoint.pth")
    torch.save(torch.nn.Linear(2, 2), HERE / "module.pth")
    held = {key.removeprefix("module."): value for key, value in network.state_dict().items()}
    files = {"zip.pth": tensors, "legacy.pth": tensors, "checkpoint.pth": held}

    def described(tensor):
        return {"shape": list(tensor.shape), "values": tensor.detach().float().flatten().tolist()}

    return {file: {key: described(value) for key, value in held.items()} for file, held in files.items()}


def main():
    with torch.no_grad():
        answers = {name: answer(name, network) for name, network in networks().items()}
    (HERE / "answers.json").write_text(json.dumps(answers) + "\n")
    (HERE / "tensors.json").write_text(json.dumps(small_files()) + "\n")


main()
