"""tenfold's own training of a notebook's recipe on the notebooks' folders; see bench/notebook_speed.py.

The real path: recipe, folders (packed on first use), splits, model, `fit`. Only the numbers of images are cut, so
that the first epoch warms up and the second is timed, without their validation.
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

# As the command line does, before PyTorch is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch

import tenfold
from tenfold.data import Source, Split, Splits, read_splits
from tenfold.models import build_model
from tenfold.recipe import Recipe
from tenfold.runs.folder import Run
from tenfold.training.loop import fit

TRAIN, VALIDATION, TEST = ("train1", "train3", "train4", "train5"), "train2", "test"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warmup", type=int, required=True)
    options = parser.parse_args()
    recipe = tenfold.load_recipe(options.recipe, ["fit.epochs=1", "stop.patience=none"])
    splits = read_splits(recipe.data, source_of(options.data))
    model = build_model(recipe.model, (3, 32, 32), len(splits.class_names))
    for steps in (options.warmup, options.steps):
        seconds = epoch_seconds(model, cut_splits(splits, steps * recipe.fit.batch_size), recipe)
    versions = f"tenfold {tenfold.__version__}, torch {torch.__version__}"
    print(json.dumps({"seconds": seconds, "versions": versions}))


def source_of(data: Path) -> Source:
    return Source(
        train=tuple(str(data / name) for name in TRAIN),
        validation=(str(data / VALIDATION),),
        test=(str(data / TEST),),
    )


def cut_splits(splits: Splits, images: int) -> Splits:
    """The first training images, and so few of the others that they cost nothing."""
    return replace(
        splits,
        train=cut(splits.train, images),
        validation=cut(splits.validation, 1),
        test=cut(splits.test, 1),
    )


def cut(split: Split, images: int) -> Split:
    return replace(
        split,
        rows=split.rows[:images],
        labels=split.labels[:images],
        paths=split.paths[:images],
        folders=(min(images, len(split)),),
    )


def epoch_seconds(model: torch.nn.Module, splits: Splits, recipe: Recipe) -> float:
    """The seconds of one epoch of tenfold's training loop."""
    with empty_run() as run:
        (epoch,) = fit(model, splits, recipe, run)
    return epoch.seconds


@contextmanager
def empty_run() -> Iterator[Run]:
    with TemporaryDirectory() as folder:
        yield Run(folder)


if __name__ == "__main__":
    main()
