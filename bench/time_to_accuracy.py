"""Accuracy and seconds of the fast recipes, beside Keras' seconds for the notebooks on the same machine.

    python bench/time_to_accuracy.py --data cifar10 --keras-python /path/to/keras/venv/bin/python \
        --recipes fast-72 fast-86 fast-90 fast-94 --seeds 5 --figure time.svg [-- WORDS FOR tenfold train]

`--data` holds the notebooks' folders train1 ... train5 and test. A recipe trains on train1, 3, 4 and 5, is chosen on
train2 and tested once; fast-94 trains on all five and holds one image in a hundred out to validate. Every run is
`tenfold train` in a process of its own, recipes in turn within each seed; finished runs below --out are read, not
repeated. With --precision each recipe runs once for each of them.

Keras runs the notebooks' own code (bench/peers/keras_notebook.py) before the first run, between and after the last.
Its median seconds a step, times the notebook's steps, is its time: 17 epochs of 628 for notebook 01, 30 for notebook
03. Neither its validation nor its start are counted. The measurements are kept in OUT/keras.json; where all runs are
finished already, those are read. Training seconds are `training.seconds` of metrics.json: whitening, augmentation,
training and validation, from pixels in memory to final weights. CPU seconds are the processor's, over all cores: the
whole command's, report included, beside Keras' training alone; on a machine whose cores are shared with others they
say more than the clock. Images/s are training images over those seconds.
GFLOP an image are those of convolutions and matrix products, forward and backward, the mean over all images seen, of
which smaller ones count by their pixels; a frozen whitening convolution has no backward pass, and an optimizer's own
products (Muon's) are not counted.
"""

import argparse
import json
import statistics
import subprocess
from dataclasses import dataclass
from itertools import cycle
from math import isnan
from pathlib import Path

import torch
from common import gflop_an_image, last_report, matmul_rate, notebook_command, print_machine
from seeds import finished, read_cost, run_folder, split_words, spread, train

import tenfold
from tenfold.recipe import load_recipe

# For each notebook the recipe that stands for its network, and the epochs of its log, of STEPS steps each.
NOTEBOOKS = {"01": ("model-s-baseline", 17), "03": ("model-s-augmented", 30)}
STEPS = 628
# The step of notebook 01 is so short that starting an epoch counts: it is measured over a whole one.
WHOLE_EPOCH = "01"
FOLDERS = {"train": (1, 3, 4, 5), "validation": (2,)}
WARMUP = 5
HEADER = (
    "recipe | precision | n | test accuracy % (95 % interval of the mean) | training seconds | command to report, s "
    "| Keras, s | Keras / training | CPU s of the command | Keras' CPU s | their ratio "
    "| images/s | GFLOP an image | GFLOP/s | of the matrix product's rate"
)


@dataclass(frozen=True)
class Variant:
    """A recipe by name or path, at its own precision or at the one given."""

    recipe: str
    precision: str | None

    @property
    def name(self) -> str:
        stem = Path(self.recipe).stem
        return stem if self.precision is None else f"{stem}-{self.precision}"

    @property
    def notebook(self) -> str:
        """The notebook whose time this recipe is measured by."""
        return "01" if Path(self.recipe).stem == "fast-72" else "03"

    def words(self, data: Path) -> list[str]:
        """The data and precision as words for `tenfold train`."""
        whole = Path(self.recipe).stem == "fast-94"
        folders = {"train": (1, 2, 3, 4, 5)} if whole else FOLDERS
        words = [f"--{split}={data / f'train{k}'}" for split in folders for k in folders[split]]
        words += [f"--test={data / 'test'}"]
        words += ["data.validation_fraction=0.01"] if whole else []
        return words + ([] if self.precision is None else [f"fit.precision={self.precision}"])


