"""The time that a plan has, and what is kept back of it."""

from time import perf_counter

import pytest

from tenfold.workbench.clock import Clock, Deadline, OutOfTimeError, figure_seconds, in_minutes, spoken


def silent(done: int, total: int) -> None:
    """A note of progress that nobody reads."""


def test_a_deadline_stops_work_whose_end_is_foreseen_too_late_and_never_what_is_done():
    over, ample = Deadline(silent, perf_counter() - 1), Deadline(silent, perf_counter() + 1000)
    over(10, 10)
    ample(1, 10**6)
    ample(2, 100)
    with pytest.raises(OutOfTimeError):
        over(1, 10)


def test_a_clock_keeps_back_what_comes_after_learning():
    clock = Clock(perf_counter() + 100, 1.0)
    assert 80 < clock.left < 86
    assert clock.left - clock.without(10).left == pytest.approx(10, abs=0.1)
    assert Clock(perf_counter(), 1.0).left < 0


def test_drawing_a_figure_takes_a_time_that_is_measured():
    assert 0 < figure_seconds() < 60


@pytest.mark.parametrize(
    ("seconds", "minutes", "words"),
    [(0.0, 0.001, "0 s"), (30.0, 0.5, "30 s"), (90.0, 1.5, "90 s"), (150.0, 2.5, "2.5 minutes")],
)
def test_times_are_said_and_given_to_a_recipe(seconds, minutes, words):
    assert in_minutes(seconds) == minutes
    assert spoken(seconds) == words
