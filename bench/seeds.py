"""Train a recipe over several seeds and print the row of docs/results.md.

    python bench/seeds.py model-s-baseline --seeds 5 -- --train train1 --train train3 --train train4 --train train5 \
        --validation train2 --test test

What follows -- goes to `tenfold train`. Every run is an ordinary run folder below --out; runs that are there and
finished are read, not repeated. Beside its own files a run made here has `bench.json`: the seconds from the command
to the end of its process, and the precision that its recipe came to on the machine.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy import stats

import tenfold
from tenfold.core.devices import choose_precision

UNKNOWN = {"command_seconds": float("nan"), "command_cpu_seconds": float("nan"), "precision": "unknown"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    words, rest = split_words()
    options = parser.parse_args(words)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    runs = [train(options.recipe, seed, options.out, rest) for seed in seeds]
    print(row(options.recipe, runs))


def split_words() -> tuple[list[str], list[str]]:
    """The words of this program's command line, and those after --, which are for `tenfold train`."""
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    return sys.argv[1:split], sys.argv[split + 1 :]


def train(recipe: str, seed: int, out: Path, rest: list[str], name: str | None = None) -> tenfold.Run:
    """One run in a process of its own, so that its peak memory is its own; `name` stands for the recipe's."""
    folder = run_folder(name or recipe, seed, out)
    if not finished(folder):
        command = [sys.executable, "-m", "tenfold", "train", recipe, "--seed", str(seed), "--out", str(out)]
        began, used = time.perf_counter(), children_seconds()
        subprocess.run([*command, "--name", folder.name, "--overwrite", *rest], check=True)
        note_cost(tenfold.load_run(folder), time.perf_counter() - began, children_seconds() - used)
    return tenfold.load_run(folder)


def run_folder(name: str, seed: int, out: Path) -> Path:
    """Where the run of a recipe's name or path lies."""
    return out / f"{Path(name).stem if name.endswith('.toml') else name}-seed{seed}"


def finished(folder: Path) -> bool:
    return (folder / "metrics.json").is_file()


def children_seconds() -> float:
    """Processor seconds, over all cores, of every finished child: unlike the clock, they leave out stolen time."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def note_cost(run: tenfold.Run, seconds: float, used: float) -> None:
    device = torch.device(run.metrics["training"]["device"].split()[0])
    cost = {
        "command_seconds": round(seconds, 3),
        "command_cpu_seconds": round(used, 3),
        "precision": choose_precision(run.recipe.fit.precision, device),
    }
    (run.path / "bench.json").write_text(json.dumps(cost) + "\n")


def read_cost(run: tenfold.Run) -> dict:
    """What `note_cost` noted; a run made otherwise has unknown values."""
    path = run.path / "bench.json"
    return json.loads(path.read_text()) if path.is_file() else UNKNOWN


def spread(values: list[float]) -> tuple[float, float, float]:
    """Mean, standard deviation, and half the 95 % interval of the mean (t); the latter two NaN for one value."""
    numbers = np.array(values)
    if len(numbers) < 2:
        return float(numbers.mean()), float("nan"), float("nan")
    deviation = numbers.std(ddof=1)
    half = stats.t.ppf(0.975, len(numbers) - 1) * deviation / np.sqrt(len(numbers))
    return float(numbers.mean()), float(deviation), float(half)


def row(recipe: str, runs: list[tenfold.Run]) -> str:
    """Markdown: recipe, n, mean and deviation, 95 % interval of the mean (t), range, best epochs, cost."""
    accuracy = [100 * run.metrics["test"]["accuracy"] for run in runs]
    cost = [run.metrics["training"] for run in runs]
    mean, deviation, half = spread(accuracy)
    epoch_seconds = [c["seconds"] / c["epochs"] for c in cost]
    cells = [
        recipe,
        str(len(runs)),
        f"{mean:.2f} ± {deviation:.2f}",
        f"{mean - half:.2f} to {mean + half:.2f}",
        f"{min(accuracy):.2f} to {max(accuracy):.2f}",
        ", ".join(str(c["best_epoch"]) for c in cost),
        ", ".join(str(c["epochs"]) for c in cost),
        f"{np.mean([c['seconds'] for c in cost]):.0f}",
        f"{np.mean(epoch_seconds):.1f}",
        f"{np.mean([c['peak_memory_mib'] for c in cost]):.0f}",
    ]
    header = (
        "recipe | n | test accuracy % | 95 % interval of the mean | range | best epochs | epochs | seconds "
        "| s/epoch | peak MiB"
    )
    return f"| {header} |\n|{'---|' * len(cells)}\n| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
