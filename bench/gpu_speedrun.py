"""Seconds to 94 % and 96 % mean accuracy of tenfold's swift network on one GPU, by the speedruns' rule.

    python bench/gpu_speedrun.py --data cifar10 --compile --peer airbench94_muon=/path/to/airbench94_muon.py
    python bench/gpu_speedrun.py --data cifar10 --device cpu --images 1000 --runs 2 --rounds 1 --epochs 1

The rule: pixels and labels lie on the device; time counts from there, over whitening, augmentation, training and
test-time augmentation, to the accuracy of the final logits on the test images. Starting weights and, by a run on
noise of the same shape beforehand, compilation and warm-up are not counted. Training is on all images of `--data`
that are not for testing, validation images too; the final weights are tested, and none are chosen.

A recipe runs with seeds 0, 1, 2, ..., --runs of them in each round, and rounds go on until the standard error of its
mean accuracy is at most --standard-error, or for --rounds. In each round every peer has its turn after the recipes:
a script that was obtained apart, run by --peer-python in a process of its own and in its own folder. Its output is
searched for a table with columns of accuracy and time (| run | ... | tta_val_acc | time_seconds |), or for lines that
name both an accuracy and seconds; what it counts as time is its own affair, so read its script.

The recipes in bench/recipes/ are where to start from. They were never measured on a GPU, and without one this script
says so and measures nothing.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from peer_output import Outcome, read_outcomes
from seeds import spread

from tenfold.core.devices import choose_precision, device_name
from tenfold.core.randomness import seed_for
from tenfold.data import Source, Split, Splits, read_splits
from tenfold.data.feeds import feed
from tenfold.inference.evaluation import score
from tenfold.models import build_model
from tenfold.recipe import Recipe, load_recipe
from tenfold.training.learner import Learner

RECIPES = Path(__file__).parent / "recipes"
TARGETS = (94.0, 96.0)


@dataclass
class Contestant:
    """A name, what one of its turns is (first run's number -> outcomes), and all outcomes so far."""

    name: str
    turn: Callable[[int], list[Outcome]]
    ours: bool
    outcomes: list[Outcome] = field(default_factory=list)

    def standard_error(self) -> float:
        """Of the mean accuracy, in percentage points; NaN for fewer than two runs."""
        _, deviation, _ = spread([100 * outcome.accuracy for outcome in self.outcomes])
        return deviation / len(self.outcomes) ** 0.5


def main() -> None:
    options = parse()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "no CUDA device on this machine: nothing was measured, and the GPU's figures stay unmeasured. "
            "--device cpu tries the script at small size."
        )
    print(f"{device_name(device)}, PyTorch {torch.__version__}, compiled: {options.compile}")
    if device.type != "cuda":
        print("not a GPU: this shows that the script runs, and says nothing of a GPU")
    contestants = [ours(recipe, options, device) for recipe in options.recipes]
    contestants += [peer(text, options.peer_python) for text in options.peer]
    for _ in range(options.rounds):
        for contestant in contestants:
            contestant.outcomes += contestant.turn(len(contestant.outcomes))
        if all(c.standard_error() <= options.standard_error for c in contestants if c.ours):
            break
    print_table(contestants, options.standard_error)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", required=True, help="a source with a test split, such as a folder of CIFAR-10"
    )
    parser.add_argument(
        "--recipes", nargs="+", default=[str(RECIPES / "gpu-94.toml"), str(RECIPES / "gpu-96.toml")]
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--compile", action="store_true", help="compile the network with torch.compile")
    parser.add_argument("--runs", type=int, default=25, help="runs of each recipe in a round")
    parser.add_argument("--rounds", type=int, default=10, help="rounds at most")
    parser.add_argument("--standard-error", type=float, default=0.02, help="percentage points at most")
    parser.add_argument("--images", type=int, help="train on so many images only, test on a fifth of it")
    parser.add_argument("--epochs", type=int, help="instead of the recipes' own")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=SCRIPT")
    parser.add_argument("--peer-python", default=sys.executable)
    return parser.parse_args()


# Ours ----------------------------------------------------------------------------------------------------------


def ours(recipe: str, options: argparse.Namespace, device: torch.device) -> Contestant:
    """A recipe on its data, warmed up."""
    chosen = load_recipe(recipe, {} if options.epochs is None else {"fit.epochs": options.epochs})
    splits = all_for_training(read_splits(chosen.data, Source(options.data)))
    if options.images:
        test = some(splits.test, -(-options.images // 5))
        splits = replace(splits, train=some(splits.train, options.images), test=test)
    speedrun = Speedrun(chosen, splits, device, compiled=options.compile)
    print(
        f"{Path(recipe).stem}: {len(splits.train):,} training and {len(splits.test):,} test images, "
        f"{chosen.fit.epochs} epochs, {choose_precision(chosen.fit.precision, device)}"
    )
    speedrun.warm_up()
    return Contestant(
        Path(recipe).stem,
        lambda first: [speedrun.run(seed) for seed in range(first, first + options.runs)],
        ours=True,
    )


class Speedrun:
    """Runs of one recipe: one network on the device, compiled at most once, with new weights for each run."""

    def __init__(self, recipe: Recipe, splits: Splits, device: torch.device, *, compiled: bool) -> None:
        self.recipe, self.splits, self.device = recipe, splits, device
        self.model = self.new_model(seed=0).to(device)
        if compiled:
            self.model.compile()

    def new_model(self, seed: int):
        channels, height, width = self.splits.image_shape
        shape = (channels, height, width)
        return build_model(self.recipe.model, shape, len(self.splits.class_names), seed=seed)

    def warm_up(self) -> None:
        """One epoch and a test on noise, so that everything is compiled and every kernel chosen."""
        noisy = replace(self.splits, train=noise(self.splits.train), test=noise(self.splits.test))
        self.train_and_test(noisy, seed=0, epochs=1)

    def run(self, seed: int) -> Outcome:
        return self.train_and_test(self.splits, seed, self.recipe.fit.epochs)

    def train_and_test(self, splits: Splits, seed: int, epochs: int) -> Outcome:
        """Seconds from pixels on the device to the test accuracy of the final weights, and that accuracy."""
        self.model.load_state_dict(self.new_model(seed).state_dict())
        recipe = load_recipe(self.recipe, {"fit.seed": seed})
        learner = Learner(self.model, splits, recipe, device=self.device)
        test = feed(splits.test, self.device)
        self.wait()
        began = time.perf_counter()
        for epoch in range(1, epochs + 1):
            learner.learn(epoch)
        with learner.equipment.precision():
            accuracy = score(self.model, test).accuracy
        self.wait()
        return Outcome(accuracy, time.perf_counter() - began)

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def all_for_training(splits: Splits) -> Splits:
    """The same with the validation images among the training images: nothing is chosen by them here."""
    one, other = splits.train, splits.validation
    joined = replace(
        one,
        rows=np.concatenate([one.rows, other.rows]),
        labels=np.concatenate([one.labels, other.labels]),
        paths=[*one.paths, *other.paths],
        folders=(len(one) + len(other),),
        pictures=np.concatenate([one.pictures, other.pictures]),
        groups=np.concatenate([one.groups, other.groups]),
        clusters=np.concatenate([one.clusters, other.clusters]),
    )
    return replace(splits, train=joined)


def some(split: Split, count: int) -> Split:
    """`count` images of a split, drawn."""
    generator = np.random.default_rng(seed_for("gpu_speedrun", split.name))
    return split.part(generator.permutation(len(split))[:count])


def noise(split: Split) -> Split:
    """As many images of noise, of the same shape and labels."""
    shape = (len(split), *split.pixels.shape[1:])
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return replace(split, pixels=pixels, rows=np.arange(len(split)))


# Peers ---------------------------------------------------------------------------------------------------------


def peer(text: str, python: str) -> Contestant:
    """The contestant of NAME=SCRIPT."""
    name, _, path = text.partition("=")
    script = Path(path).resolve()
    if not script.is_file():
        sys.exit(f"--peer {text}: expected NAME=SCRIPT with the path of a script that is there")
    return Contestant(name, lambda _: run_script(name, script, python), ours=False)


def run_script(name: str, script: Path, python: str) -> list[Outcome]:
    """Run a peer's script to its end and read its runs from what it prints."""
    done = subprocess.run([python, str(script)], cwd=script.parent, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
    outcomes = read_outcomes(done.stdout)
    if not outcomes:
        sys.exit(f"{name}: found no accuracy and seconds in its output, which ends\n{done.stdout[-2000:]}")
    return outcomes


# The table -----------------------------------------------------------------------------------------------------


def print_table(contestants: list[Contestant], goal: float) -> None:
    """A line for each contestant, then who is first at each target."""
    print("\n| | runs | mean accuracy % | standard error | seconds | reaches |\n|---|---|---|---|---|---|")
    for contestant in contestants:
        accuracy, _, _ = spread([100 * outcome.accuracy for outcome in contestant.outcomes])
        seconds, jitter, _ = spread([outcome.seconds for outcome in contestant.outcomes])
        reached = ", ".join(f"{target:.0f} %" for target in TARGETS if accuracy >= target) or "neither"
        error = contestant.standard_error()
        print(
            f"| {contestant.name} | {len(contestant.outcomes)} | {accuracy:.3f} | {error:.3f} "
            f"| {seconds:.3f} ± {jitter:.3f} | {reached} |"
        )
        if contestant.ours and not error <= goal:
            print(f"{contestant.name}: the standard error is above {goal}; more --rounds", file=sys.stderr)
    for target in TARGETS:
        print(f"{target:.0f} %: {first_at(contestants, target)}")


def first_at(contestants: list[Contestant], target: float) -> str:
    """Those whose mean accuracy is at least `target`, the fastest first."""
    means = [
        (np.mean([o.seconds for o in c.outcomes]), np.mean([100 * o.accuracy for o in c.outcomes]), c.name)
        for c in contestants
    ]
    ranked = sorted((seconds, name) for seconds, accuracy, name in means if accuracy >= target)
    return ", ".join(f"{name} in {seconds:.3f} s" for seconds, name in ranked) or "reached by none"


if __name__ == "__main__":
    main()
