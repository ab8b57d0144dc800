"""What a change to a recipe does to its validation accuracy, beside the recipe as it is. No test image is predicted.

    python bench/ideas.py fast-86 --data cifar10 --seeds 3 --try "optimizer.other_lr=5" "fit.hardest=[1] fit.epochs=3"

Trains on train1, 3, 4 and 5 and validates on train2. Every variant is a string of `key=value` overrides; the recipe
itself is tried first, but for --only. Variants take turns within each seed, so that a machine whose speed changes
disturbs all alike. With one thread and a core each (OMP_NUM_THREADS=1 taskset -c 1), two searches can run at once.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from seeds import spread

import tenfold
from tenfold.data import Source, Splits, read_splits
from tenfold.models import build_model
from tenfold.runs.folder import Run
from tenfold.training.loop import fit

TRAINING, VALIDATION = ("train1", "train3", "train4", "train5"), ("train2",)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True, help="the folder of train1 ... train5 and test")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--try", dest="variants", nargs="+", default=[], help="strings of KEY=VALUE ...")
    parser.add_argument("--only", action="store_true", help="leave the recipe as it is out")
    options = parser.parse_args()
    variants = options.variants if options.only else ["", *options.variants]
    reached: dict[str, list[tuple[float, float, float]]] = {variant: [] for variant in variants}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for variant in variants:
            reached[variant].append(learn(options.recipe, f"{variant} fit.seed={seed}", options.data))
            accuracy, loss, seconds = reached[variant][-1]
            print(f"{accuracy:.2f} %  {loss:.4f}  {seconds:6.1f} s", f"seed {seed}  {variant}", flush=True)
    print("| change | n | validation accuracy % | loss | seconds |\n|---|---|---|---|---|")
    for variant, values in reached.items():
        print(row(variant or "(none)", values))


def learn(recipe_name: str, variant: str, data: Path) -> tuple[float, float, float]:
    """One training: accuracy (percent) and loss of the best epoch on the validation images, and seconds for all."""
    recipe = tenfold.load_recipe(recipe_name, variant.split())
    splits = notebook_splits(recipe, data)
    channels, height, width = splits.image_shape
    shape, classes = (channels, height, width), len(splits.class_names)
    model = build_model(recipe.model, shape, classes, seed=recipe.fit.seed)
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        epochs = list(fit(model, splits, recipe, Run(Path(folder))))
    best = max(epochs, key=lambda epoch: epoch.validation_accuracy)
    return 100 * best.validation_accuracy, best.validation_loss, time.perf_counter() - began


def notebook_splits(recipe: tenfold.Recipe, data: Path) -> Splits:
    """The notebooks' folders as splits; the test folder is named because a source has one, and left alone."""
    train, validation = (tuple(str(data / name) for name in names) for names in (TRAINING, VALIDATION))
    return read_splits(recipe.data, Source(train=train, validation=validation, test=(str(data / "test"),)))


def row(variant: str, values: list[tuple[float, float, float]]) -> str:
    """A line of Markdown with mean and standard deviation over the seeds."""
    accuracy, deviation, _ = spread([value[0] for value in values])
    loss, seconds = np.mean([value[1:] for value in values], axis=0)
    return f"| {variant} | {len(values)} | {accuracy:.2f} ± {deviation:.2f} | {loss:.4f} | {seconds:.1f} |"


if __name__ == "__main__":
    main()
