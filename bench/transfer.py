"""Transfer learning measured: image size against accuracy and time, the whole run, a second head, Keras' path.

    python bench/transfer.py curve CIFAR10_FOLDER        # on validation images only; the test folder is not opened
    python bench/transfer.py whole CIFAR10_FOLDER [KEY=VALUE ...] [--keras PYTHON]
    python bench/transfer.py photographs

CIFAR10_FOLDER holds train1 ... train5 and test, as class folders of PNG files. Every run is `tenfold train` in a
process of its own, with an empty cache where that is said; times are wall clocks from command to report.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tenfold

ROOT = Path(__file__).parents[1]
SIZES = (96, 128, 160, 192, 224)
# A head to compare with: the homework's layer, smaller, with dropout.
MLP = [
    *("model.head=mlp", "model.dense=512", "model.dropout=0.5"),
    *("optimizer.name=adamw", "optimizer.lr=0.0005", "optimizer.weight_decay=0.05", "schedule.name=cosine"),
    *("fit.epochs=8", "fit.label_smoothing=0.1", "stop.patience=none"),
]
# What homework 6 does in an epoch, and how often.
HOMEWORK = {"train": 50_000, "validation": 10_000, "batch": 64, "epochs": 100}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("curve", "whole", "photographs"))
    parser.add_argument("words", nargs="*", help="the CIFAR-10 folder, then KEY=VALUE overrides")
    parser.add_argument("--keras", help="a Python with TensorFlow, to measure the homework's path in turn")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TENFOLD_CACHE"] = f"{folder}/cache"
        if options.what == "curve":
            curve(Path(options.words[0]), Path(folder), options.sizes)
        elif options.what == "whole":
            whole(Path(options.words[0]), Path(folder), options.words[1:], options.keras)
        else:
            photographs(Path(folder))


def curve(cifar: Path, folder: Path, sizes: list[int]) -> None:
    """Accuracy on 3,000 validation images cut from train1, for each size, with two heads."""
    print(
        "| size | stages | images/s | logistic: validation accuracy % | strength | MLP: validation accuracy % |"
    )
    print("|---|---|---|---|---|---|")
    split = ["data.validation_fraction=0.3", "data.test_fraction=0.01"]
    for size in sizes:
        for stages in (0, 2):
            words = [*split, f"model.image_size={size}", f"model.stages={stages}"]
            first, _ = train(["--data", str(cifar / "train1"), *words], folder)
            second, _ = train(["--data", str(cifar / "train1"), *words, *MLP], folder)
            facts = json.loads((first.path / "transfer.json").read_text())
            strength = facts["strengths"][first.metrics["training"]["best_epoch"] - 1]
            accuracies = [100 * run.metrics["validation"]["accuracy"] for run in (first, second)]
            print(
                f"| {size} | {stages} | {facts['images_per_second']:.0f} | {accuracies[0]:.1f} | {strength:g} | "
                f"{accuracies[1]:.1f} |",
                flush=True,
            )


def whole(cifar: Path, folder: Path, words: list[str], keras: str | None) -> None:
    """The default on all of CIFAR-10 from an empty cache; another head after it; the homework's path in turn."""
    run, seconds = train(["--data", str(cifar), *words], folder)
    report("the whole run, empty cache", run, seconds)
    second, again = train(["--data", str(cifar), *words, *MLP], folder)
    report("another head on cached features", second, again)
    third, more = train(["--data", str(cifar), *words], folder)
    report("the first head again on cached features", third, more)
    if keras:
        compare(cifar, keras, seconds, run)


def compare(cifar: Path, keras: str, seconds: float, run: "tenfold.Run") -> None:
    """Keras' time for the homework's 100 epochs from measured steps, and its arrays' size, beside this run's."""
    command = [keras, str(ROOT / "bench/peers/keras_transfer.py"), str(cifar / "train1")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout.splitlines()[-1])
    steps = {name: -(-HOMEWORK[name] // HOMEWORK["batch"]) for name in ("train", "validation")}
    epoch = sum(steps[name] * facts[f"{name}_step_seconds"] for name in steps)
    arrays = (HOMEWORK["train"] + HOMEWORK["validation"]) * facts["array_bytes_per_image"] / 2**30
    peak = run.metrics["training"]["peak_memory_mib"] / 1024
    print(json.dumps(facts))
    print(
        f"Keras: {epoch:.0f} s an epoch, {HOMEWORK['epochs'] * epoch / 3600:.1f} h for {HOMEWORK['epochs']} epochs"
    )
    print(f"Keras' arrays: {arrays:.1f} GiB ({facts['array_bytes_per_image']:,} bytes an image, measured)")
    print(f"the run takes {HOMEWORK['epochs'] * epoch / seconds:.0f} times less time")
    print(f"and {arrays / peak:.1f} times less memory ({peak:.2f} GiB at its peak)")


def photographs(folder: Path) -> None:
    """500 photographs of unequal sizes, from an empty cache."""
    command = [sys.executable, str(ROOT / "tests/support/photographs.py"), str(folder / "photos"), "500"]
    subprocess.run(command, check=True)
    run, seconds = train(["--data", str(folder / "photos")], folder)
    report("500 photographs", run, seconds)


def train(words: list[str], folder: Path) -> tuple["tenfold.Run", float]:
    """A run of the recipe `backbone`, and the seconds from the command to its end."""
    out = folder / "runs"
    began = time.perf_counter()
    command = [sys.executable, "-m", "tenfold", "train", "backbone", "--out", str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    newest = max(out.iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    return tenfold.load_run(newest), seconds


def report(title: str, run: "tenfold.Run", seconds: float) -> None:
    """What docs/results.md says of a run."""
    facts: dict[str, Any] = json.loads((run.path / "transfer.json").read_text())
    training, test, validation = (run.metrics[name] for name in ("training", "test", "validation"))
    low, high = test["accuracy_ci95"]
    print(f"\n{title}: {seconds:.1f} s from command to report, peak {training['peak_memory_mib']:.0f} MiB")
    print(
        f"  features: {facts['computed']:,} of {facts['images']:,} computed in {facts['seconds']:.1f} s "
        f"({facts['images_per_second']:.0f} images/s, {facts['engine']}), {facts['mebibytes']:.0f} MiB, "
        f"parity {facts['parity']}"
    )
    print(f"  sanity: {json.dumps(facts['sanity'])}")
    print(f"  head: {training['seconds']:.1f} s, best epoch {training['best_epoch']} of {training['epochs']}")
    print(f"  validation {100 * validation['accuracy']:.2f} % (n = {validation['n']:,})")
    print(
        f"  test {100 * test['accuracy']:.2f} % (95 % {100 * low:.2f} to {100 * high:.2f}, n = {test['n']:,})",
        flush=True,
    )
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"  largest process so far: {children:.0f} MiB")


if __name__ == "__main__":
    main()
