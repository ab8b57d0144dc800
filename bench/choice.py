"""What `tenfold train` chooses by itself, and how accurate that is beside a time limit and the backbone.

    python bench/cuts.py cifar10/ cuts/
    python bench/choice.py cuts/cut10x200 cuts/cut4x400 letters/     # into bench/results/choice.json
    python bench/choice.py --table                                   # from there into docs/results.md

Each source is trained three times, each time by a command of its own from start to report: without a recipe, with
`--minutes 1`, and by the recipe `backbone`. What is chosen is chosen on training and validation images; the test
images are read once a run. Sources are what `tenfold train --data` takes. A source that was measured before is
measured anew. Seconds, and what `--minutes` has time for, mean something only where the machine has no other work.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import machine, written_between

import tenfold

RESULTS = Path(__file__).parent / "results" / "choice.json"
BEGIN, END = "<!-- bench/choice.py --table -->\n", "<!-- end -->"
WAYS = {"default": (), "minutes": ("--minutes", "1"), "backbone": ("backbone",)}
HEADER = (
    "source | images by split | size | classes | chosen | default | `--minutes 1` | `backbone` | "
    "on validation | seconds"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--runs", type=Path, default=Path("runs/choice"))
    parser.add_argument("--table", action="store_true", help="write the table into docs/results.md")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for source in options.sources:
        name = Path(source).name
        results[name] = results.get(name, {}) | measure(source, options.ways, options.runs)
        print(json.dumps(results[name]), flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.table:
        write_table(results)


def write_table(results: dict[str, Any]) -> None:
    """Put the table in its place in the document."""
    lines = [f"| {HEADER} |", f"|{'---|' * len(HEADER.split(' | '))}", *map(row, results.values())]
    written_between(BEGIN, END, lines)


def measure(source: str, ways: list[str], runs: Path) -> dict[str, Any]:
    """The facts of a source, and those of each way of training on it."""
    found: dict[str, Any] = {"source": Path(source).name, "machine": machine()}
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
        "validation": run.metrics["validation"]["accuracy"],
        "recipe": "fine-tune" if run.recipe.model.options.get("unfreeze") else run.recipe.model.name,
        "plan": plan[1] if plan else way,
        "steps": re.findall(r"^tried +(.*)$", done.stdout, re.MULTILINE),
    }


def row(found: dict[str, Any]) -> str:
    """A source's line of Markdown; accuracies in %, of the test images but for one column."""
    height, width, _ = found["shape"]
    ways = [found[way] for way in WAYS if way in found]
    cells = [
        found["source"],
        ", ".join(f"{count:,}" for count in found["images"]),
        f"{height}x{width}",
        str(found["classes"]),
        re.split(r"[,:]", found.get("default", ways[0])["plan"])[0],
        *(f"{100 * found[way]['accuracy']:.1f}" if way in found else "" for way in WAYS),
        ", ".join(f"{100 * facts['validation']:.1f}" for facts in ways),
        ", ".join(f"{facts['seconds']:.0f}" for facts in ways),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
