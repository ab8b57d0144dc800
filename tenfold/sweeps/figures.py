"""The figures of a sweep as pure functions: numbers in, a matplotlib figure out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from tenfold.report.kit.style import BEST, CLASSES, INK, MUTED, TRAINING, new_figure, styled, title
from tenfold.sweeps.space import value_label

# Beyond this many lines colours can no longer be told apart.
LEGIBLE = 10


@dataclass(frozen=True)
class Curves:
    """A candidate's mean accuracy over the seeds by epoch, from epoch 1: training and validation; its best epoch."""

    name: str
    training: Sequence[float]
    validation: Sequence[float]
    best_epoch: int


@dataclass(frozen=True)
class Point:
    """A candidate for the figures: its values by key, its scores by seed, and how it stands.

    `rank` is "winner", "alike" (not to be told from the winner), "other", or "pruned".
    """

    values: Mapping[str, Any]
    scores: Sequence[float]
    rank: str


@dataclass(frozen=True)
class Axis:
    """How a key is drawn: by the logarithm of its values, or by their names in this order."""

    key: str
    log: bool = False
    names: Sequence[str] = ()


_COLOURS = {"winner": BEST, "alike": TRAINING, "other": MUTED, "pruned": CLASSES[3]}
_MEANING = {
    "winner": "winner",
    "alike": "cannot be told from it",
    "other": "other candidates",
    "pruned": "left behind early",
}


