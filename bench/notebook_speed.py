"""Images per second and peak memory of the notebooks' training: tenfold, Keras on TensorFlow, a plain PyTorch loop.

    python bench/notebook_speed.py --data cifar10 --keras-python /path/to/keras/venv/bin/python

`--data` holds the notebooks' folders train1 ... train5, each with one folder a class. Every contestant is one
script in bench/peers/, run in a process of its own and in turn with the others (A B C A B C), so that what
disturbs the machine disturbs all of them. It trains a few steps to warm up and then times --steps of them, of 64
images; --steps 628 is the notebooks' whole epoch. Memory is the peak of the proportional set size of the process
and its children. Keras keeps decoded batches in its shuffle buffer, so that its memory grows with --steps up to
a whole epoch.
"""

import argparse
import statistics
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from common import gflop_an_image, last_report, matmul_rate, notebook_command, print_machine

from tenfold.recipe import load_recipe

BATCH = 64


@dataclass(frozen=True)
class Contestant:
    """A name, the Python that runs it, its script, and arguments of its own."""

    name: str
    python: str
    script: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What one process reached; `versions` is its own words on what it ran."""

    images_per_second: float
    peak_mib: float
    versions: str


def main() -> None:
    options = parse()
    contestants = [Contestant("tenfold", sys.executable, "tenfold_notebook.py")]
    if options.keras_python:
        contestants.append(Contestant("Keras", options.keras_python, "keras_notebook.py"))
    contestants += [
        Contestant(
            f"PyTorch loop, {workers} workers", sys.executable, "torch_notebook.py", (f"--workers={workers}",)
        )
        for workers in options.workers
    ]
    rate = matmul_rate()
    print_machine({"single precision": rate})
    for recipe in options.recipes:
        rounds = [
            {c.name: run(c, recipe, options.data, options.steps, options.warmup) for c in contestants}
            for _ in range(options.rounds)
        ]
        print_recipe(recipe, rounds, rate)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--keras-python", help="the Python of an environment with tensorflow; without it, no Keras"
    )
    parser.add_argument("--recipes", nargs="+", default=["model-s-baseline", "model-s-augmented"])
    parser.add_argument("--steps", type=int, default=30, help="timed steps of each process")
    parser.add_argument("--warmup", type=int, default=5, help="steps before them")
    parser.add_argument("--rounds", type=int, default=2, help="how often each contestant has its turn")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[0], help="loader workers of the PyTorch loop"
    )
    return parser.parse_args()


def run(contestant: Contestant, recipe: str, data: Path, steps: int, warmup: int) -> Result:
    """Run a contestant's script to its end, watching its memory; its last line of output is its report."""
    command = notebook_command(
        contestant.python, contestant.script, data, recipe, steps, warmup, *contestant.arguments
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory = PeakMemory(process.pid)
    memory.start()
    output, errors = process.communicate()
    memory.stop()
    report = last_report(contestant.name, process.returncode, output, errors)
    rate = steps * BATCH / report["seconds"]
    print(f"  {recipe} {contestant.name}: {rate:.0f} images/s, {memory.peak:.0f} MiB", file=sys.stderr)
    return Result(rate, memory.peak, report["versions"])


class PeakMemory(threading.Thread):
    """Watches the proportional set size of a process and its children, in MiB, ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.peak = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.1):
            self.peak = max(self.peak, sum(map(proportional_set, family(self.process))) / 2**20)

    def stop(self) -> None:
        self.done.set()
        self.join()


def family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def proportional_set(process: psutil.Process) -> int:
    try:
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.uss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def print_recipe(recipe: str, rounds: list[dict[str, Result]], rate: float) -> None:
    """A table of medians over the rounds, with tenfold's ratio to each: their median, and every round's own."""
    work = gflop_an_image(load_recipe(recipe).model)
    print(f"\n{recipe}: {1e3 * work:.0f} MFLOP an image; {len(rounds)} rounds")
    print(
        "| contestant | images/s | of the matrix product's rate | peak MiB | tenfold is faster by | versions |"
    )
    print("|---|---|---|---|---|---|")
    for name in rounds[0]:
        speed = statistics.median(results[name].images_per_second for results in rounds)
        memory = max(results[name].peak_mib for results in rounds)
        ratios = [
            results["tenfold"].images_per_second / results[name].images_per_second for results in rounds
        ]
        faster = f"{statistics.median(ratios):.2f}x ({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
        share = speed * work / rate
        print(
            f"| {name} | {speed:.0f} | {share:.0%} | {memory:.0f} | {faster} | {rounds[0][name].versions} |"
        )


if __name__ == "__main__":
    main()
