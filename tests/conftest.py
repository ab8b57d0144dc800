"""What several tests share: digits, a folder of real pictures, the command line, a finished run."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis
import pytest
from small import DEMO, SHAPES, SMALL, Answer, draw_pictures, first, tenfold

# A shell that starts the tests in the background has interrupts ignored, and the processes that the tests start and
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread, here and in every process that a test starts: tests of equal bits need equal thread counts, and a
# network of a few hundred parameters gains nothing from a second one.
os.environ["OMP_NUM_THREADS"] = "1"

# No deadline for single examples: a busy machine is no fault of the code. Where CI is set, the examples are always
# the same, so that a check fails for what a change did; every other run draws new ones.
hypothesis.settings.register_profile("tenfold", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("tenfold")


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
    from tenfold.data import Source, read_splits
    from tenfold.recipe import Data

    return read_splits(Data(), Source("digits"))


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


@pytest.fixture(scope="session")
def demo_answer(cache, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """The folder in which the real command trained on the digits, without being told where, and what it said."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, tenfold("train", *DEMO, folder=folder)


@pytest.fixture(scope="session")
def demo(demo_answer: tuple[Path, Answer]) -> Path:
    """The run folder of the demo."""
    return demo_answer[0] / "runs" / "digits-1"
