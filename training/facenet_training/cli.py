"""`python3 -m facenet_training`: train, evaluate, export, demonstrate."""

import argparse
import dataclasses
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from facenet_training import checkpoint, lfw
from facenet_training import demonstrate as demonstration
from facenet_training.data import folders
from facenet_training.evaluation import Pairs, all_pairs
from facenet_training.export import export
from facenet_training.loss import MININGS
from facenet_training.models.facenet import FAMILIES, FaceNet
from facenet_training.problem import Problem
from facenet_training.recipe import OPTIMIZERS, Recipe
from facenet_training.run import Run, Setting, measure, prepare_output

RECIPE_KEYS = frozenset(field.name for field in dataclasses.fields(Recipe))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        options.command(options)
    except Problem as problem:
        print(f"facenet_training: {problem}", file=sys.stderr)
        return problem.status
    except KeyboardInterrupt:
        return 130
    return os.EX_OK


def _train(options: argparse.Namespace) -> None:
    prepare_output(options.output, options.resume)
    identities = folders.read(options.data)
    asked = {key: value for key, value in vars(options).items() if key in RECIPE_KEYS}
    pairs = _lfw(options)
    if options.resume:
        recipe = dataclasses.replace(checkpoint.load(options.output / "last.pth").recipe, **asked)
    else:
        recipe = Recipe(**{"held_out": 0 if pairs else _usual_held_out(identities), **asked})
    run = Run(recipe, identities, pairs, _setting(options, options.output))
    if options.resume:
        run.resume()
    run.go()
    best = run.last.with_name("best.pth")
    # Without anybody to evaluate on, no epoch is better than another.
    chosen = best if best.exists() else run.last
    print(f"{run.last}: the last epoch. Next: python3 -m facenet_training export {chosen}")


def _evaluate(options: argparse.Namespace) -> None:
    stored = checkpoint.load(options.checkpoint)
    pairs = _lfw(options) or _folder_pairs(options, stored)
    network = FaceNet(stored.recipe.backbone, stored.identities)
    network.load_state_dict(stored.state.network)
    setting = _setting(options, options.checkpoint.parent)
    print(measure(network.to(setting.device), pairs, stored.recipe, setting))


def _export(options: argparse.Namespace) -> None:
    weights = options.output or options.checkpoint.with_name(f"facenet-{options.checkpoint.stem}.pth")
    program = options.watchlistd or shutil.which("watchlistd")
    if program is None:
        raise Problem("watchlistd is not on the PATH; name the program with --watchlistd", os.EX_UNAVAILABLE)
    print(export(checkpoint.load(options.checkpoint), weights, Path(program), options.force), end="")


def _demonstrate(options: argparse.Namespace) -> None:
    asked = {key: value for key, value in vars(options).items() if key in RECIPE_KEYS}
    recipe = dataclasses.replace(demonstration.RECIPE, **asked)
    print(demonstration.demonstrate(folders.read(options.data), recipe, options.seeds, options.jobs))


def _lfw(options: argparse.Namespace) -> Pairs | None:
    if (options.lfw is None) != (options.pairs is None):
        raise Problem("--lfw FOLDER and --pairs FILE go together", os.EX_USAGE)
    return lfw.read(options.lfw, options.pairs) if options.lfw else None


def _folder_pairs(options: argparse.Namespace, stored: checkpoint.Checkpoint) -> Pairs:
    """The folder's people; if the network was trained on this very folder, only those who were held out."""
    if options.data is None:
        raise Problem("nothing to measure on: name a folder of people, or --lfw and --pairs", os.EX_USAGE)
    identities = folders.read(options.data)
    if folders.digest(identities) == stored.data:
        _, identities = folders.split(identities, stored.recipe.held_out, stored.recipe.seed)
        print(f"trained on this folder: only the {len(identities)} people who were held out are compared")
    return all_pairs(identities)


