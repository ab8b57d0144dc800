"""How much it flatters a result to choose the epoch on the images that it is then reported on, as the homework does.

    python bench/choosing.py single-conv --data cifar10
    python bench/choosing.py three-conv-gap --data cifar10 --epochs 50

No test image is read. Training is on train1, train3 and train4; after every epoch the 20,000 images of train2 and
train5 are predicted. They are then halved at random, many times: one half plays the homework's test set, on which
the epoch is chosen and reported; the other half, which chose nothing, says how good that epoch is. The mean of the
differences is what the choice flatters. The halvings are of one training, so their spread is that of drawing 10,000
images, not that of seeds.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import tenfold
from tenfold.data import Source, read_splits
from tenfold.inference.evaluation import predict_split
from tenfold.models import build_model
from tenfold.runs.folder import Run
from tenfold.training.loop import fit

TRAINING, HELD_OUT = ("train1", "train3", "train4"), ("train2", "train5")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True, help="the folder of train1 ... train5 and test")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--halvings", type=int, default=1000)
    options = parser.parse_args()
    changes = [f"fit.seed={options.seed}", *([f"fit.epochs={options.epochs}"] if options.epochs else [])]
    right = np.stack(list(right_by_epoch(tenfold.load_recipe(options.recipe, changes), options.data)))
    flattery, epochs = halve(right, options.halvings, np.random.default_rng(options.seed))
    low, high = np.percentile(flattery, [2.5, 97.5])
    print(f"{options.recipe}, {len(right)} epochs, seed {options.seed}, {right.shape[1]:,} held-out images")
    print(f"best epoch of all held-out images: {right.mean(1).argmax() + 1}, {right.mean(1).max():.2%}")
    print(
        f"choosing on one half flatters by {100 * flattery.mean():.2f} points (standard deviation "
        f"{100 * flattery.std():.2f}, 95 % of the halvings {100 * low:.2f} to {100 * high:.2f}; {len(flattery)} "
        f"halvings, {len(set(epochs))} different epochs chosen)"
    )


def right_by_epoch(recipe: tenfold.Recipe, data: Path) -> Iterator[np.ndarray]:
    """After every epoch, which held-out images the model then gets right: (images,) bool."""
    folders = {"train": tuple(str(data / name) for name in TRAINING), "test": (str(data / "test"),)}
    source = Source(**folders, validation=tuple(str(data / name) for name in HELD_OUT))
    splits = read_splits(recipe.data, source)
    channels, height, width = splits.image_shape
    model = build_model(
        recipe.model, (channels, height, width), len(splits.class_names), seed=recipe.fit.seed
    )
    with TemporaryDirectory() as folder:
        for record in fit(model, splits, recipe, Run(Path(folder))):
            told = predict_split(model, splits.validation, splits.class_names, torch.device("cpu"))
            right = told.probabilities.argmax(1) == told.labels
            print(f"epoch {record.epoch}: {right.mean():.2%}", flush=True)
            model.train()
            yield right


def halve(right: np.ndarray, times: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """By halving: the chosen epoch's accuracy where it was chosen less that elsewhere; and the epoch, from 0.

    `right` is (epochs, images).
    """
    differences, chosen = np.empty(times), np.empty(times, int)
    for number in range(times):
        order = generator.permutation(right.shape[1])
        one, other = (right[:, half].mean(1) for half in np.array_split(order, 2))
        chosen[number] = one.argmax()
        differences[number] = one[chosen[number]] - other[chosen[number]]
    return differences, chosen


if __name__ == "__main__":
    main()
