"""Whether work survives kills: commands killed with SIGKILL at their changes of files, and given again.

    python bench/faults.py                          # every command, at 1,000 positions in all
    python bench/faults.py train sweep --kills 50   # two of them, at 50 positions each

A position is a call that changes a file below the folder of work: opening it to write, writing (half of the bytes),
syncing, renaming, linking, removing, making a folder. After a kill the same command is given again, or, for a run
that has begun, `tenfold resume`. Then the command must end well; the files must be those of a run that nobody
killed, with the same bits where nothing measures time; nothing temporary may be left, nor any process. Exit status 1
where it is otherwise.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from faults_serve import faults_of, outcome, session
from killing import Done, Killing
from PIL import Image

from tenfold.core.tensors import read_tensors

SMALL = ("model.filters=[4]", "model.dense=8", "augment=[]", "fit.epochs=2")
TRAIN = ("train", "digits", *SMALL, "--data", "shapes", "--name")
BACKBONE = ("train", "backbone", "model.image_size=32", "--data", "shapes", "--name")
# Numbers that are measured, and texts that hold them: not the same twice.
MEASURED = {
    "seconds",
    "images_per_second",
    "peak_memory_mib",
    "environment.json",
    "transfer.json",
    "certificate.json",
    "history",
    "blake2b",
}
TEXTS = (".html", ".svg", ".png", ".md", ".log", ".lock")
PATIENCE = 10.0  # seconds in which the processes of a killed command must have ended

Words = tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """A command; what must have been done before; and the command that finishes it after a kill."""

    words: Words
    before: tuple[Words, ...] = ()
    again: Callable[[Path], Words] | None = None
    # The state before is that of the last command of `before` killed when this file first appeared.
    until: str = ""


def _resumed(words: Words) -> Callable[[Path], Words]:
    """`tenfold resume` for a run that has begun; else the same words."""
    return lambda folder: (
        ("resume", words[-1]) if (folder / "runs" / words[-1] / "recipe.toml").is_file() else words
    )


def _exported(folder: Path) -> Words:
    """The same words; where the folder is there as a whole, its replacement is asked for."""
    return (*EXPORT, "--overwrite") if (folder / "runs" / "one" / "export").is_dir() else EXPORT


ONE, OTHER = (*TRAIN, "one"), (*TRAIN[:-1], "--seed", "1", "--name", "other")
EXPORT = ("export", "one")
PREDICT = ("predict", "one", "others")
NEW = (*TRAIN[:-1], "data.image_size=12", "--name", "new")
SWEEP = ("sweep", *TRAIN[1:-1], "model.dense=4,8", "--name", "search")
SCENARIOS = {
    "train": Scenario(ONE, again=_resumed(ONE)),
    "train --overwrite": Scenario((*TRAIN[:-1], "--overwrite", "--name", "one"), (ONE,)),
    "train, new pack": Scenario(NEW, again=_resumed(NEW)),
    "train, features": Scenario((*BACKBONE, "head"), again=_resumed((*BACKBONE, "head"))),
    "resume": Scenario(("resume", "one"), (ONE,), until="runs/one/checkpoint/state.safetensors"),
    "evaluate": Scenario(("evaluate", "one"), (ONE,)),
    "evaluate --data": Scenario(("evaluate", "one", "--data", "others"), (ONE,)),
    "report": Scenario(("report", "one"), (ONE,)),
    "compare": Scenario(("compare", "one", "other"), (ONE, OTHER)),
    "export": Scenario(EXPORT, (ONE,), again=_exported),
    "predict": Scenario(PREDICT, (ONE,)),
    "predict --out": Scenario((*PREDICT, "--out", "answers.csv"), (ONE, PREDICT)),
    "inspect": Scenario(("inspect", "others"), ()),
    "sweep": Scenario(SWEEP),
}
SERVE = "serve"  # killed while it answers: see faults_serve.py


class Bench:
    """Kills commands in a folder; `faults` are what went wrong, in words."""

    def __init__(self, commands: Killing, templates: Path) -> None:
        self.commands, self.templates = commands, templates
        self.folder = commands.folder
        self.faults: list[str] = []
        draw_shapes(self.folder / "shapes", 6)
        draw_shapes(self.folder / "others", 3)
        self.pictures = {"shapes", "others"}
        # Compiled kernels and fonts belong to no command: they are there before the first.
        self.must(ONE)
        self.clear("runs")
        self.keep("empty")
        self.states: dict[tuple[Words, ...], str] = {(): "empty"}

    def must(self, words: Words, at: int = 0) -> Done:
        """A command that has to end well."""
        done = self.commands.run(*words, at=at)
        if done.status and not at:
            raise SystemExit(f"{' '.join(words)}: {done.out}")
        return done

    def keep(self, name: str) -> None:
        """Note the folder's state under a name."""
        self.clear_template(name)
        shutil.copytree(self.folder, self.templates / name, ignore=lambda _, names: self.pictures & {*names})

    def clear_template(self, name: str) -> None:
        """Forget a state."""
        shutil.rmtree(self.templates / name, ignore_errors=True)

    def clear(self, *names: str) -> None:
        """Remove all but the pictures, or what is named."""
        for path in self.folder.iterdir():
            if path.name in names or (not names and path.name not in self.pictures):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def restore(self, name: str) -> None:
        """Bring a noted state back."""
        self.clear()
        shutil.copytree(self.templates / name, self.folder, dirs_exist_ok=True)

    def bring_about(self, commands: tuple[Words, ...]) -> None:
        """The state after these commands, which are carried out once in the bench's life."""
        if commands in self.states:
            self.restore(self.states[commands])
            return
        self.bring_about(commands[:-1])
        self.must(commands[-1])
        self.states[commands] = f"after {len(self.states)}"
        self.keep(self.states[commands])

    def begin(self, name: str, scenario: Scenario) -> None:
        """Make and note the state before a scenario's command."""
        if not scenario.until:
            self.bring_about(scenario.before)
        else:
            at = 20
            while True:
                self.restore("empty")
                self.must(scenario.before[-1], at=at)
                if (self.folder / scenario.until).is_file():
                    break
                at += 5
        self.keep(name)

    def kills(self, name: str, most: int, chain: int = 1) -> tuple[int, int, float]:
        """Kill a scenario's command at up to `most` positions, evenly spread; (positions, kills, seconds).

        With `chain`, the command that follows a kill is killed too, further on, until so many kills came together.
        """
        began = time.monotonic()
        if name == SERVE:
            return *self._kills_of_server(most), time.monotonic() - began
        scenario = SCENARIOS[name]
        self.begin(name, scenario)
        whole = self.must(scenario.words)
        wanted = picture(self.folder)
        positions, killed = _spread(whole.changes, most), 0
        for start in range(0, len(positions), chain):
            self.restore(name)
            killed += self._killed(name, scenario, positions[start : start + chain], wanted)
        self.clear_template(name)
        return whole.changes, killed, time.monotonic() - began

    def _kills_of_server(self, most: int) -> tuple[int, int]:
        """Kill a server while pictures are corrected: (positions, kills)."""
        self.bring_about((ONE, EXPORT))
        self.keep(SERVE)
        whole = session(self.commands)
        wanted, killed = outcome(self.folder), 0
        for position in _spread(whole.done.changes, most):
            self.restore(SERVE)
            ended = session(self.commands, at=position)
            places = [f"{position}: {ended.done.what}"]
            if ended.done.status != -9:
                continue
            killed += 1
            if self.commands.outlived(PATIENCE):
                self._fault(SERVE, places, "processes of the killed server are alive", "")
            for fault in faults_of(self.commands, ended):
                self._fault(SERVE, places, fault, ended.done.out)
            again = session(self.commands)
            if outcome(self.folder) != wanted:
                self._fault(SERVE, places, f"ends with {outcome(self.folder)}, not {wanted}", again.done.out)
        return whole.done.changes, killed

    def _killed(self, name: str, scenario: Scenario, positions: list[int], wanted: dict[str, str]) -> int:
        again, places, killed = scenario.again or (lambda folder: scenario.words), [], 0
        for position in positions:
            # A command that goes on has fewer changes to make than one that begins.
            words = again(self.folder) if places else scenario.words
            done = self.commands.run(*words, at=position)
            if done.status != -9:
                break
            killed += 1
            places.append(f"{position}: {done.what.replace(str(self.folder) + '/', '')}")
            if self.commands.outlived(PATIENCE):
                self._fault(name, places, "processes of the killed command are alive", "")
        done = self.commands.run(*again(self.folder))
        found = picture(self.folder)
        if done.status:
            self._fault(name, places, f"ended with status {done.status}", done.out)
        elif "Traceback" in done.out:
            self._fault(name, places, "shows a traceback", done.out)
        elif found != wanted:
            differing = sorted(
                f"{file}{'' if file in wanted else ' is left over'}{'' if file in found else ' is missing'}"
                for file in {*found, *wanted}
                if found.get(file) != wanted.get(file)
            )
            self._fault(name, places, f"files differ: {', '.join(differing)}", "")
        return killed

    def _fault(self, name: str, places: list[str], what: str, said: str) -> None:
        fault = f"{name}, killed at {'; '.join(places)}: {what}"
        self.faults.append(fault)
        print(fault, *[f"    {line}" for line in said.splitlines()[-12:]], sep="\n", flush=True)


