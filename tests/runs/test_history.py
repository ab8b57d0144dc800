"""history.csv: every digit is kept, and what is not whole says where."""

import pytest

from tenfold.core.errors import InputError
from tenfold.runs.files import Folder
from tenfold.runs.history import HistoryFile, history_hash


class Box(Folder):
    """A folder with a history."""

    history = HistoryFile("history.csv", ("epoch", "loss"), ("f1",), remedy="`mend {run}` makes it anew.")


@pytest.fixture
def box(tmp_path) -> Box:
    return Box(tmp_path / "my box")


ROWS = [{"epoch": 1, "loss": 0.1 + 0.2, "f1": None}, {"epoch": 2, "loss": 1e-30, "f1": 0.5}]


def test_a_history_keeps_every_digit_and_leaves_out_what_was_not_measured(box):
    box.history = ROWS
    assert list(box.history) == [{"epoch": 1, "loss": 0.1 + 0.2}, {"epoch": 2, "loss": 1e-30, "f1": 0.5}]
    (box.path / "history.csv").write_text("epoch,loss\n1,0.5\n")
    assert list(box.history) == [{"epoch": 1, "loss": 0.5}]
    box.history = []
    assert list(box.history) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("epoch,loss\n1,0.5", "is cut short"),
        ("", "is cut short"),
        ("\n", "its first line must be epoch,loss,f1"),
        ("epoch,f1\n1,1\n", "its first line must be epoch,loss,f1"),
        ("epoch,loss\n1,0.5,3\n", "line 2 has 3 values, expected 2"),
        ("epoch,loss\n1,0.5\n3,0.5\n", "line 3 is of epoch '3', expected 2"),
        ("epoch,loss\n1,x\n", "line 2: could not convert"),
        ("epoch,loss\n1,\n", "line 2: could not convert"),
        ("epoch,loss\n1,inf\n", "line 2 holds numbers that are not finite"),
        ('epoch,loss\n1,"0\n', "it is no CSV"),
    ],
)
def test_a_history_that_is_not_whole_says_where(box, content, words):
    box.history = ROWS
    (box.path / "history.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        _ = box.history
    said = str(caught.value)
    assert said.startswith(str(box.path / "history.csv"))
    assert words in said
    assert said.endswith(f"`mend '{box.path}'` makes it anew.")


def test_a_history_has_a_hash_of_its_numbers():
    assert history_hash([{"epoch": 1, "loss": 1.0}]) == history_hash([{"loss": 1, "epoch": 1}])
    assert history_hash([{"loss": 1.0}]) != history_hash([{"loss": 1.0 + 1e-15}])
