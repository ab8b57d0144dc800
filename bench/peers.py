"""tenfold beside other tools on the same pictures, the same cores and the same minutes.

    python bench/peers.py hymenoptera_data trash/ --minutes 1 --python keras=KERAS_VENV/bin/python fastai=...
    python bench/peers.py --table     # from bench/results/peers.json into docs/results.md

A source is a folder of class folders, or one of train/ and test/ (or val/) with class folders. Its pictures are dealt
once into train/, val/ and test/ (by their names' sums: 72, 8 and 20 of 100 where the source gives no split), which
every tool is given. Each is one command from start to its predictions of the test pictures; tools take turns, and
nothing but the pictures passes between them; tenfold begins with an empty cache. A tool's Python has what the head of
bench/peers/minutes_NAME.py says it needs. Intervals are of paired differences on the same test pictures
(tenfold.comparison); a tool that ends late keeps its answer, and its seconds say so.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import PEERS, machine, written_between

import tenfold
from tenfold.comparison.statistics import compare_correct

RESULTS = Path(__file__).parent / "results" / "peers.json"
BEGIN, END = "<!-- bench/peers.py --table -->\n", "<!-- end of peers -->"
HEADER = (
    "source | images by split | classes | minutes | tool | test accuracy % | tenfold ahead (95 %) | seconds"
)
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0])
    parser.add_argument("--python", nargs="+", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--work", type=Path, default=Path("runs/peers"))
    parser.add_argument("--table", action="store_true", help="write the table into docs/results.md")
    options = parser.parse_args()
    pythons = dict(word.split("=", 1) for word in options.python)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    for minutes in options.minutes:
        for source in options.sources:
            found = compared(
                dealt(source, options.work / "data" / source.name), minutes, pythons, options.work
            )
            same = [one for one in results if (one["source"], one["minutes"]) == (source.name, minutes)]
            results = [one for one in results if one not in same] + [found]
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if options.table:
        written_between(BEGIN, END, table(results))


def dealt(source: Path, place: Path) -> Path:
    """The source's pictures as train/, val/ and test/ below `place`, anew."""
    shutil.rmtree(place, ignore_errors=True)
    own = {"train": "train", "test": "test", "val": "test"}
    folders = {folder: own[folder.name] for folder in source.iterdir() if folder.name in own} or {source: ""}
    for folder, split in folders.items():
        for path in sorted(folder.glob("*/*")):
            if path.suffix.lower() in ENDINGS:
                copy = (
                    place / (split if split == "test" else drawn(path, split)) / path.parent.name / path.name
                )
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return place


def drawn(path: Path, split: str) -> str:
    """A picture's split: validation is a tenth of what is not tested."""
    number = int(hashlib.sha256(f"{path.parent.name}/{path.name}".encode()).hexdigest(), 16)
    if not split and number % 5 == 0:
        return "test"
    return "val" if number // 5 % 10 == 0 else "train"


def compared(data: Path, minutes: float, pythons: dict[str, str], work: Path) -> dict[str, Any]:
    """Every tool's accuracy on one source, and tenfold's lead over it with its interval."""
    counts = {split: len(list((data / split).glob("*/*"))) for split in ("train", "val", "test")}
    classes = len(list((data / "train").iterdir()))
    found: dict[str, Any] = {
        **{"source": data.name, "minutes": minutes, "images": counts, "classes": classes},
        **{"machine": machine(), "tools": {}},
    }
    right: dict[str, np.ndarray] = {}
    for name in ("tenfold", *pythons):
        began = time.perf_counter()
        answers = (
            ours(data, minutes, work)
            if name == "tenfold"
            else theirs(name, pythons[name], data, minutes, work)
        )
        seconds = time.perf_counter() - began
        if answers is None:
            found["tools"][name] = {"failed": True, "seconds": seconds}
            continue
        said = answers["predicted"]
        assert len(said) == counts["test"], f"{name} answered {len(said)} of {counts['test']} test pictures"
        right[name] = np.array([key.partition("/")[0] == said[key] for key in sorted(said)])
        lead = compare_correct(right[name][None], right["tenfold"][None])
        found["tools"][name] = {
            **{"how": answers["how"], "accuracy": float(right[name].mean()), "seconds": seconds},
            **{"lead": lead.difference, "ci95": lead.ci95, "p": lead.p_value},
        }
        print(data.name, minutes, name, json.dumps(found["tools"][name]), flush=True)
    return found