def _spread(changes: int, most: int) -> list[int]:
    """Up to `most` positions, evenly spread over all."""
    return np.unique(np.linspace(1, changes, min(most, changes)).astype(int)).tolist()


def draw_shapes(folder: Path, count: int) -> None:
    """Three classes of pictures of 16x16, told apart by their stripes."""
    for label in range(3):
        (folder / "abc"[label]).mkdir(parents=True)
        for number in range(count):
            y, x = np.mgrid[:16, :16]
            pixels = 120 + 80 * np.sin((y, x, x + y)[label] * (0.7 + number / 10))[..., None] * (
                1,
                0.5,
                number / 9,
            )
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                folder / "abc"[label] / f"{number}.png"
            )


def picture(folder: Path) -> dict[str, str]:
    """What lies below a folder: each file's contents, where nothing in it measures time."""
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    # A command that goes on may read images otherwise than one that begins (`data.json` says how), in a pack apart.
    return {name: _content(path) for name, path in named.items() if not _whole_pack(name)}


def _whole_pack(name: str) -> bool:
    return name.startswith("cache/packs/") and not name.startswith("cache/packs/.")


def _content(path: Path) -> str:
    if path.name in MEASURED or path.suffix in TEXTS or path.name == "lock":
        return "there"
    if path.suffix == ".safetensors":
        tensors, header = read_tensors(path)
        numbers = {name: tensor.numpy().tobytes() for name, tensor in sorted(tensors.items())}
        return _hash(repr(_timeless(header)) + repr(numbers))
    if path.suffix == ".json":
        return _hash(repr(_timeless(json.loads(path.read_text()))))
    if path.suffix == ".jsonl":
        return "there"  # a journal tells of what happened, and a kill is a part of that
    if path.suffix == ".csv":
        rows = [line.split(",") for line in path.read_text().splitlines()]
        kept = [place for place, name in enumerate(rows[0]) if name not in MEASURED]
        return _hash(repr([[row[place] for place in kept] for row in rows]))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return _hash(repr({name: arrays[name].tobytes() for name in arrays.files}))
    return _hash(path.read_bytes())


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(entry) for key, entry in value.items() if key not in MEASURED}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


