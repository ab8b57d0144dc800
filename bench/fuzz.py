"""Whether hostile input is refused in words: changed recipes, overrides, run files, journals, tables and pictures.

    python bench/fuzz.py                              # every target for a minute
    python bench/fuzz.py overrides pictures --minutes 10 --seed 3
    python bench/fuzz_guided.py pictures --minutes 10     # guided by the code that is reached: needs atheris

Each input is an honest one with bytes changed, cut, repeated, or replaced by what parsers stumble over. It may be
read or refused (TenfoldError); anything else that is raised is a fault, and so is a read of more than --seconds.
The largest resident memory is printed. Exit status 1 where there are faults; the inputs are kept below --keep.
"""

import argparse
import io
import json
import os
import random
import resource
import shutil
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from tenfold.core.errors import TenfoldError
from tenfold.data import Source, read_splits
from tenfold.data.decode import Target, decode
from tenfold.data.limits import BadPicture
from tenfold.recipe import Data, builtin_recipes, load_recipe, parse_recipe
from tenfold.runs.files import FolderFile, RecipeFile
from tenfold.runs.folder import Run
from tenfold.sweeps.journal import FILE, Journal
from tenfold.sweeps.ledger import read_ledger

# What parsers stumble over.
ODD = (
    *(
        b"9" * 5000,
        b"[" * 2000,
        b"{" * 2000,
        b"[]",
        b"{}",
        b"null",
        b"nan",
        b"-inf",
        b"1e999",
        b"-1",
        b"0",
        b"true",
    ),
    *(
        b"'",
        b'"',
        b'"""',
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"{a={a={a={}}}}",
        b"[1,2",
        b"=",
        b"1_0",
        b"12:00:00",
    ),
    *(b"18446744073709551616", b"[{}]", b"\\", b"#", b"-" * 50, b"\x7f" * 8, b"\xff" * 8),
)
KEYS = (
    "fit.batch_size",
    "model.filters",
    "augment",
    "optimizer.lr",
    "fit.hardest",
    "data.fit",
    "fit",
    "a.b.c",
    "",
)
PICTURES = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "TGA", "ICO", "JPEG2000")
Try = Callable[[bytes], object]


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Some bytes of `content` changed, removed, repeated, or with something odd in their place."""
    found = bytearray(content)
    for _ in range(chance.randint(1, 5)):
        place, length = chance.randrange(len(found) + 1), chance.randint(1, 40)
        kind = chance.random()
        if kind < 0.4 and place < len(found):
            found[place] = chance.randrange(256)
        elif kind < 0.55:
            del found[place : place + length]
        elif kind < 0.65:
            del found[place:]
        elif kind < 0.8:
            found[place:place] = found[max(0, place - length) : place]
        else:
            found[place : place + length] = chance.choice(ODD)
    return bytes(found)


class Targets:
    """What is tried, by name: honest inputs, and what reads one."""

    def __init__(self, folder: Path, run: Path | None) -> None:
        self.folder = folder
        self.seeds: dict[str, list[bytes]] = {}
        self.read: dict[str, Try] = {}
        self.add("recipes", [path.read_bytes() for path in builtin_recipes().values()], self._recipe)
        values = [
            f"{key}={text}".encode() for key in KEYS for text in ("1", "0.5", "[1]", '[{name="flip"}]', "x")
        ]
        self.add(
            "overrides",
            values,
            lambda content: load_recipe("digits", [content.decode("utf-8", "surrogateescape")]),
        )
        self.add("pictures", [_picture(kind) for kind in PICTURES], self._picture)
        self.add("archives", [_archive()], lambda content: self._source("a.zip", content))
        self.add("tars", [_tar("w"), _tar("w:gz")], lambda content: self._source("a.tar", content))
        self.add("labels", [_labels(self.folder)], lambda content: self._source("labels.csv", content))
        self.add("npz", [_npz()], lambda content: self._source("a.npz", content))
        self.add("parquet", [_parquet()], lambda content: self._source("a.parquet", content))
        journal = self.folder / "journal"
        journal.mkdir()
        whole = _journal(journal)
        self.add("journals", [whole, _unlinked(whole)], lambda content: self._journal(journal, content))
        if run:
            for file in vars(Run).values():
                if isinstance(file, FolderFile) and Run(run).has(file):
                    self._run_file(run, file)

    def add(self, name: str, seeds: list[bytes], read: Try) -> None:
        """Another target."""
        self.seeds[name], self.read[name] = seeds, read

    def _recipe(self, content: bytes) -> object:
        path = self.folder / "recipe.toml"
        path.write_bytes(content)
        load_recipe(path)
        return parse_recipe(content.decode("utf-8", "replace"))

    def _picture(self, content: bytes) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decode(content, Target(16, 16, 3, "crop"))

    def _source(self, name: str, content: bytes) -> object:
        path = self.folder / name
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_splits(Data(), Source(str(path)))

    def _journal(self, folder: Path, content: bytes) -> object:
        (folder / FILE).write_bytes(content)
        return read_ledger(Journal(folder))

    def _run_file(self, run: Path, file: FolderFile[Any]) -> None:
        copied = self.folder / "run"
        if not copied.exists():
            shutil.copytree(run, copied)
        path = Run(copied).path_of(file)
        whole = path.read_bytes()

        def read(content: bytes) -> object:
            path.write_bytes(content)
            return file.read(Run(copied))

        # With its hash a changed file is refused soon; without, it is read to the end.
        self.add(path.relative_to(copied).as_posix(), [whole, _unsealed(whole)], read)


def _picture(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


def _archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for label in "ab":
            for number in range(10):
                archive.writestr(f"{label}/{number}.png", _picture("PNG"))
    return content.getvalue()


def _tar(mode: Literal["w", "w:gz"]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for label in "ab":
            for number in range(10):
                member = tarfile.TarInfo(f"{label}/{number}.png")
                picture = _picture("PNG")
                member.size = len(picture)
                archive.addfile(member, io.BytesIO(picture))
    return content.getvalue()


def _labels(folder: Path) -> bytes:
    """A table of labels, and beside it the pictures that it names."""
    (folder / "pictures").mkdir()
    names = [f"pictures/{number}.png" for number in range(20)]
    for name in names:
        (folder / name).write_bytes(_picture("PNG"))
    rows = [f"{name},{'ab'[number % 2]},{number // 4}" for number, name in enumerate(names)]
    return "\n".join(["path,label,group", *rows, ""]).encode()


def _unsealed(content: bytes) -> bytes:
    """JSON without the hash that it has, a recipe without its first line; other files as they are."""
    if content.startswith(RecipeFile.SEAL.encode()):
        return content.partition(b"\n")[2]
    try:
        value = json.loads(content)
    except ValueError:
        return content
    if isinstance(value, dict):
        value.pop("blake2b", None)
    return json.dumps(value, indent=2).encode()


def _unlinked(journal: bytes) -> bytes:
    """A journal without the hashes of its lines, as version 0.1 wrote it."""
    return b"\n".join(map(_unsealed_line, journal.splitlines())) + b"\n"


def _unsealed_line(line: bytes) -> bytes:
    return json.dumps({key: value for key, value in json.loads(line).items() if key != "blake2b"}).encode()


def _npz() -> bytes:
    content = io.BytesIO()
    np.savez(content, images=np.zeros((40, 8, 8, 3), np.uint8), labels=np.arange(40) % 2)
    return content.getvalue()


def _parquet() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = io.BytesIO()
    images = [{"bytes": _picture("PNG"), "path": f"{number}.png"} for number in range(20)]
    pq.write_table(pa.table({"image": images, "label": [number % 2 for number in range(20)]}), content)
    return content.getvalue()


def _journal(folder: Path) -> bytes:
    from tenfold.sweeps.plan import plan_sweep
    from tenfold.sweeps.settings import SweepSettings

    plan = plan_sweep(
        "digits", load_recipe("digits"), SweepSettings({"model.dense": [4, 8]}), Source("digits")
    )
    journal = Journal(folder)
    journal.append({"event": "plan", "version": 1, "plan": plan.to_json()})
    for number in range(2):
        journal.append({"event": "candidate", "candidate": number, "values": {"model.dense": 4 + 4 * number}})
        journal.append({"event": "started", "trial": number})
    return journal.path.read_bytes()


def fault_of(read: Try, content: bytes, slow: float) -> str | None:
    """What is wrong with how an input is met, in words: anything raised but a refusal, or too many seconds."""
    began = time.process_time()
    try:
        read(content)
    except (TenfoldError, BadPicture):
        pass
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        places = [frame for frame in frames if "/tenfold/" in frame.filename]
        place = f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else "?"
        return f"{type(error).__name__} at {place}: {str(error)[:100]}"
    spent = time.process_time() - began
    return f"took more than {slow:g} s" if spent > slow else None


def attack(
    name: str, targets: Targets, seconds: float, chance: random.Random, slow: float
) -> list[tuple[str, bytes]]:
    """Try mutated inputs of a target for so long; print what was found and give the faults with their inputs."""
    faults: dict[str, bytes] = {}
    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        content = mutated(chance.choice(targets.seeds[name]), chance)
        tried += 1
        if fault := fault_of(targets.read[name], content, slow):
            faults.setdefault(fault, content)
    print(
        f"{name:30} {tried:8,} inputs  {len(faults)} kinds of faults  {largest_memory():,.0f} MiB", flush=True
    )
    return list(faults.items())


def largest_memory() -> float:
    """The most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def keep(fault: str, content: bytes, name: str, number: int, folder: Path) -> None:
    """Write an input down that makes a fault, and say so."""
    folder.mkdir(exist_ok=True)
    kept = folder / f"{name.replace('/', '-')}-{number}"
    kept.write_bytes(content)
    print(f"    {fault} ({kept})", flush=True)


def main() -> None:
    """Attack, and keep what is found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seconds", type=float, default=10, help="the most that one input may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--run", type=Path, help="a finished run, whose files are attacked too")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    arguments = parser.parse_args()
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TENFOLD_CACHE"] = str(Path(folder, "cache"))
        targets = Targets(Path(folder), arguments.run)
        for name in arguments.names or targets.seeds:
            chance = random.Random(f"{arguments.seed} {name}")
            for number, (fault, content) in enumerate(
                attack(name, targets, 60 * arguments.minutes, chance, arguments.seconds)
            ):
                found += 1
                keep(fault, content, name, number, arguments.keep)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