def ours(data: Path, minutes: float, work: Path) -> dict[str, Any]:
    """tenfold's answers, by its command, whose time includes its report."""
    place = ["--out", str(work), "--name", f"{data.name}-{minutes:g}", "--overwrite"]
    words = ["--train", str(data / "train"), "--validation", str(data / "val"), "--test", str(data / "test")]
    command = [sys.executable, "-m", "tenfold", "train", *words, "--minutes", str(minutes), *place]
    # Nothing of an earlier run: no decoded pictures, exports, features or compiled kernels.
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TENFOLD_CACHE": cache}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"tenfold failed:\n{done.stderr[-3000:]}")
    run = tenfold.load_run(work / f"{data.name}-{minutes:g}")
    answers = run.predictions("test")
    names = run.class_names
    said = {
        "/".join(Path(path).parts[-2:]): names[place]
        for path, place in zip(answers.paths, answers.predicted, strict=True)
    }
    model = run.recipe.model
    how = model.name
    if how == "backbone":
        how = f"{model.options['backbone']}, {model.options['image_size']} px"
    return {"how": how + (", fine-tuned" if model.options.get("unfreeze") else ""), "predicted": said}


def theirs(name: str, python: str, data: Path, minutes: float, work: Path) -> dict[str, Any] | None:
    """A peer's answers by its script; None where it failed, with its last words printed."""
    out = (work / f"{data.name}-{minutes:g}-{name}.json").resolve()
    out.unlink(missing_ok=True)
    script = str(PEERS / f"minutes_{name}.py")
    words = ["--data", str(data.resolve()), "--until", str(time.time() + 60 * minutes), "--out", str(out)]
    done = subprocess.run([python, script, *words], capture_output=True, text=True, cwd=work)
    if done.returncode or not out.is_file():
        print(f"{name} failed on {data.name}:\n{done.stderr[-2000:]}", flush=True)
        return None
    return json.loads(out.read_text(encoding="utf-8"))


def table(results: list[dict[str, Any]]) -> list[str]:
    """A row for each source, number of minutes and tool; then tenfold's lead over the best peer."""
    rows = [
        "| source | images by split | classes | minutes | tool | test accuracy % | tenfold ahead (95 %) | seconds |"
    ]
    rows.append("|---|---|---|---|---|---|---|---|")
    leads = []
    for one in results:
        splits = ", ".join(f"{count:,}" for count in one["images"].values())
        facts = f"{one['source']} | {splits} | {one['classes']} | {one['minutes']:g}"
        peers = [tool["lead"] for name, tool in one["tools"].items() if name != "tenfold" and "lead" in tool]
        leads += [min(peers)] if peers else []
        for name, tool in one["tools"].items():
            rows.append(f"| {facts} | {tool_row(name, tool)} |")
            facts = " | | | "
    if len(leads) > 1:
        rows += ["", f"Ahead of the best peer by {100 * statistics.median(leads):+.1f} points in the median of "
                 f"{len(leads)} comparisons, {100 * min(leads):+.1f} at worst."]  # fmt: skip
    return rows


def tool_row(name: str, tool: dict[str, Any]) -> str:
    if tool.get("failed"):
        return f"{name} | failed | | {tool['seconds']:.0f}"
    low, high = tool["ci95"]
    lead = "" if name == "tenfold" else f"{100 * tool['lead']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{name}: {tool['how']} | {100 * tool['accuracy']:.1f} | {lead} | {tool['seconds']:.0f}"


if __name__ == "__main__":
    main()