def main() -> None:
    options, rest = parse()
    variants = [Variant(recipe, precision) for recipe in options.recipes for precision in options.precision]
    rates = {name: matmul_rate(getattr(torch, name)) for name in ("float32", "bfloat16")}
    print_machine(rates)
    runs = measure(variants, options, rest)
    keras = read_keras(options.out)
    print_keras(keras)
    print(f"\n| {HEADER} |\n|{'---|' * len(HEADER.split(' | '))}")
    for variant in variants:
        print(row(variant, runs[variant], keras, rates))
    if any(Path(variant.recipe).stem == "fast-94" for variant in variants):
        print("\nfast-94 trains on all of train1 ... train5 but 1 % of the images, which validate.")
    if options.figure:
        from time_figure import save_figure

        steps = {notebook: seconds_a_step(keras, notebook) for notebook in NOTEBOOKS}
        save_figure(options.figure, {variant.name: runs[variant] for variant in variants}, steps, STEPS)


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--keras-python", help="the Python of an environment with tensorflow; without it, no Keras"
    )
    parser.add_argument("--keras-steps", type=int, default=150, help="timed steps of notebook 03 a process")
    parser.add_argument("--recipes", nargs="+", default=["fast-72", "fast-86", "fast-90", "fast-94"])
    parser.add_argument(
        "--precision", nargs="+", choices=("float32", "bfloat16", "auto"), default=[None],
        help="instead of the recipes' own",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[5], help="runs of each recipe: one number, or one for each"
    )
    parser.add_argument("--first-seed", type=int, default=0, help="the seed of each recipe's first run")
    parser.add_argument("--out", type=Path, default=Path("runs/time"))
    parser.add_argument(
        "--figure", type=Path, help="draw validation accuracy over time into this .svg or .png"
    )
    words, rest = split_words()
    options = parser.parse_args(words)
    if len(options.seeds) not in (1, len(options.recipes)):
        parser.error(f"--seeds: one number, or one for each of the {len(options.recipes)} recipes")
    for recipe in options.recipes:
        load_recipe(recipe)  # A name that does not exist is told before anything is measured.
    return options, rest


