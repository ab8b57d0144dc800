"""What several tests share: digits, a folder of real pictures, the command line, a finished run."""

import gc
import io
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock
from small import DEMO, SHAPES, SMALL, STEADY, Answer, draw_pictures, first, tenfold

# A shell that starts the tests in the background has interrupts ignored, and nohup hang-ups; the processes that the
# tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# One thread, here and in every process that a test starts: tests of equal bits need equal thread counts, and a
# network of a few hundred parameters gains nothing from a second one.
os.environ["OMP_NUM_THREADS"] = "1"

# No deadline for single examples: a busy machine is no fault of the code. Where CI is set, the examples are always
# the same, so that a check fails for what a change did; every other run draws new ones.
hypothesis.settings.register_profile("tenfold", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("tenfold")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with one of them when the other has ended."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector of garbage need not look through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """What was kept from the collector is freed in the end, as libraries expect that count what they lose."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of this test session's own, which its workers share as a user's processes would.

    So the kernels are compiled, a pretrained backbone is exported and CIFAR-10 is decoded once.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENFOLD_CACHE", str(folder))
        yield folder


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch) -> Path:
    """A cache folder of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TENFOLD_CACHE", str(folder))
    return folder


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
def command() -> Callable[..., Answer]:
    """`tenfold ARGUMENTS` in this process: the program's own main function, its output and exit status.

    `stdin` is what comes on standard input, `folder` where it is called, `encoding` that of what it prints.
    Importing PyTorch takes seconds, so a process of its own (`tenfold` in support/small.py) is for what only a
    process can show.
    """
    from tenfold import cli

    def call(
        *arguments: str | Path, stdin: bytes = b"", folder: Path | None = None, encoding: str = "utf-8"
    ) -> Answer:
        given, out, err = (io.TextIOWrapper(io.BytesIO(data), encoding) for data in (stdin, b"", b""))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["tenfold", *map(str, arguments)])
            for name, stream in {"stdin": given, "stdout": out, "stderr": err}.items():
                patch.setattr(sys, name, stream)
            if folder is not None:
                patch.chdir(folder)
            status = 0
            try:
                cli.main()
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Answer(status, *(_text(stream) for stream in (out, err)))

    return call


def _text(stream: io.TextIOWrapper) -> str:
    """What was written to a stream, in the encoding that it has by now."""
    stream.flush()
    stream.seek(0)
    return stream.read()


@pytest.fixture(scope="session")
def once(cache: Path) -> Callable[[str, Callable[[Path], Answer | None]], tuple[Path, Answer]]:
    """`once(NAME, make)`: a folder that `make` fills and what that said, for all workers; nobody may change it.

    With pytest-xdist each worker has session fixtures of its own: what takes seconds would be made in each.
    """

    def made(name: str, make: Callable[[Path], Answer | None]) -> tuple[Path, Answer]:
        folder, note = cache.with_name(name), cache.with_name(f"{name}.json")
        with FileLock(cache.with_name(f"{name}.lock")):
            if not note.is_file():
                folder.mkdir()
                note.write_text(json.dumps(astuple(make(folder) or Answer(0, "", ""))))
        return folder, Answer(*json.loads(note.read_text()))

    return made


@pytest.fixture(scope="session")
def pictures(once) -> Path:
    """A folder of class folders with 16 PNG files each, as a newcomer would have it."""

    def draw(folder: Path) -> None:
        draw_pictures(folder / "shapes", SHAPES, 16)

    return once("pictures", draw)[0] / "shapes"


@pytest.fixture(scope="session")
def finished(once, command: Callable[..., Answer], pictures: Path) -> tuple[Path, Answer]:
    """A run folder that the command made of the pictures, and what the command said."""

    def train(folder: Path) -> Answer:
        options = ("--data", pictures, "--out", folder / "runs", "--name", "shapes")
        return command("train", "digits", *SMALL, *options)

    folder, answer = once("finished", train)
    assert answer.status == 0, answer.err
    return folder / "runs" / "shapes", answer


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports that the test makes have no figures, whose drawing takes three quarters of a small run's time.

    For tests that look at none, where a fixture of the file or another test draws those of such a run.
    """
    monkeypatch.setattr("tenfold.report.page.draw_figures", lambda run, evidence, splits=None: None)


@pytest.fixture(scope="session")
def run_of_two(once) -> tuple[Path, Answer]:
    """A run folder that two processes made of the digits together, and what the command said."""

    def train(folder: Path) -> Answer:
        return tenfold("train", "digits", "--processes", "2", "--out", folder, "--name", "two", *STEADY)

    folder, answer = once("together", train)
    assert answer.status == 0, answer.err
    return folder / "two", answer


@dataclass(frozen=True)
class Nodes:
    """A Ray cluster on this machine: a head without CPUs, and two nodes with one each."""

    address: str
    process: subprocess.Popen[str]

    def tell(self, word: str) -> None:
        """Have one node killed ("kill"), or another one join ("add")."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == "done"


@pytest.fixture(scope="session")
def cluster(cache: Path) -> Iterator[tuple[Nodes, dict[str, str]]]:
    """The nodes, which let in only who has the token, and what must be in the environment of who joins them.

    One cluster for all tests, because it takes seconds to start; a test that kills a node adds another one.
    """
    pytest.importorskip("ray", reason="Ray is not installed (extra: cluster)")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    variables = {**token, "RAY_USAGE_STATS_ENABLED": "0"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "support" / "ray_nodes.py")],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield Nodes(process.stdout.readline().strip(), process), variables
    process.communicate(timeout=400)


@pytest.fixture
def nodes(cluster: tuple[Nodes, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """The cluster, which commands of this test may join."""
    found, variables = cluster
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    return found


@pytest.fixture(scope="session")
def demo_answer(once) -> tuple[Path, Answer]:
    """The folder in which the real command trained on the digits, without being told where, and what it said."""
    return once("demo", lambda folder: tenfold("train", *DEMO, folder=folder))


@pytest.fixture(scope="session")
def demo(demo_answer: tuple[Path, Answer]) -> Path:
    """The run folder of the demo."""
    return demo_answer[0] / "runs" / "digits-1"


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """A headless Chromium; a file that asks for it is marked with `NEEDS_CHROMIUM`."""
    from chromium import launched

    with launched() as running:
        yield running
