"""Accuracies and seconds read from what a speedrun's script prints, whoever wrote it."""

import re
from dataclasses import dataclass
from math import isfinite

_ACCURACY = re.compile(r"acc\w*\W{1,3}(\d+(?:\.\d+)?)\s*%?", re.IGNORECASE)
_SECONDS = re.compile(r"(?:time|sec)\w*\W{1,3}(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*s(?:ec\w*)?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Outcome:
    """One run: the share of test images that it got right, and its seconds."""

    accuracy: float
    seconds: float


def read_outcomes(text: str) -> list[Outcome]:
    """The runs in a script's output: those of its table, or else of the lines that name accuracy and seconds."""
    lines = text.splitlines()
    return from_table(lines) or from_lines(lines)


def from_table(lines: list[str]) -> list[Outcome]:
    """The rows of a table in bars that have both an accuracy and a time; those of a warm-up are left out.

    A column of accuracy with test-time augmentation is taken before a plain one. Such rows are runs; without that
    column every epoch has a row, and a run's last row is the one after which time starts anew.
    """
    rows = [cells for line in lines if (cells := split_row(line))]
    found = next(((row, columns) for row in rows if (columns := find_columns(row))), None)
    if found is None:
        return []
    header, (accuracy, seconds) = found
    outcomes: list[Outcome] = []
    run = ""
    for row in rows:
        if len(row) != len(header):
            continue
        run = row[0] or run
        right, took = number(row[accuracy]), number(row[seconds])
        if right is not None and took is not None and "warm" not in run.lower():
            outcomes.append(Outcome(as_share(right), took))
    return outcomes if "tta" in header[accuracy].lower() else last_rows(outcomes)


def split_row(line: str) -> list[str]:
    line = line.strip()
    return [cell.strip() for cell in line[1:-1].split("|")] if line[:1] == line[-1:] == "|" else []


def find_columns(row: list[str]) -> tuple[int, int] | None:
    """Where a header has accuracy and time; None for a row that is no such header."""
    names = [cell.lower() for cell in row]
    accuracies = [i for i, name in enumerate(names) if "acc" in name]
    times = [i for i, name in enumerate(names) if "time" in name or "sec" in name]
    if not accuracies or not times:
        return None
    augmented = [i for i in accuracies if "tta" in names[i]]
    return (augmented or accuracies)[-1], times[-1]


def last_rows(outcomes: list[Outcome]) -> list[Outcome]:
    following = [*outcomes[1:], Outcome(0.0, -1.0)]
    return [one for one, other in zip(outcomes, following, strict=True) if other.seconds <= one.seconds]


def from_lines(lines: list[str]) -> list[Outcome]:
    """One outcome for each line such as "run 3: accuracy 94.01 %, time 2.31 s"."""
    outcomes = []
    for line in lines:
        accuracy, seconds = _ACCURACY.search(line), _SECONDS.search(line)
        if accuracy and seconds and "warm" not in line.lower():
            outcomes.append(Outcome(as_share(float(accuracy[1])), float(seconds[1] or seconds[2])))
    return outcomes


def number(text: str) -> float | None:
    try:
        value = float(text.rstrip("%s "))
    except ValueError:
        return None
    return value if isfinite(value) else None


def as_share(accuracy: float) -> float:
    """Percentages and shares alike as a share."""
    return accuracy / 100 if accuracy > 1 else accuracy
