"""Real kills of real commands, at a sample of the places where they change files: `bench/faults.py` has them all."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import faults
from killing import Killing

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or not shutil.which("cc"),
        reason="needs LD_PRELOAD and a C compiler",
    ),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[faults.Bench]:
    folder = tmp_path_factory.mktemp("faults")
    with Killing(folder / "work", folder / "scratch") as commands:
        yield faults.Bench(commands, folder / "states")


# Kills that come one after the other before the command may end. Figures are written as every other file is, and
# are killed over in the first.
@pytest.mark.parametrize(
    ("name", "kills", "chain"),
    [
        ("train", 16, 8),
        ("sweep", 8, 8),
        ("resume", 6, 6),
        ("evaluate --data", 10, 2),
        ("predict --out", 8, 1),
        ("compare", 6, 6),
        ("inspect", 6, 2),
        ("serve", 8, 1),
    ],
)
def test_killed_commands_finish_when_they_are_given_again(name, kills, chain, bench):
    bench.commands.figures = name == "train"
    positions, killed, _ = bench.kills(name, kills, chain)
    assert not bench.faults, "\n".join(bench.faults)
    assert positions >= killed >= min(kills, positions) / 2


def test_what_would_be_left_over_or_differ_is_seen(bench):
    """The check itself: a half-written file, a changed tensor and a changed number do not pass."""
    bench.bring_about((faults.ONE,))
    wanted = faults.picture(bench.folder)
    run = bench.folder / "runs" / "one"
    left = run / ".history.csv.123.tmp"
    left.touch()
    assert faults.picture(bench.folder).keys() - wanted.keys() == {"runs/one/.history.csv.123.tmp"}
    left.unlink()
    history = run / "history.csv"
    history.write_text(history.read_text().replace("\n2,", "\n3,"))
    assert {name for name, found in faults.picture(bench.folder).items() if found != wanted[name]} == {
        "runs/one/history.csv"
    }
