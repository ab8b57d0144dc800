"""What `tenfold train` chooses by itself, and how accurate that is beside a time limit and the backbone.

    python bench/choice.py cut10x200/ digits/ letters/ --out choice.json

Each source is trained three times, each time by a command of its own from start to report: without a recipe, with
`--minutes 1`, and by the recipe `backbone`. What is chosen is chosen on training and validation images; the test
images are read once a run. Sources are what `tenfold train --data` takes.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import tenfold

WAYS = {"default": (), "minutes": ("--minutes", "1"), "backbone": ("backbone",)}
HEADER = "source | images by split | size | classes | chosen | default | --minutes 1 | backbone | seconds"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--runs", type=Path, default=Path("runs/choice"))
    parser.add_argument("--out", type=Path, help="a JSON file for the raw results")
    options = parser.parse_args()
    results = []
    for source in options.sources:
        results.append(measure(source, options.ways, options.runs))
        print(json.dumps(results[-1]), flush=True)
        if options.out:
            options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print("\n".join([f"| {HEADER} |", f"|{'---|' * len(HEADER.split(' | '))}", *map(row, results)]))


def measure(source: str, ways: list[str], runs: Path) -> dict[str, Any]:
    """The facts of a source, and those of each way of training on it."""
    found: dict[str, Any] = {"source": Path(source).name}
    for way in ways:
        run, facts = train(source, way, runs / f"{Path(source).name}-{way}")
        found[way] = facts
        splits = run.data["splits"]
        found["images"] = [splits[split]["images"] for split in ("train", "validation", "test")]
        found["shape"], found["classes"] = run.data["image_shape"], len(run.class_names)
    return found


def train(source: str, way: str, folder: Path) -> tuple["tenfold.Run", dict[str, Any]]:
    """One run by a command of its own."""
    place = ["--out", str(folder.parent), "--name", folder.name, "--overwrite"]
    command = [sys.executable, "-m", "tenfold", "train", *WAYS[way], "--data", source, *place]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    run = tenfold.load_run(folder)
    plan = re.search(r"plan[^:\n]*: (.*)", done.stdout)
    return run, {
        "seconds": round(seconds, 1),
        "accuracy": run.metrics["test"]["accuracy"],
        "interval": run.metrics["test"]["accuracy_ci95"],
        "plan": plan[1] if plan else way,
    }


def row(found: dict[str, Any]) -> str:
    """A source's line of Markdown; accuracies are of the test images, in %."""
    height, width, _ = found["shape"]
    ways = [found[way] for way in WAYS if way in found]
    cells = [
        found["source"],
        ", ".join(f"{count:,}" for count in found["images"]),
        f"{height}x{width}",
        str(found["classes"]),
        re.split(r"[,:]", found.get("default", ways[0])["plan"])[0],
        *(f"{100 * found[way]['accuracy']:.1f}" if way in found else "" for way in WAYS),
        ", ".join(f"{facts['seconds']:.0f}" for facts in ways),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
