"""Small things to test with: pictures drawn here, recipes that train in a moment, the command line as a process."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "square")
# A model and a run of a moment, on top of the recipe `digits`; no augmentation, so that it learns at once.
SMALL = ("model.filters=[4]", "model.dense=8", "augment=[]", "fit.epochs=2")
# The same without dropout, of which each of several processes draws its own.
STEADY = (*SMALL, "model.dropout=0.0")
# The digits with everything random taking part: starting weights, order, augmentation, dropout.
DEMO = ("model.filters=[8]", "model.dense=32", "fit.epochs=8", "--seed", "3")


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


def wait_for(
    condition: Callable[[], object], process: subprocess.Popen[str] | None = None, seconds: float = 400
) -> None:
    """Return as soon as `condition` holds; fail where `process` has ended before it did, or after so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def tenfold(*arguments: str | Path, folder: Path | None = None) -> Answer:
    """`python -m tenfold ARGUMENTS` in a process of its own, started in `folder`."""
    done = subprocess.run(words(*arguments), cwd=folder, capture_output=True, text=True, timeout=400)
    return Answer(done.returncode, done.stdout, done.stderr)


def words(*arguments: str | Path) -> list[str]:
    """The command line of `tenfold ARGUMENTS`."""
    return [sys.executable, "-m", "tenfold", *map(str, arguments)]


def draw_pictures(folder: Path, classes: Sequence[str], count: int) -> Path:
    """Class folders with `count` PNG files of 16x16 each: one shape a class, moving and changing colour."""
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = Image.new("RGB", (16, 16), (20 * number, 5 * i, 40))
            _draw_shape(ImageDraw.Draw(image), number % 3, (2 + i % 4, 2 + i // 4), (255, 200 - 9 * i, 60))
            image.save(folder / name / f"{i:02}.png")
    return folder


def _draw_shape(
    draw: ImageDraw.ImageDraw, kind: int, corner: tuple[int, int], color: tuple[int, ...]
) -> None:
    left, top = corner
    box = (left, top, left + 8, top + 8)
    if kind == 0:
        draw.ellipse(box, fill=color)
    elif kind == 1:
        draw.line(box, fill=color, width=2)
        draw.line((left, top + 8, left + 8, top), fill=color, width=2)
    else:
        draw.rectangle(box, outline=color, width=2)


def edit_json(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON file as a person would who knows of its hash: without it, the file is taken as it is."""
    value = json.loads(path.read_text(encoding="utf-8"))
    value.pop("blake2b", None)
    changed = change(value)
    path.write_text(json.dumps(value if changed is None else changed), encoding="utf-8")


def edit_recipe(path: Path, old: str, new: str) -> None:
    """Change a run's recipe as a person would who knows of its hash: without it, the file is taken as it is."""
    text = path.read_text(encoding="utf-8")
    text = text.partition("\n")[2] if text.startswith("# blake2b ") else text
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def flip_byte(path: Path, place: int) -> None:
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def first(split, count: int):
    """The first `count` images of a split."""
    return replace(
        split,
        rows=split.rows[:count],
        labels=split.labels[:count],
        paths=split.paths[:count],
        folders=(min(count, len(split)),),
    )


def small_recipe(*overrides: str):
    """The recipe `digits` made small, with `overrides` on top."""
    from tenfold.recipe import load_recipe

    return load_recipe("digits", [*SMALL, *overrides])
