"""How near `tenfold train --minutes M` ends to M, on one source after another.

    python bench/budget.py photos/ cifar10/train1 digits --minutes 1 3

Every run is a command of its own, from its start to its report; --minutes promises to be done by then, whatever the
images. A source's first run also reads its images; where they are in the cache, it finds them there. A run may end
well before its time where more epochs would teach nothing.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import tenfold

HEADER = "source | images by split | size | classes | minutes | seconds | of the time | test accuracy %"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", help="what `tenfold train --data` takes")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0])
    parser.add_argument("--out", type=Path, default=Path("runs/budget"))
    options = parser.parse_args()
    rows = []
    for minutes in options.minutes:
        for source in options.sources:
            rows.append(row(source, minutes, options.out))
            print(f"{rows[-1]}\n", flush=True)
    print("\n".join([f"| {HEADER} |", f"|{'---|' * len(HEADER.split(' | '))}", *rows]))


def row(source: str, minutes: float, out: Path) -> str:
    """One run's line of Markdown; its plan is printed on the way."""
    name = f"{Path(source).name}-{minutes:g}"
    words = ["--data", source, "--minutes", str(minutes), "--out", str(out), "--name", name, "--overwrite"]
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "tenfold", "train", *words], capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"tenfold train --data {source} --minutes {minutes:g} failed:\n{done.stderr}")
    plan = re.search(r"plan for .*", done.stdout)
    print(plan[0] if plan else "no plan was printed", flush=True)
    run = tenfold.load_run(out / name)
    splits = run.data["splits"]
    images = ", ".join(f"{splits[split]['images']:,}" for split in ("train", "validation", "test"))
    height, width, _ = run.data["image_shape"]
    cells = [
        *(Path(source).name, images, f"{height}x{width}", str(len(run.class_names))),
        *(f"{minutes:g}", f"{seconds:.1f}", f"{seconds / 60 / minutes:.0%}"),
        f"{100 * run.metrics['test']['accuracy']:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
