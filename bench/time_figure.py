"""The figure of bench/time_to_accuracy.py: validation accuracy over training time, notebooks and fast recipes."""

import runpy
from itertools import cycle
from math import isnan
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

import tenfold
from tenfold.report.kit import style

# The notebooks' own logs, which the tests hold too.
LOGS = Path(__file__).parents[1] / "tests/support/logged.py"
DASHES = {"01": (0, (2, 1.2)), "03": "solid"}
RECIPE_COLOURS = (style.TRAINING, style.VALIDATION, style.BEST, style.WARNING)
TICKS = {
    **{seconds: f"{seconds} s" for seconds in (1, 3, 10, 30)},
    **{60 * minutes: f"{minutes} min" for minutes in (1, 3, 10, 30)},
    **{3600 * hours: f"{hours} h" for hours in (1, 3, 10, 30)},
}


def save_figure(path: Path, runs: dict[str, list[tenfold.Run]], keras: dict[str, float], steps: int) -> None:
    """Draw `runs` by recipe, and the notebooks at Keras' seconds a step (NaN: not measured), `steps` an epoch."""
    with style.styled():
        figure, axes = style.new_figure(9, 5.2)
        for notebook, seconds in keras.items():
            if not isnan(seconds):
                draw_notebook(axes, notebook, seconds * steps)
        for (name, seeds), colour in zip(runs.items(), cycle(RECIPE_COLOURS), strict=False):
            draw_recipe(axes, name, seeds, colour)
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        axes.set_xlim(low, high * 1.6)  # room for the last line's words
        axes.xaxis.set_major_locator(FixedLocator(list(TICKS)))
        axes.xaxis.set_major_formatter(lambda value, _: TICKS[round(value)])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("time of training, logarithmic; the recipes' includes validation")
        note = "one thin line a seed, their mean thick; a point an epoch"
        style.title(axes, "Validation accuracy over training time", note)
        figure.legend(loc="outside lower center", ncols=2)
    style.settle(figure)
    if path.suffix == ".svg":
        path.write_text(style.adaptive(style.to_svg(figure)), encoding="utf-8")
    else:
        path.write_bytes(style.to_png(figure))


def draw_notebook(axes: Axes, notebook: str, epoch_seconds: float) -> None:
    log = runpy.run_path(str(LOGS))[f"NOTEBOOK_{notebook}"]
    accuracy = [record["validation_accuracy"] for record in log]
    seconds = epoch_seconds * np.arange(1, len(accuracy) + 1)
    label = f"notebook {notebook}: accuracies as logged, {epoch_seconds:.0f} s an epoch as Keras was measured here"
    axes.plot(
        seconds,
        accuracy,
        color=style.MUTED,
        linestyle=DASHES[notebook],
        marker="o",
        markersize=3,
        label=label,
    )
    write_end(axes, seconds, np.array(accuracy), style.MUTED)


def draw_recipe(axes: Axes, name: str, runs: list[tenfold.Run], colour: str) -> None:
    histories = [run.history for run in runs]
    epochs = min(map(len, histories))
    seconds = np.array([np.cumsum([record["seconds"] for record in log[:epochs]]) for log in histories])
    accuracy = np.array([[record["validation_accuracy"] for record in log[:epochs]] for log in histories])
    for x, y in zip(seconds, accuracy, strict=True):
        axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.5)
    x, y = seconds.mean(0), accuracy.mean(0)
    seeds = f"{len(runs)} seeds" if len(runs) > 1 else "one seed"
    axes.plot(x, y, color=colour, linewidth=2.4, marker="o", markersize=4, label=f"{name}, {seeds}")
    write_end(axes, x, y, colour)


def write_end(axes: Axes, seconds: np.ndarray, accuracy: np.ndarray, colour: str) -> None:
    """Beside a line's end, what it came to and when."""
    axes.annotate(
        f"{accuracy[-1]:.1%}\n{duration(seconds[-1])}", (seconds[-1], accuracy[-1]), (7, 0),
        textcoords="offset points", va="center", color=colour, size=9,
    )  # fmt: skip


def duration(seconds: float) -> str:
    """For people: "8.4 s", "42 s", "11 min", "2.1 h"."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
