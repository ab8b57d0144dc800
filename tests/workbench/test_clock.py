"""The time that a plan has, and what is kept back of it."""

from time import perf_counter

import pytest

from tenfold.workbench.clock import Deadline, OutOfTimeError


def silent(done: int, total: int) -> None:
    """A note of progress that nobody reads."""


def test_a_deadline_stops_work_whose_end_is_foreseen_too_late_and_never_what_is_done():
    over, ample = Deadline(silent, perf_counter() - 1), Deadline(silent, perf_counter() + 1000)
    over(10, 10)
    ample(1, 10**6)
    ample(2, 100)
    with pytest.raises(OutOfTimeError):
        over(1, 10)
