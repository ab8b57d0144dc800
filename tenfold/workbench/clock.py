"""The time that a plan has, and what of it is kept back for everything that comes after learning."""

import time
from dataclasses import dataclass

import numpy as np

from tenfold.core.progress import Progress
from tenfold.report.figures import confusion_matrix
from tenfold.report.kit.style import settle, to_png, to_svg

# What is kept back for the report: times of the figure that is drawn to measure how fast this machine draws.
_REPORT_FIGURES = 15
# What a backbone takes before its first image, in times of that figure: its export, where none is in the cache, and
# its libraries and weights. By CPU seconds: 4.8, 2.2, and 0.35 for the figure.
EXPORT_FIGURES, OPENING_FIGURES = 14, 7


class OutOfTimeError(Exception):
    """What was begun cannot end in time."""


@dataclass(frozen=True)
class Clock:
    """When all has to be done (of `time.perf_counter`), and how long a figure of the report takes to draw here."""

    end: float
    figure: float

    @property
    def left(self) -> float:
        """Seconds until the report has to be begun; below 0 where there is no time for all of it."""
        return self.end - _REPORT_FIGURES * self.figure - time.perf_counter()

    def without(self, seconds: float) -> "Clock":
        """The same with so many seconds kept back for something else."""
        return Clock(self.end - seconds, self.figure)


class Deadline:
    """A note of progress that raises OutOfTimeError as soon as what is left to do would end after `until`."""

    def __init__(self, note: Progress, until: float) -> None:
        self.note, self.until = note, until
        self.first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Hear of (things done, things in all)."""
        self.note(done, total)
        now = time.perf_counter()
        if self.first is None:
            self.first = (now, done)
        began, before = self.first
        ahead = (total - done) * (now - began) / (done - before) if done > before else 0.0
        if done < total and now + ahead > self.until:
            raise OutOfTimeError


def figure_seconds() -> float:
    """How long one figure of a report takes to draw here, a matrix of ten classes."""
    began = time.perf_counter()
    figure = confusion_matrix(np.eye(10, dtype=int), [f"class {number}" for number in range(10)])
    settle(figure)
    to_svg(figure)
    to_png(figure)
    return time.perf_counter() - began


def in_minutes(seconds: float) -> float:
    """For `fit.minutes`, which is above 0."""
    return max(round(seconds / 60, 3), 0.001)


def spoken(seconds: float) -> str:
    """A time in words."""
    return f"{seconds / 60:.1f} minutes" if seconds > 90 else f"{seconds:.0f} s"
