"""A sample of what `bench/damage.py` does: each file of a run, damaged, and the commands that read it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import damage

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict[str, object]]:
    """The run that copies are damaged of, and its results."""
    run = damage.make(tmp_path_factory.mktemp("damage"))
    return run, damage.found(run)


@pytest.mark.parametrize("file", damage.READ_BY)
def test_a_damaged_file_is_named_or_not_needed(file, whole):
    wrong = {
        case: said
        for case in damage.cases(every=False)
        if case.file == file and (said := damage.outcome(case, *whole)) not in {"named", "fine"}
    }
    assert not wrong


def test_what_may_not_be_is_seen(whole, tmp_path):
    """The check itself: a traceback, a message without the file or without help, and another result do not pass."""
    run, results = damage.copied(whole[0], tmp_path), whole[1]
    case = damage.Case("metrics.json", "cut short", "evaluate")
    for answer, word in (
        (damage.Answer(None, "", "KeyError: 'test'"), "traceback"),
        (damage.Answer(2, "", "tenfold: a file is damaged. Restore it."), "does not name the file"),
        (damage.Answer(2, "", "tenfold: metrics.json: is damaged."), "does not help"),
    ):
        assert word in damage.judged(case, answer, run, results)
    assert damage.judged(case, damage.Answer(0, "", ""), run, results) == "fine"
    other = {**results, "metrics.json": {"accuracy": 2}}
    assert damage.judged(case, damage.Answer(0, "", ""), run, other) == "another result in metrics.json"