def _hash(content: str | bytes) -> str:
    return hashlib.blake2b(
        content.encode() if isinstance(content, str) else content, digest_size=8
    ).hexdigest()


def opened() -> Iterator[Bench]:
    """A bench in a temporary folder."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Killing(Path(folder, "work"), Path(folder, "scratch")) as commands,
    ):
        yield Bench(commands, Path(folder, "states"))


def main() -> None:
    """Kill, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=", ".join((*SCENARIOS, SERVE)))
    parser.add_argument("--kills", type=int, default=100, help="the most positions of each command")
    parser.add_argument(
        "--chain", type=int, default=1, help="so many kills, one after the other, before it may end"
    )
    arguments = parser.parse_args()
    os.environ["COLUMNS"] = "120"
    for bench in opened():
        print(f"{'command':20} {'positions':>9} {'kills':>6} {'faults':>6} {'seconds':>8}", flush=True)
        total = 0
        for name in arguments.names or (*SCENARIOS, SERVE):
            before = len(bench.faults)
            positions, kills, seconds = bench.kills(name, arguments.kills, arguments.chain)
            total += kills
            print(
                f"{name:20} {positions:9} {kills:6} {len(bench.faults) - before:6} {seconds:8.0f}", flush=True
            )
        print(f"{total:,} kills, {len(bench.faults)} faults")
        sys.exit(bool(bench.faults))


if __name__ == "__main__":
    main()
