"""What helps classes of unequal size: weights, sampling, focal loss, logit adjustment, and what chooses the epoch.

    python bench/imbalance.py fast-86 --data /path/to/cifar10 --largest 1000 --ratios 10 50 100 --seeds 5
    python bench/imbalance.py backbone --data /path/to/cifar10 --largest 1000 --ratios 10 50 100 --seeds 5
    python bench/imbalance.py digits --largest 100 --ratios 10 50 --seeds 5

No test image is read. Class sizes fall from the largest to the smallest by equal ratios, as in Cui et al. (CVPR
2019), in an order of the classes that each seed draws. A tenth of the images, by class, chooses the epoch. What is
stated is measured on other training images, as many of each class: the mean recall over the classes, and the accuracy
and the macro F1 that classes of the training set's own sizes would give. Differences are paired by seed.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tenfold.data import Source, Split, Splits, read_splits
from tenfold.inference.evaluation import predict_split
from tenfold.recipe import Recipe, load_recipe
from tenfold.runs.metrics import averages
from tenfold.training.begin import new_model
from tenfold.training.learner import Learner
from tenfold.training.transfer import on_features
from tenfold.workbench.scaling import scaled_to

WAYS = {
    "none": {},
    "none, epoch by macro F1": {"stop.monitor": "validation_f1_macro"},
    "class_weights=balanced": {"fit.class_weights": "balanced"},
    "class_weights=balanced, epoch by macro F1": {
        "fit.class_weights": "balanced",
        "stop.monitor": "validation_f1_macro",
    },
    "sampler=balanced": {"fit.sampler": "balanced"},
    "focal_gamma=2": {"fit.focal_gamma": 2.0},
    "logit_adjustment=0.5": {"fit.logit_adjustment": 0.5},
    "logit_adjustment=1": {"fit.logit_adjustment": 1.0},
    "logit_adjustment=1, epoch by macro F1": {
        "fit.logit_adjustment": 1.0,
        "stop.monitor": "validation_f1_macro",
    },
}
CPU = torch.device("cpu")
# Of the held-out images of each class.
HELD_OUT = 200


def sizes(classes: int, largest: int, ratio: float) -> list[int]:
    """Images of each class, from the largest to the smallest."""
    return [round(largest * ratio ** (-k / (classes - 1))) for k in range(classes)]


def drawn(splits: Splits, largest: int, ratio: float, seed: int) -> Splits:
    """Training images of unequal classes, a tenth of them (by class) for validation, and held-out ones to test on."""
    generator = np.random.default_rng(seed)
    classes = len(splits.class_names)
    train, validation, held_out = [], [], []
    for label, size in zip(generator.permutation(classes), sizes(classes, largest, ratio), strict=True):
        members = generator.permutation(np.flatnonzero(splits.train.labels == label))
        rest = members[largest:][:HELD_OUT]
        judges = max(1, round(size / 10))
        held_out.append(rest)
        validation.append(members[:judges])
        train.append(members[judges:size])
    parts = {"train": train, "validation": validation, "test": held_out}
    return replace(splits, **{name: _part(splits.train, name, p, seed, ratio) for name, p in parts.items()})


def _part(split: Split, name: str, positions: list[np.ndarray], seed: int, ratio: float) -> Split:
    part = split.part(np.sort(np.concatenate(positions)))
    return replace(part, name=name, fingerprint=f"{split.fingerprint} {name} {seed} {ratio}")


def learned(splits: Splits, recipe: Recipe) -> np.ndarray:
    """The confusion matrix (K, K) on the held-out images."""
    fitting = on_features(new_model(recipe, splits), splits, recipe, CPU, lambda done, total: None)
    learner = Learner(fitting.model, fitting.splits, fitting.recipe, device=CPU, method=fitting.method)
    while learner.state.stop_reason is None:
        learner.run_epoch()
    learner.restore_best()
    said = predict_split(fitting.model, fitting.splits.test, splits.class_names, CPU)
    classes = len(splits.class_names)
    return np.bincount(said.labels * classes + said.predicted, minlength=classes**2).reshape(classes, classes)


def judged(matrix: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Mean recall, and accuracy and macro F1 as if the held-out classes had the sizes of the training classes."""
    natural = matrix / matrix.sum(1, keepdims=True) * (counts / counts.sum())[:, None]
    found = averages(natural)
    return {
        "balanced": float(np.mean(np.diag(matrix) / matrix.sum(1))),
        "accuracy": found["accuracy"],
        "f1": found["f1_macro"],
    }


def results(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """A record for each way, ratio and seed."""
    base = load_recipe(options.recipe, options.overrides)
    folders = tuple(str(options.data / f"train{n}") for n in (1, 3, 4)) if options.data else ()
    splits = read_splits(base.data, Source(None, folders) if folders else Source("digits"))
    for ratio in options.ratios:
        for seed in range(options.seeds):
            part = drawn(splits, options.largest, ratio, seed)
            counts = np.bincount(part.train.labels, minlength=len(part.class_names))
            for way in options.ways:
                # An epoch of the hardest images only would be a way of its own.
                changes = {"fit.hardest": [1.0], "stop.sample": None, **WAYS[way]}
                recipe = load_recipe(base, {"fit.seed": seed, **changes})
                if base.model.name == "swift":
                    recipe = scaled_to(recipe, len(part.train))
                yield {"ratio": ratio, "seed": seed, "way": way, **judged(learned(part, recipe), counts)}


def table(records: list[dict[str, object]]) -> Iterator[str]:
    """Means over seeds, and for the two that weigh classes alike the difference from doing nothing."""
    for ratio in sorted({record["ratio"] for record in records}, key=float):
        yield f"\n1:{ratio:g}\n| way | mean recall | macro F1 | accuracy |\n|---|---|---|---|"
        of = [record for record in records if record["ratio"] == ratio]
        for way in dict.fromkeys(record["way"] for record in records):
            cells = []
            for measure in ("balanced", "f1", "accuracy"):
                mine = np.array([r[measure] for r in of if r["way"] == way])
                gains = mine - np.array([r[measure] for r in of if r["way"] == "none"])
                spread = f" ({100 * gains.mean():+.1f} ± {100 * gains.std(ddof=1) / len(gains) ** 0.5:.1f})"
                cells.append(f"{100 * mine.mean():.1f}{spread if way != 'none' else ''}")
            yield f"| {way} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, help="the folder of train1 ... train5; without it, the digits")
    parser.add_argument("--largest", type=int, default=1000, help="images of the largest class")
    parser.add_argument("--ratios", type=float, nargs="+", default=[10.0, 50.0, 100.0])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="the first is none")
    parser.add_argument("--overrides", nargs="*", default=(), help="KEY=VALUE for the recipe")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the records to this file")
    options = parser.parse_args()
    records = []
    for record in results(options):
        records.append(record)
        print(json.dumps(record), flush=True)
        if options.json:
            options.json.write_text(json.dumps(records))
    print(*table(records), sep="\n")


if __name__ == "__main__":
    main()