def overlay(curves: Sequence[Curves]) -> Figure:
    """Training and validation accuracy of the candidates by epoch, their best epochs marked."""
    shown = curves[:LEGIBLE]
    with styled():
        columns = 1 if _longest([curve.name for curve in shown]) > 40 else 3
        figure, panels = new_figure(10, 4 + 0.2 * -(-len(shown) // columns), columns=2, sharey=True)
        for number, curve in enumerate(shown):
            for axes, values in zip(panels, (curve.training, curve.validation), strict=True):
                epochs = np.arange(1, len(values) + 1)
                axes.plot(epochs, values, color=CLASSES[number], label=curve.name, linewidth=1.6)
                best = min(curve.best_epoch, len(values))
                axes.plot(
                    best, values[best - 1], "o", color=CLASSES[number], markersize=7, markerfacecolor="none"
                )
        for axes, name in zip(panels, ("Training", "Validation"), strict=True):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
            axes.yaxis.set_major_formatter(PercentFormatter(1))
            title(axes, f"{name} accuracy")
        handles, labels = panels[0].get_legend_handles_labels()
        heading = f"the best {len(shown)} of {len(curves)}, by rank" if len(shown) < len(curves) else None
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=columns,
            title=heading,
        )
    return figure


def by_value(points: Sequence[Point], axis: Axis) -> Figure:
    """Validation accuracy against one key: a dot a seed, and where it is the only key, mean and deviation."""
    with styled():
        places = _places(points, axis)
        # Few values stand close together, so that their difference is seen and not the emptiness between them.
        figure, axes = new_figure(float(np.clip(2.6 + 0.9 * len(set(places)), 4.4, 7.4)), 4)
        alone = len(points[0].values) == 1
        for point, place in sorted(
            zip(points, places, strict=True), key=lambda pair: pair[0].rank == "winner"
        ):
            style = {"color": _COLOURS[point.rank]}
            if point.rank == "pruned":
                style["markerfacecolor"] = "none"
            axes.plot([place] * len(point.scores), point.scores, "o", markersize=4, alpha=0.6, **style)
            if alone:
                deviation = float(np.std(point.scores, ddof=1)) if len(point.scores) > 1 else 0.0
                mean = float(np.mean(point.scores))
                axes.errorbar([place], [mean], [deviation], fmt="o", markersize=8, capsize=5, **style)
        _draw_axis(axes, places, axis)
        axes.set(xlabel=axis.key, ylabel="validation accuracy")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        note = "mean and standard deviation over the seeds" if alone else "a dot for each run"
        title(axes, f"Accuracy by {axis.key}", note)
        _legend(figure, points)
    return figure


def parallel(points: Sequence[Point], keys: Sequence[Axis]) -> Figure:
    """Parallel coordinates: a line a candidate through its values, to its validation accuracy."""
    with styled():
        figure, axes = new_figure(max(6.0, 2.2 * (len(keys) + 1)), 4.6)
        columns = [_scaled(points, axis) for axis in keys]
        scores = np.array([float(np.mean(point.scores)) for point in points])
        low, high = float(scores.min()), float(scores.max())
        heights = [*(places for places, _ in columns), (scores - low) / (high - low or 1.0)]
        order = sorted(range(len(points)), key=lambda i: list(_COLOURS).index(points[i].rank), reverse=True)
        for i in order:
            rank = points[i].rank
            axes.plot(
                range(len(keys) + 1), [column[i] for column in heights], color=_COLOURS[rank],
                linewidth=3 if rank == "winner" else 1.4, alpha=1 if rank == "winner" else 0.75,
            )  # fmt: skip
        ticks = [*(marks for _, marks in columns), [(0.0, f"{low:.1%}"), (1.0, f"{high:.1%}")]]
        for x, marks in enumerate(ticks):
            axes.axvline(x, color=MUTED, linewidth=1)
            for height, text in marks:
                axes.annotate(
                    text, (x, height), (4, 0), textcoords="offset points", va="center", size=8, color=INK,
                    bbox={"facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.8, "pad": 1},
                )  # fmt: skip
        axes.set_xticks(range(len(keys) + 1), [*(axis.key for axis in keys), "validation accuracy"])
        axes.set(yticks=[], xlim=(-0.1, len(keys) + 0.35), ylim=(-0.06, 1.06))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        title(axes, "Every candidate", "a line for each, through its values to its accuracy")
        _legend(figure, points)
    return figure


def importances(shares: Mapping[str, float]) -> Figure:
    """The share of the differences between candidates that each key explains."""
    with styled():
        figure, axes = new_figure(7.4, 1.4 + 0.42 * len(shares))
        names = list(shares)[::-1]
        bars = axes.barh(names, [shares[name] for name in names], color=TRAINING, height=0.6)
        axes.bar_label(bars, [f"{shares[name]:.0%}" for name in names], padding=4, color=INK, size=9)
        axes.set(xlim=(0, 1.05))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(axis="y", visible=False)
        title(axes, "Importance of the keys", "share of the variance that each explains (fANOVA)")
    return figure


def spread_out(values: Sequence[Any]) -> bool:
    """Whether numbers are better shown by their logarithm: all positive, and over a factor of eight or more."""
    return min(values) > 0 and max(values) >= 8 * min(values)


def _places(points: Sequence[Point], axis: Axis) -> list[float]:
    """Where each point lies along a key."""
    values = [point.values[axis.key] for point in points]
    return [float(axis.names.index(value_label(value)) if axis.names else value) for value in values]


def _draw_axis(axes: Axes, places: Sequence[float], axis: Axis) -> None:
    if axis.names:
        axes.set_xticks(range(len(axis.names)), axis.names)
        axes.margins(x=max(0.1, 0.9 / len(axis.names) ** 2))
        if _longest(axis.names) * len(axis.names) > 70:
            axes.tick_params("x", rotation=20)
        return
    if axis.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
        axes.margins(x=0.08)
    if len(set(places)) <= LEGIBLE:
        axes.margins(x=max(0.08, 0.9 / len(set(places)) ** 2))
        axes.set_xticks(sorted(set(places)), [_plain(place) for place in sorted(set(places))])


def _plain(number: float) -> str:
    return value_label(int(number) if float(number).is_integer() else float(number))


def _scaled(points: Sequence[Point], axis: Axis) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Heights 0 to 1 of the points' values on an axis of their own, and what to write beside it."""
    places = np.array(_places(points, axis))
    values = np.log(places) if axis.log else places
    low, span = float(values.min()), float(np.ptp(values)) or 1.0
    heights = (values - low) / span
    named = {
        float(height): value_label(point.values[axis.key])
        for height, point in zip(heights, points, strict=True)
    }
    if len(named) > LEGIBLE and not axis.names:
        named = {height: text for height, text in named.items() if height in (0.0, 1.0)}
    return heights, list(named.items())


def _legend(figure: Figure, points: Sequence[Point]) -> None:
    from matplotlib.lines import Line2D

    present = [rank for rank in _COLOURS if any(point.rank == rank for point in points)]
    if len(present) > 1:
        handles = [
            Line2D([], [], color=_COLOURS[rank], linewidth=3, label=_MEANING[rank]) for rank in present
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _longest(names: Sequence[str]) -> int:
    return max(map(len, names), default=0)