def _usual_held_out(identities: Sequence[folders.Identity]) -> int:
    """A tenth of the people, 100 at most; nobody where that gives too few to measure on."""
    tenth = min(100, len(identities) // 10)
    return tenth if tenth >= 2 else 0


def _setting(options: argparse.Namespace, output: Path) -> Setting:
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    if options.device == "cuda" and usual != "cuda":
        raise Problem("--device cuda: PyTorch finds no GPU (torch.cuda.is_available() is false)", os.EX_UNAVAILABLE)
    return Setting(output, torch.device(options.device or usual), options.workers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m facenet_training", description="Trains FaceNet for watchlistd.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train on a folder with a folder of pictures for each person")
    train.add_argument("data", type=Path, metavar="DATA")
    train.add_argument("--output", type=Path, default=Path("run"), help="checkpoints and the event file [%(default)s]")
    train.add_argument("--resume", action="store_true", help="go on from OUTPUT/last.pth, with its recipe")
    _add_recipe(train, Recipe())
    _add_measuring(train)
    train.set_defaults(command=_train)

    evaluate = commands.add_parser("evaluate", help="verification on people, or on LFW's pairs")
    evaluate.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    evaluate.add_argument("data", type=Path, nargs="?", metavar="DATA")
    _add_measuring(evaluate)
    evaluate.set_defaults(command=_evaluate)

    export_ = commands.add_parser("export", help="the weights, and with watchlistd the ONNX file and its manifest")
    export_.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    export_.add_argument("--watchlistd", type=Path, metavar="PATH", help="the program [watchlistd on the PATH]")
    export_.add_argument("--output", type=Path, metavar="NAME.pth", help="[facenet-CHECKPOINT.pth beside it]")
    export_.add_argument("--force", action="store_true", help="write over files that are there")
    export_.set_defaults(command=_export, threads=None)

    demonstrate_ = commands.add_parser("demonstrate", help="gain on held-out people, against shuffled labels")
    demonstrate_.add_argument("data", type=Path, metavar="DATA")
    demonstrate_.add_argument("--seeds", type=int, default=5, help="how many, from --seed on [%(default)s]")
    demonstrate_.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at once [%(default)s]")
    _add_recipe(demonstrate_, demonstration.RECIPE)
    demonstrate_.set_defaults(command=_demonstrate, threads=None)
    return parser


def _add_recipe(parser: argparse.ArgumentParser, usual: Recipe) -> None:
    def add(key: str, help: str, **how: Any) -> None:
        value = getattr(usual, key)
        # Left out where it is not given: a resumed run takes the stored one.
        flag = f"--{key.replace('_', '-')}"
        text = help if value in (None, True, False) else f"{help} [{value}]"
        parser.add_argument(flag, dest=key, default=argparse.SUPPRESS, help=text, **how)

    add("backbone", "the network", choices=list(FAMILIES))
    add("size", "pixels a side of the input", type=int)
    add("epochs", "times that about all pictures are shown", type=int)
    add("batch", "pictures a step, a multiple of 3", type=int)
    add("optimizer", "adam or sgd", choices=list(OPTIMIZERS))
    add("learning_rate", "at its peak; adam's 0.001 and sgd's 0.01 are usual", type=float)
    add("weight_decay", "adam's 0 and sgd's 0.0005 are usual", type=float)
    add("warm_up", "part of the run in which the learning rate rises", type=float)
    add("margin", "of the triplet loss", type=float)
    add("mining", "which triplets of a batch count", choices=list(MININGS))
    add("dropout", "before the bottleneck", type=float)
    add("clip", "the gradient's greatest length [none]", type=float)
    add("seed", "of the split, the weights and all that is drawn", type=int)
    add("held_out", "people who are not trained on", type=int)
    add("amp", "mixed precision", action="store_true")
    parser.add_argument(
        "--no-augmentation", dest="augmented", action="store_false", default=argparse.SUPPRESS, help="pictures as they are"
    )


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lfw", type=Path, metavar="FOLDER", help="LFW's pictures, for evaluation")
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="LFW's pairs.txt")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="[cuda if there is a GPU]")
    parser.add_argument("--workers", type=int, default=0, help="processes that load pictures [%(default)s]")
    parser.add_argument("--threads", type=int, help="of PyTorch on the CPU [one a core]")
