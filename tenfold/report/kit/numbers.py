"""Numbers as a reader sees them on a page."""

from collections.abc import Iterable


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage, such as 97.2%; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def plain(value: float | None) -> str:
    """A number with four decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"


def interval(ends: Iterable[float]) -> str:
    """The two ends of an interval of shares, in percent."""
    low, high = ends
    return f"{100 * low:.1f} to {100 * high:.1f}"


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
