"""Numbers as a reader sees them, on a page and in a terminal."""

from collections.abc import Iterable, Mapping
from typing import Any

MOST_DIGITS = 4


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage, such as 97.2%; a dash where there is none.

    Only all is 100% and only nothing 0%: 5,894 of 5,895 are 99.98%, whatever `digits` says.
    """
    if share is None:
        return "–"
    for more in range(digits, max(digits, MOST_DIGITS) + 1):
        shown = f"{100 * share:.{more}f}"
        if share in (0, 1) or float(shown) not in (0, 100):
            return f"{shown}%"
    return f"above {100 - 10**-MOST_DIGITS}%" if share > 0.5 else f"below {10**-MOST_DIGITS:g}%"


def points(difference: float) -> str:
    """The size of a difference between two shares, in percentage points."""
    return f"{100 * abs(difference):.1f} points"


def plain(value: float | None) -> str:
    """A number with four decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


def interval(ends: Iterable[float], digits: int = 1) -> str:
    """The two ends of an interval of shares, in percent: 95.2 to 98.1."""
    low, high = ends
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f}"


def raw(value: float | None) -> str:
    """A number for a machine, with six decimals; nothing where there is none."""
    return "" if value is None else f"{value:.6f}"


def count(number: int) -> str:
    """A count for reading: in millions from a million on."""
    return f"{number / 1e6:.3g} M" if number >= 1_000_000 else f"{number:,}"


def duration(seconds: float) -> str:
    """A time for reading, such as 1.2 s or 3 min 04 s."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


# What stands for a finding's keys, and which of its numbers are shares or differences of shares.
_NAMES = {"ci95": "95% interval", "p_value": "p-value", "p_values": "p-values", "n": "images"}
_SHARES = {
    *(
        "accuracy",
        "average",
        "clean",
        "confidence",
        "guess",
        "validation_accuracy",
        "accuracies",
        "scores",
        "share",
    ),
    *("recall", "rates", "expected_calibration_error", "scaled_error", "ci95", "abstained"),
}
_DIFFERENCES = {"difference", "gap", "margin", "deviation", "largest"}


def readable(numbers: Mapping[str, Any]) -> dict[str, str]:
    """A finding's numbers as a reader sees them, by their keys: shares in percent, differences in points."""
    return {_NAMES.get(key, key.replace("_", " ")): _entry(key, value) for key, value in numbers.items()}


def _entry(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_entry(key, entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return (" to " if key == "ci95" else ", ").join(_entry(key, entry) for entry in value)
    if isinstance(value, str):
        return value.replace("_", " ") if key == "rule" else value
    if isinstance(value, float) and key in _SHARES:
        return percent(value, 2)
    if isinstance(value, float) and key in _DIFFERENCES:
        return f"{100 * value:+.2f} points"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
