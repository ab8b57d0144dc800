"""Complete small run folders without training a network: real predictions of scikit-learn's logistic regression."""

import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tenfold.data import Source, Split, Splits, read_splits
from tenfold.data.source import SPLIT_NAMES
from tenfold.recipe import load_recipe
from tenfold.runs.folder import Run
from tenfold.runs.metrics import cross_entropy, measure
from tenfold.runs.predictions import Predictions

STEPS = 6
ANIMALS = ("cat", "dog", "owl")


def digits_run(path: Path, *, strength: float = 1.0, seed: int = 0, recipe: str = "digits") -> Run:
    """A run on the bundled digits whose "epochs" are steps of the regression's solver; `strength` is its C."""
    run = new_run(path, recipe, seed)
    splits = read_splits(run.recipe.data, Source("digits"))
    run.data = splits.describe()
    flat = {split.name: split.images(slice(None)).reshape(len(split), -1) / 255 for split in splits}
    random = np.random.default_rng(seed)
    rows = random.permutation(len(splits.train))[: len(splits.train) * 2 // 3]
    history, answers = [], {}
    for epoch in range(1, STEPS + 1):
        regression = LogisticRegression(C=strength, max_iter=2 * epoch, tol=1e-9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # Stopping early is the point.
            regression.fit(flat["train"][rows], splits.train.labels[rows])
        measured = {}
        for split in splits:
            probabilities = regression.predict_proba(flat[split.name]).astype(np.float32)
            labels = np.asarray(split.labels)
            answers[split.name] = Predictions(split.paths, labels, probabilities, splits.class_names)
            measured[split.name] = {
                "loss": cross_entropy(labels, probabilities),
                "accuracy": float((answers[split.name].predicted == labels).mean()),
            }
        history.append(epoch_record(epoch, measured["train"], measured["validation"]))
    finish_run(run, history, {name: answers[name] for name in ("validation", "test")})
    return run


def new_run(path: Path, recipe: str = "digits", seed: int = 0) -> Run:
    """A run folder with recipe, environment and model.json."""
    path.mkdir(parents=True)
    run = Run(path)
    run.recipe = load_recipe(recipe, [f"fit.seed={seed}"])
    run.environment = {"command": "tenfold train", "python": "3.11", "versions": {"numpy": "2"}}
    return run


def epoch_record(epoch: int, train: dict, validation: dict) -> dict:
    return {
        "epoch": epoch,
        "loss": train["loss"],
        "accuracy": train["accuracy"],
        "validation_loss": validation["loss"],
        "validation_accuracy": validation["accuracy"],
        "learning_rate": 0.01 if epoch <= STEPS // 2 else 0.001,
        "seconds": 0.5,
    }


def finish_run(run: Run, history: list[dict], answers: dict[str, Predictions]) -> None:
    """Write history, predictions and metrics, as `tenfold train` does."""
    run.history = history
    run.validation_predictions, run.test_predictions = answers["validation"], answers["test"]
    measured = {name: measure(p.labels, p.probabilities, p.class_names) for name, p in answers.items()}
    training = {
        "seconds": sum(record["seconds"] for record in history),
        "epochs": len(history),
        "best_epoch": min(history, key=lambda record: record["validation_loss"])["epoch"],
        "stop_reason": f"all {len(history)} epochs done",
        "images_per_second": 1000.0,
        "parameters_trainable": 650,
        "parameters_total": 650,
        "peak_memory_mib": 100.0,
        "device": "cpu",
    }
    run.metrics = {**measured, "training": training}
    height, width, channels = run.data["image_shape"]
    run.description = {
        "architecture": run.recipe.model.model_dump(mode="json"),
        "image_shape": [channels, height, width],
        "class_names": list(answers["test"].class_names),
        "preprocessing": {"mean": [0.0], "deviation": [255.0]},
    }


def large_run(path: Path, images: int = 100_000, classes: int = 100, side: int = 32) -> tuple[Run, Splits]:
    """A run with many classes and test images: noisy pictures, and answers that confuse neighbouring classes."""
    run = new_run(path)
    random = np.random.default_rng(0)
    names = tuple(f"class number {k:03}" for k in range(classes))
    labels = np.arange(images) % classes
    pixels = random.integers(0, 256, (2000, side, side, 3), dtype=np.uint8)
    logits = random.normal(size=(images, classes)).astype(np.float32)
    logits[np.arange(images), labels] += 4
    logits[np.arange(images), (labels + 1) % classes] += 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    paths = [f"test/{names[label]}/{number:06}.png" for number, label in enumerate(labels)]
    splits = pictured_splits(pixels, labels, paths, names)
    run.data = splits.describe()
    test = Predictions(paths, labels, probabilities, names)
    held_out = Predictions(paths[:5000], labels[:5000], probabilities[:5000], names)
    measured = measure(held_out.labels, held_out.probabilities, names)
    history = [epoch_record(epoch, measured, measured) for epoch in range(1, 6)]
    finish_run(run, history, {"validation": held_out, "test": test})
    return run, splits


def pictured_splits(
    pixels: np.ndarray, labels: np.ndarray, paths: list[str], names: tuple[str, ...]
) -> Splits:
    """Three splits with the same images, whose pixels repeat where there are fewer of them than labels."""
    rows = np.arange(len(labels)) % len(pixels)
    parts = [
        Split(name, pixels, rows, labels, paths, (len(labels),), f"hash of {name}") for name in SPLIT_NAMES
    ]
    return Splits(*parts, class_names=names, source=Source(data="pictures"))


def answered_run(path, correct, seed=0, lr=0.01, wrong=1, hash="h", names=ANIMALS):
    """A run whose test answers are right where `correct` says; mistakes take the class `wrong` further on."""
    run = new_run(path, "model-s-baseline", seed)
    run.recipe = load_recipe(run.recipe, {"optimizer.lr": lr})
    n = len(correct)
    labels = np.arange(n) % len(names)
    predicted = np.where(correct, labels, (labels + wrong) % len(names))
    probabilities = np.full((n, len(names)), 0.1, np.float32)
    probabilities[np.arange(n), predicted] = 0.8
    split = {"images": n, "hash": hash, "folders": [n], "classes": {name: n // len(names) for name in names}}
    run.data = {
        "source": {"data": str(path / "gone"), "train": [], "validation": [], "test": []},
        "fingerprint": "f",
        "class_names": list(names),
        "image_shape": [8, 8, 1],
        "splits": {name: split for name in ("train", "validation", "test")},
        "bad_files": [],
    }
    answers = Predictions([f"image-{k}" for k in range(n)], labels, probabilities, tuple(names))
    measured = measure(labels, probabilities, names)
    finish_run(run, [epoch_record(1, measured, measured)], {"validation": answers, "test": answers})
    return run


def rights(n, share, seed):
    return np.random.default_rng(seed).random(n) < share
