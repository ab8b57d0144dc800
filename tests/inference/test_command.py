"""What `tenfold predict` says beside its answers."""

import pytest

from tenfold.core.errors import InputError
from tenfold.inference import command
from tenfold.inference.command import ENOUGH, accuracy_line, predict_command
from tenfold.inference.predict import Question


def test_an_accuracy_is_stated_of_enough_pictures_only():
    few = accuracy_line(ENOUGH - 1, ENOUGH - 1)
    assert few.endswith(
        "19 of 19 pictures are named as their class folders say; these are too few to state an accuracy"
    )
    enough = accuracy_line(1500, 2000)
    assert enough.startswith("accuracy 75.0% (95% interval 73.0 to 76.9%): 1,500 of 2,000")


def test_without_pictures_it_says_how_to_name_them():
    with pytest.raises(InputError, match=r"no pictures were named: `tenfold predict my-run picture\.jpg`"):
        predict_command("my-run", [], Question())


def test_a_log_has_a_line_now_and_then_with_the_rate_and_what_is_left(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    log = command._Log(4000)
    now[0] += command.LOG_EVERY - 1
    log.note(1000)
    assert capsys.readouterr().err == ""
    now[0] += 1
    log.note(1500)
    assert capsys.readouterr().err == "tenfold: 1,500 of 4,000, 50 s left, 50 pictures/s\n"
    log = command._Log(None)
    now[0] += command.LOG_EVERY
    log.note(1500)
    assert capsys.readouterr().err == "tenfold: 1,500, 50 pictures/s\n"
