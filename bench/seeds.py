"""Train a recipe over several seeds and print the row of docs/results.md.

    python bench/seeds.py model-s-baseline --seeds 5 -- --train train1 --train train3 --train train4 --train train5 \
        --validation train2 --test test

What follows -- goes to `tenfold train`. Every run is an ordinary run folder below --out; runs that are there and
finished are read, not repeated.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

import tenfold


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/seeds"))
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, rest = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    runs = [train(options.recipe, seed, options.out, rest) for seed in range(options.seeds)]
    print(row(options.recipe, runs))


def train(recipe: str, seed: int, out: Path, rest: list[str]) -> tenfold.Run:
    """One run in a process of its own, so that its peak memory is its own."""
    folder = out / f"{recipe}-seed{seed}"
    if not (folder / "metrics.json").is_file():
        command = [sys.executable, "-m", "tenfold", "train", recipe, "--seed", str(seed), "--out", str(out)]
        subprocess.run([*command, "--name", folder.name, "--overwrite", *rest], check=True)
    return tenfold.load_run(folder)


def row(recipe: str, runs: list[tenfold.Run]) -> str:
    """Markdown: recipe, n, mean and deviation, 95 % interval of the mean (t), range, best epochs, cost."""
    accuracy = 100 * np.array([run.metrics["test"]["accuracy"] for run in runs])
    cost = [run.metrics["training"] for run in runs]
    mean, deviation = accuracy.mean(), accuracy.std(ddof=1)
    half = stats.t.ppf(0.975, len(runs) - 1) * deviation / np.sqrt(len(runs))
    epoch_seconds = [c["seconds"] / c["epochs"] for c in cost]
    cells = [
        recipe,
        str(len(runs)),
        f"{mean:.2f} ± {deviation:.2f}",
        f"{mean - half:.2f} to {mean + half:.2f}",
        f"{accuracy.min():.2f} to {accuracy.max():.2f}",
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
