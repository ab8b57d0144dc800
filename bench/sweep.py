"""What a sweep costs beyond its training, how long homework 3 takes beside Keras, and what a second worker brings.

    python bench/sweep.py overhead
    python bench/sweep.py homework3 [--keras-python PYTHON] [--sizes 16,32,...] [--epochs 2] [--images N] [--full]
    python bench/sweep.py workers [--epochs 2] [--turns 3]

`homework3` measures a share of the 20 epochs (the first apart, because it holds the tracing and the warming up), in
turn with Keras size by size, and scales to 20. With --images both sides learn from so many training images, and
validate on a ninth as many; nothing is scaled for that. --full trains tenfold's side whole, without and with --prune.
It needs TENFOLD_CIFAR10 (or --data digits, to see that it works).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch

import tenfold
from tenfold.data import Source, Splits, read_splits
from tenfold.models import build_model
from tenfold.recipe import load_recipe
from tenfold.runs.folder import Run
from tenfold.sweeps.journal import Journal
from tenfold.training.loop import fit

EPOCHS = 20
SIZES = "16,32,64,128,256,512,1024"
PEER = Path(__file__).parent / "peers" / "keras_sweep.py"
TINY = ("model.filters=[8]", "model.dense=16", "augment=[]", "fit.epochs=3")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("overhead", "homework3", "workers"))
    parser.add_argument("--data", default=None, help="digits, instead of CIFAR-10's folders")
    parser.add_argument("--keras-python", type=Path)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--images", type=int, help="training images; without it, all")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--full", action="store_true")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        {"overhead": overhead, "homework3": homework3, "workers": workers}[options.what](
            options, Path(folder)
        )


# Overhead -------------------------------------------------------------------------------------------------------


def overhead(options: argparse.Namespace, out: Path) -> None:
    """Wall time from one trial's end to the next one's, on a warm worker, against `fit` alone in a warm process."""
    splits = read_splits(load_recipe("digits").data, Source("digits"))
    bare = [bare_seconds(splits, seed, out / f"bare-{seed}") for seed in range(options.repeats)][1:]
    watch = Watch(out / "sweep")
    with watch:
        tenfold.sweep("digits", overrides=TINY, seeds=options.repeats, out=out, name="sweep", progress=False)
    ends = np.diff(watch.ends)
    print(f"bare fit      {median(bare):.3f} s (median of {len(bare)})")
    print(f"sweep's trial {median(ends):.3f} s (median of {len(ends)})")
    print(f"overhead      {median(ends) - median(bare):.3f} s a trial (to reach: at most 0.2)")


def bare_seconds(splits: Splits, seed: int, folder: Path) -> float:
    recipe = load_recipe("digits", [*TINY, f"fit.seed={seed}"])
    channels, height, width = splits.image_shape
    model = build_model(recipe.model, (channels, height, width), len(splits.class_names), seed=seed)
    folder.mkdir()
    began = time.perf_counter()
    for _ in fit(model, splits, recipe, Run(folder)):
        pass
    return time.perf_counter() - began


class Watch:
    """Notes when the journal says that a trial ended: `append` is the one place where that happens."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ends = folder, []

    def __enter__(self) -> None:
        self.append = Journal.append
        append, ends = self.append, self.ends

        def noting(journal: Journal, event: dict) -> None:
            append(journal, event)
            if event["event"] == "ended":
                ends.append(time.perf_counter())

        Journal.append = noting

    def __exit__(self, *_: object) -> None:
        Journal.append = self.append


# Homework 3 -----------------------------------------------------------------------------------------------------


def homework3(options: argparse.Namespace, out: Path) -> None:
    source = cifar10() if options.data is None else {"data": options.data}
    splits = tenfold.load_splits(**source)
    counts = export(splits, out / "images.npz", options.images)
    source = {"data": out / "images.npz"}
    print(f"{counts['train']:,} training and {counts['val']:,} validation images, {EPOCHS} epochs")
    if options.keras_python:
        beside_keras(options, source, out)
    if options.full:
        whole, halved = (full(source, out, prune, options.sizes) for prune in (False, True))
        print(f"halving takes {whole / halved:.2f} times less")


