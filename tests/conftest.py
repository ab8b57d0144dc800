"""What several tests share: digits, a folder of real pictures, recipes that train in a moment, the command line."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

# One thread, here and in every process that a test starts: tests of equal bits need equal thread counts, and a
# network of a few hundred parameters gains nothing from a second one.
os.environ["OMP_NUM_THREADS"] = "1"

SHAPES = ("circle", "cross", "square")
# A model and a run of a moment, on top of the recipe `digits`; no augmentation, so that it learns at once.
SMALL = ("model.filters=[4]", "model.dense=8", "augment=[]", "fit.epochs=2")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of this test session's own."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENFOLD_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def digits(cache):
    """The bundled handwritten digits as splits."""
    from tenfold import load_splits

    return load_splits("digits")


@pytest.fixture(scope="session")
def few_digits(digits):
    """The first images of each split of the digits: 150, 100 and 50."""
    return replace(
        digits,
        train=first(digits.train, 150),
        validation=first(digits.validation, 100),
        test=first(digits.test, 50),
    )


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of class folders with 16 PNG files each, as a newcomer would have it."""
    return draw_pictures(tmp_path_factory.mktemp("pictures") / "shapes", SHAPES, 16)


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., Answer]:
    """`tenfold ARGUMENTS` in this process: the program's own main function, its output and exit status."""
    from tenfold import cli

    def call(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["tenfold", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Answer(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """A run folder that the real command made of the pictures, and what the command said."""
    out = tmp_path_factory.mktemp("finished") / "runs"
    answer = tenfold("train", "digits", *SMALL, "--data", pictures, "--out", out, "--name", "shapes")
    assert answer.status == 0, answer.err
    return out / "shapes", answer


def tenfold(*arguments: str | Path, folder: Path | None = None) -> Answer:
    """`python -m tenfold ARGUMENTS` in a process of its own, started in `folder`."""
    done = subprocess.run(words(*arguments), cwd=folder, capture_output=True, text=True, timeout=120)
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


def _draw_shape(draw: ImageDraw.ImageDraw, kind: int, corner: tuple[int, int], color: tuple[int, ...]) -> None:
    left, top = corner
    box = (left, top, left + 8, top + 8)
    if kind == 0:
        draw.ellipse(box, fill=color)
    elif kind == 1:
        draw.line(box, fill=color, width=2)
        draw.line((left, top + 8, left + 8, top), fill=color, width=2)
    else:
        draw.rectangle(box, outline=color, width=2)


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
