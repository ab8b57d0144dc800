"""Whether one process grows that does much: trainings one after the other, and a sweep of many trials.

    python bench/leaks.py                                 # ten trainings, and a sweep of 200 trials
    python bench/leaks.py --trainings 30 --trials 0       # trainings alone

After each training, and while the sweep goes on, for its driver and its one worker: resident memory, threads and open
files. The first third loads libraries and fills caches; what comes after it should stay level. Exit status 1 where
memory grew by more than --most MiB after that, or where a thread or a file more is open at the end.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from faults import draw_shapes

import tenfold
from tenfold.core.devices import release_freed_memory

SMALL = {"model.filters": [4], "model.dense": 8, "augment": [], "fit.epochs": 1}


@dataclass(frozen=True)
class Held:
    """What a process holds: MiB resident, threads, open files."""

    memory: float
    threads: int
    files: int


def held(process: psutil.Process) -> Held:
    """What a process holds now."""
    with process.oneshot():
        return Held(process.memory_info().rss / 2**20, process.num_threads(), process.num_fds())


def train_often(count: int, pictures: Path, out: Path) -> Iterator[Held]:
    """Train so many runs in this process; what it holds after each."""
    for _ in range(count):
        tenfold.train("digits", overrides=SMALL, data=pictures, out=out, progress=False)
        release_freed_memory()
        yield held(psutil.Process())


def sweep_long(trials: int, pictures: Path, out: Path) -> dict[str, list[Held]]:
    """A sweep of so many trials, driven by this process, with one worker; what both held as it went on."""
    space = {"optimizer.lr": "1e-4..1e-2:log"}
    options = {"search": "random", "trials": trials, "workers": 1, "threads": 1}
    with watched() as seen:
        tenfold.sweep(
            "digits", space, overrides=SMALL, data=pictures, out=out, name="long", progress=False, **options
        )
    return seen


@contextmanager
def watched(seconds: float = 1.0) -> Iterator[dict[str, list[Held]]]:
    """What this process and its first child hold, every so many seconds while there is a child."""
    seen: dict[str, list[Held]] = {"driver": [], "worker": []}
    over = threading.Event()

    def watch() -> None:
        me = psutil.Process()
        while not over.wait(seconds):
            with suppress(psutil.Error, IndexError):
                seen["worker"].append(held(me.children()[0]))
                seen["driver"].append(held(me))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def growth(course: list[Held]) -> Held:
    """What came between the first third, and two points at least, and the end."""
    start, end = course[max(1, len(course) // 3)], course[-1]
    return Held(end.memory - start.memory, end.threads - start.threads, end.files - start.files)


def row(name: str, course: list[Held]) -> str:
    """A line of the table: what was held after the first third, after two thirds and at the end."""
    points = [course[max(1, len(course) // 3)], course[2 * len(course) // 3], course[-1]]
    cells = [
        f"{', '.join(f'{point.memory:,.0f}' for point in points)}",
        f"{', '.join(str(point.threads) for point in points)}",
        f"{', '.join(str(point.files) for point in points)}",
    ]
    return f"| {name} | {len(course)} | {' | '.join(cells)} |"


def main() -> None:
    """Train, sweep, print the table, and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--most", type=float, default=20, help="MiB that a process may grow by")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all that was seen there")
    options = parser.parse_args()
    courses: dict[str, list[Held]] = {}
    with tempfile.TemporaryDirectory() as place:
        os.environ["TENFOLD_CACHE"] = str(Path(place, "cache"))
        pictures, out = Path(place, "shapes"), Path(place, "runs")
        draw_shapes(pictures, 6)
        if options.trainings:
            courses["trainings"] = list(train_often(options.trainings, pictures, out))
        if options.trials:
            seen = sweep_long(options.trials, pictures, out)
            courses |= {f"sweep of {options.trials} trials, {name}": course for name, course in seen.items()}
    print("| process | points | memory, MiB | threads | open files |", "|---|---|---|---|---|", sep="\n")
    print(*[row(name, course) for name, course in courses.items()], sep="\n")
    if options.json:
        values = {name: [asdict(point) for point in course] for name, course in courses.items()}
        options.json.write_text(json.dumps(values))
    grown = [growth(course) for course in courses.values()]
    sys.exit(any(one.memory > options.most or one.threads > 0 or one.files > 0 for one in grown))


if __name__ == "__main__":
    main()