def beside_keras(options: argparse.Namespace, source: dict, out: Path) -> None:
    """Both sides in turn, size by size, a share of the epochs scaled to all."""
    totals = {"keras": 0.0, "tenfold": 0.0}
    startup = []
    for size in options.sizes.split(","):
        peer = keras_size(options, source["data"], size)
        ours = tenfold_size(source, out, size, options.epochs)
        startup.append(peer["startup"])
        seconds = {"keras": scaled(**peer["sizes"][size]), "tenfold": scaled(**ours)}
        totals = {name: totals[name] + seconds[name] for name in totals}
        ratio = seconds["keras"] / seconds["tenfold"]
        print(
            f"{size:>5} filters  Keras {seconds['keras']:8.1f} s  tenfold {seconds['tenfold']:8.1f} s  {ratio:.2f}x"
        )
    totals["keras"] += mean(startup)  # The homework's loop starts one process.
    print(
        f"sum, scaled from {options.epochs} epochs: Keras {totals['keras']:.0f} s, "
        f"tenfold {totals['tenfold']:.0f} s, ",
        end="",
    )
    print(f"{totals['keras'] / totals['tenfold']:.2f}x (to reach: 4)")


def cifar10() -> dict[str, object]:
    folder = Path(os.environ["TENFOLD_CIFAR10"])
    return {"train": [folder / f"train{n}" for n in range(1, 6)], "test": [folder / "test"]}


def export(splits: Splits, path: Path, images: int | None) -> dict[str, int]:
    """Write what both sides read, a part of each split drawn at random; return how many images each has."""
    images = images or len(splits.train)
    parts = {
        "train": (splits.train, images),
        "val": (splits.validation, images // 9),
        "test": (splits.test, images),
    }
    arrays, generator = {}, np.random.default_rng(0)
    for name, (split, count) in parts.items():
        chosen = np.sort(generator.permutation(len(split))[:count])
        arrays |= {f"x_{name}": split.images(chosen), f"y_{name}": np.asarray(split.labels)[chosen]}
    np.savez(path, **arrays)
    return {name: len(arrays[f"y_{name}"]) for name in parts}


def keras_size(options: argparse.Namespace, images: Path, size: str) -> dict:
    command = [str(options.keras_python), str(PEER), str(images), str(options.epochs), size]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(done.stderr)
    measured = json.loads(done.stdout.splitlines()[-1])
    return {
        **measured,
        "startup": seconds - sum(measured["sizes"][size]["epochs"]) - measured["sizes"][size]["around"],
    }


def tenfold_size(source: dict, out: Path, size: str, epochs: int) -> dict:
    """A trial of the share, on a worker that a trial before it has warmed."""
    name = f"size-{size}"
    watch = Watch(out / name)
    with watch:
        tenfold.sweep(
            "sweep-filters", {"model.filters": [int(size)]}, **source, seeds=2, out=out, name=name, progress=False,
            overrides={"fit.epochs": epochs},
        )  # fmt: skip
    run = tenfold.load_run(out / name / "trial-0001")
    seconds = [record["seconds"] for record in run.history]
    return {"epochs": seconds, "around": float(np.diff(watch.ends)[0]) - sum(seconds)}


def scaled(epochs: list[float], around: float) -> float:
    """Seconds of the whole from the first epoch, the mean of the others, and what lies around them."""
    rest = epochs[1:] or epochs
    return epochs[0] + (EPOCHS - 1) * mean(rest) + around


def full(source: dict, out: Path, prune: bool, sizes: str) -> float:
    """The seconds of the whole sweep, its start and report included."""
    name = "halved" if prune else "whole"
    began = time.perf_counter()
    results = tenfold.sweep(
        "sweep-filters", {"model.filters": [int(size) for size in sizes.split(",")]}, **source, prune=prune,
        out=out, name=name, progress=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    print(f"{name}: {seconds:.0f} s with report; winner {results.winner}, ", end="")
    print(f"validation {results.rows[0].accuracy:.4f}, test {results.test['accuracy']:.4f}")
    return seconds


# Workers --------------------------------------------------------------------------------------------------------


def workers(options: argparse.Namespace, out: Path) -> None:
    """The same sweep on one worker with all threads, and on as many workers as threads with one each, in turn."""
    source = cifar10() if options.data is None else {"data": options.data}
    counts = {1: [], torch.get_num_threads(): []}
    for turn in range(options.turns):
        for count in counts:
            began = time.perf_counter()
            tenfold.sweep(
                "sweep-filters", {"model.filters": [16, 32, 64, 128]}, **source, workers=count, out=out,
                name=f"{turn}-{count}", overrides={"fit.epochs": options.epochs}, progress=False,
            )  # fmt: skip
            counts[count].append(time.perf_counter() - began)
    for count, seconds in counts.items():
        turns = ", ".join(f"{one:.1f}" for one in seconds)
        print(f"{count} workers: median {median(seconds):.1f} s ({turns}; starts and report included)")


if __name__ == "__main__":
    main()