def measure(
    variants: list[Variant], options: argparse.Namespace, rest: list[str]
) -> dict[Variant, list[tenfold.Run]]:
    """All runs, with Keras before the first, between and after the last that is not there yet."""
    first = options.first_seed
    seeds = {
        recipe: range(first, first + count)
        for recipe, count in zip(options.recipes, cycle(options.seeds), strict=False)
    }
    turns = [
        (seed, variant)
        for seed in range(first, first + max(options.seeds))
        for variant in variants
        if seed in seeds[variant.recipe]
    ]
    missing = [
        (seed, variant)
        for seed, variant in turns
        if not finished(run_folder(variant.name, seed, options.out))
    ]
    halves = [missing[: len(missing) // 2], missing[len(missing) // 2 :]]
    if options.keras_python and (missing or not read_keras(options.out)):
        measure_keras(options)
    for half in halves:
        for seed, variant in half:
            one_run(variant, seed, options, rest)
        if options.keras_python and half:
            measure_keras(options)
    return {
        variant: [one_run(variant, seed, options, rest) for seed in seeds[variant.recipe]]
        for variant in variants
    }


def one_run(variant: Variant, seed: int, options: argparse.Namespace, rest: list[str]) -> tenfold.Run:
    return train(variant.recipe, seed, options.out, [*variant.words(options.data), *rest], variant.name)


# Keras ---------------------------------------------------------------------------------------------------------


def measure_keras(options: argparse.Namespace) -> None:
    """Add one measurement of each notebook to OUT/keras.json."""
    records = read_keras(options.out)
    for notebook, (recipe, _) in NOTEBOOKS.items():
        steps = STEPS if notebook == WHOLE_EPOCH else options.keras_steps
        # Unlike in notebook_speed.py no thread watches its memory: on few cores that would cost it time.
        command = notebook_command(
            options.keras_python, "keras_notebook.py", options.data, recipe, steps, WARMUP
        )
        done = subprocess.run(command, capture_output=True, text=True)
        report = last_report("Keras", done.returncode, done.stdout, done.stderr)
        seconds = round(report["seconds"] / steps, 5)
        records.append(
            {
                "notebook": notebook,
                "seconds_a_step": seconds,
                "cpu_seconds_a_step": round(report["cpu_seconds"] / steps, 5),
                "versions": report["versions"],
            }
        )
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "keras.json").write_text(json.dumps(records, indent=1) + "\n")


def read_keras(out: Path) -> list[dict]:
    """Every measurement so far."""
    path = out / "keras.json"
    return json.loads(path.read_text()) if path.is_file() else []


def steps_measured(records: list[dict], notebook: str, clock: str = "seconds_a_step") -> list[float]:
    return [record[clock] for record in records if record["notebook"] == notebook]


def seconds_a_step(records: list[dict], notebook: str, clock: str = "seconds_a_step") -> float:
    """The median by the wall's clock or by the processor's; NaN where Keras was not measured."""
    return statistics.median(steps_measured(records, notebook, clock) or [float("nan")])


def keras_seconds(records: list[dict], notebook: str, clock: str = "seconds_a_step") -> float:
    """Keras' time for the notebook's whole training."""
    return seconds_a_step(records, notebook, clock) * STEPS * NOTEBOOKS[notebook][1]


def print_keras(records: list[dict]) -> None:
    if not records:
        print("Keras was not measured: its columns are empty")
    for notebook, (_, epochs) in NOTEBOOKS.items() if records else ():
        measured = ", ".join(f"{seconds:.4f}" for seconds in steps_measured(records, notebook))
        median, whole = seconds_a_step(records, notebook), keras_seconds(records, notebook)
        print(f"Keras, notebook {notebook}: {measured} s a step")
        print(f"  their median {median:.4f} s times {epochs} epochs of {STEPS} steps: {whole:.0f} s")
    for versions in sorted({record["versions"] for record in records}):
        print(versions)


# The table -----------------------------------------------------------------------------------------------------


def row(variant: Variant, runs: list[tenfold.Run], keras: list[dict], rates: dict[str, float]) -> str:
    """One line of Markdown, as HEADER says."""
    accuracy, deviation, half = spread([100 * run.metrics["test"]["accuracy"] for run in runs])
    seconds, jitter, _ = spread([run.metrics["training"]["seconds"] for run in runs])
    costs = [read_cost(run) for run in runs]
    precisions = sorted({cost["precision"] for cost in costs})
    speed = statistics.mean(run.metrics["training"]["images_per_second"] for run in runs)
    height, width, channels = runs[0].data["image_shape"]
    settings, epochs = runs[0].recipe.fit, runs[0].metrics["training"]["epochs"]
    work = gflop_an_image(runs[0].recipe.model, (channels, height, width), len(runs[0].class_names))
    work *= sum(settings.work(epochs)) / sum(settings.shares(epochs))
    peer = keras_seconds(keras, variant.notebook)
    used = statistics.mean(cost["command_cpu_seconds"] for cost in costs)
    peer_used = keras_seconds(keras, variant.notebook, "cpu_seconds_a_step")
    share = speed * work / rates.get(precisions[0], float("nan"))
    cells = [
        *(variant.name, ", ".join(precisions), str(len(runs))),
        f"{accuracy:.2f}"
        if isnan(half)
        else f"{accuracy:.2f} ± {deviation:.2f} ({accuracy - half:.2f} to {accuracy + half:.2f})",
        f"{seconds:.1f}" if isnan(jitter) else f"{seconds:.1f} ± {jitter:.1f}",
        known(statistics.mean(cost["command_seconds"] for cost in costs), ".1f"),
        *(known(peer, ".0f"), known(peer / seconds, ".1f")),
        *(known(used, ".0f"), known(peer_used, ".0f"), known(peer_used / used, ".1f")),
        *(f"{speed:.0f}", f"{work:.4f}", f"{speed * work:.0f}", known(share, ".0%")),
    ]
    return f"| {' | '.join(cells)} |"


def known(value: float, form: str) -> str:
    return "-" if isnan(value) else f"{value:{form}}"


if __name__ == "__main__":
    main()
