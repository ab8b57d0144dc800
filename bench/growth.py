"""What each part of the work costs as the number of images, or of classes, grows: seconds, and the most memory.

    python bench/growth.py --images 10000 100000 [--side 32] [--classes 10] [--json FILE]

Pictures are noise with a stripe at a place of each class, as PNG files made once and kept in `--scratch`. Each
part runs in a process of its own, and its memory is the most that process held (`ru_maxrss`). `first open` lists,
decodes and packs; `warm open` looks whether a file has changed. Where cost per image stays what it was, seconds per
10,000 images are the same in each column.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import cpu_info
from PIL import Image

# The smallest network of the notebooks, for two epochs: what is measured is the house around it.
RECIPE = ["model-s-baseline", "model.filters=[8]", "model.dense=16", "fit.epochs=2", "augment=[]"]
OPEN = "from tenfold.workbench.verbs import load_splits; load_splits(sys.argv[1])"
VERB = """
sys.argv = ["tenfold", *sys.argv[1:]]
from tenfold.cli import main
main()
"""
MEASURED = """
import json, resource, sys, time
began = time.perf_counter()
try:
    {code}
except SystemExit as end:
    if end.code not in (0, 1, None):
        raise
seconds = time.perf_counter() - began
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
print(json.dumps({{"seconds": seconds, "mebibytes": peak}}), file=sys.stderr)
"""


def make_pictures(folder: Path, images: int, side: int, classes: int) -> Path:
    """Class folders with so many PNG files in all, unless they are there."""
    if folder.exists():
        return folder
    beside = folder.with_name(f"{folder.name}.partial")
    draw = np.random.default_rng(0)
    for number in range(images):
        label = number % classes
        place = beside / f"c{label:05}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 160, (side, side, 3), dtype=np.uint8)
        pixels[label % side, :, label // side % 3] = 255
        Image.fromarray(pixels).save(place / f"{number:07}.png", compress_level=1)
    beside.rename(folder)
    return folder


def measured(code: str, *words: str, cache: Path) -> dict[str, float]:
    """Seconds and MiB of `code` in a process of its own."""
    program = MEASURED.format(code=code.strip().replace("\n", "\n    "))
    environment = {**os.environ, "TENFOLD_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    found = json.loads(done.stderr.splitlines()[-1])
    # What is known is told at once: the largest numbers of images may be stopped before their table.
    print(
        f"{' '.join(words)}: {found['seconds']:.2f} s, {found['mebibytes']:.0f} MiB",
        file=sys.stderr,
        flush=True,
    )
    return found


def last_epoch(run: Path) -> dict[str, float]:
    """Seconds of a run's last epoch, by its history."""
    with (run / "history.csv").open(newline="", encoding="utf-8") as file:
        return {"seconds": float(list(csv.DictReader(file))[-1]["seconds"]), "mebibytes": 0.0}


def grow(scratch: Path, images: int, side: int, classes: int) -> dict[str, dict[str, float]]:
    """Every part for a number of images."""
    name = f"{images}x{side}x{classes}"
    data, cache, runs = (
        str(make_pictures(scratch / name, images, side, classes)),
        scratch / f"{name}-cache",
        scratch / f"{name}-runs",
    )
    train = ["train", *RECIPE, "--data", data, "--out", str(runs), "--overwrite", "--name"]
    found = {
        "first open": measured(OPEN, data, cache=cache),
        "warm open": measured(OPEN, data, cache=cache),
        "train, test and report": measured(VERB, *train, "one", cache=cache),
    }
    measured(VERB, *train, "two", "--seed", "1", cache=cache)
    found["an epoch"] = last_epoch(runs / "one")
    found["report"] = measured(VERB, "report", str(runs / "one"), cache=cache)
    found["compare"] = measured(
        VERB, "compare", str(runs / "one"), str(runs / "two"), "--out", str(runs / "comparison"), cache=cache
    )
    found["inspect"] = measured(VERB, "inspect", data, "--out", str(runs / "inspection"), cache=cache)
    shards = scratch / f"{name}-shards"
    shutil.rmtree(shards, ignore_errors=True)
    found["pack into shards"] = measured(VERB, "pack", data, "--shards", str(shards), cache=cache)
    streamed = [*train, "streamed", "data.streaming=true", "fit.batches=split", "--data", str(shards)]
    found["train on streamed shards"] = measured(VERB, *streamed, cache=cache)
    found["an epoch streamed"] = last_epoch(runs / "streamed")
    page = (runs / "one" / "report.html").stat().st_size
    found["report's page"] = {"seconds": 0.0, "mebibytes": page / 2**20}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    asked.scratch.mkdir(parents=True, exist_ok=True)
    found = {
        images: grow(asked.scratch, images, asked.side, asked.classes) for images in sorted(asked.images)
    }
    print(f"side {asked.side}, {asked.classes} classes; seconds per 10,000 images, most MiB")
    for part in next(iter(found.values())):
        cells = [
            f"{1e4 * parts[part]['seconds'] / images:9.2f} s {parts[part]['mebibytes']:8.1f} MiB"
            for images, parts in found.items()
        ]
        print(f"{part:24}" + "".join(cells))
    if asked.json:
        head = {"machine": cpu_info()[4:5], "side": asked.side, "classes": asked.classes}
        asked.json.write_text(json.dumps({**head, "found": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
