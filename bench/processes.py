"""How fast two processes with a thread each learn, beside one process with two threads, in turn.

    python bench/processes.py --data CIFAR10 [--rounds 3] [--recipes model-s-baseline fast-86] [--set KEY=VALUE]

Figures are training images a second of `metrics.json`, and the ratio of the two ways in each round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from common import cpu_info

# The folders of a CIFAR-10 that was unpacked for the notebooks; one of them is enough to learn from.
FOLDERS = ("--train", "train1", "--validation", "train2", "--test", "test")
WAYS = {"one process, two threads": (1, 2), "two processes, a thread each": (2, 1)}


def rate(data: Path, recipe: str, processes: int, threads: int, changes: list[str]) -> float:
    """Training images a second of one run."""
    with tempfile.TemporaryDirectory() as out:
        words = ["train", recipe, *FOLDERS, "--out", out, "--name", "run", *changes]
        words += ["--processes", str(processes)] if processes > 1 else []
        command = [sys.executable, "-m", "tenfold", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(command, cwd=data, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
        return json.loads((Path(out) / "run" / "metrics.json").read_text())["training"]["images_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", default=["model-s-baseline", "fast-86"])
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="KEY=VALUE", help="such as fit.batch_norm=local"
    )
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    for recipe in asked.recipes:
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(asked.rounds):
            for way, (processes, threads) in WAYS.items():
                rates[way].append(rate(asked.data, recipe, processes, threads, ["fit.epochs=2", *asked.set]))
        one, two = rates.values()
        ratios = [b / a for a, b in zip(one, two, strict=True)]
        found[recipe] = {**rates, "ratio": ratios}
        print(f"{recipe}: " + ", ".join(f"{way} {statistics.median(r):,.0f}/s" for way, r in rates.items()))
        print(
            f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, n = {len(ratios)})"
        )
    if asked.json:
        asked.json.write_text(json.dumps({"machine": cpu_info(), "recipes": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
