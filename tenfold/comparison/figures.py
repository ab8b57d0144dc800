"""Figures that set recipes side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from tenfold.findings.base import short
from tenfold.report.kit.style import CLASSES, INK, MUTED, TRAINING, VALIDATION, new_figure, styled, title

SHOWN_CHANGES = 30


def cost(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy with its interval against training seconds and against parameters, both on logarithmic axes."""
    with styled():
        figure, panels = new_figure(10, 4, columns=2, sharey=True)
        for axes, key, label in zip(
            panels,
            ("seconds", "parameters"),
            ("training time in s", "parameters"),
            strict=True,
        ):
            for number, row in enumerate(rows):
                low, high = row["accuracy_ci95"]
                colour = CLASSES[number % len(CLASSES)]
                axes.vlines(row[key], low, high, colors=colour, linewidth=2)
                axes.scatter(
                    row[key], row["accuracy"], color=colour, s=46, zorder=3, label=short(row["name"], 28)
                )
            axes.set_xscale("log")
            axes.margins(x=0.25, y=0.15)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
            axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(label)
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        panels[0].set_ylabel("test accuracy")
        title(panels[0], "Accuracy by time")
        title(panels[1], "Accuracy by size")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(rows), 3))
    return figure


def overlaid_curves(histories: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> Figure:
    """Validation loss and accuracy by epoch, one colour a recipe and one line a run."""
    with styled():
        figure, panels = new_figure(10, 4, columns=2)
        for axes, key, heading in zip(
            panels,
            ("validation_loss", "validation_accuracy"),
            ("Validation loss", "Validation accuracy"),
            strict=True,
        ):
            for number, (name, runs) in enumerate(histories.items()):
                for run, history in enumerate(runs):
                    values = [record[key] for record in history]
                    colour = CLASSES[number % len(CLASSES)]
                    label = short(name, 28) if run == 0 else None
                    axes.plot(
                        [record["epoch"] for record in history],
                        values,
                        color=colour,
                        linewidth=1.6,
                        marker="o" if len(history) <= 40 else "",
                        markersize=3,
                        label=label,
                    )
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            title(axes, heading)
        panels[1].yaxis.set_major_formatter(PercentFormatter(1))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3))
    return figure


def class_changes(changes: Mapping[str, Mapping[str, float]], note: str) -> Figure:
    """Change of each class's recall with its 95% interval; many classes show those that changed most."""
    names = sorted(changes, key=lambda name: changes[name]["difference"])
    if len(names) > SHOWN_CHANGES:
        names = [*names[: SHOWN_CHANGES // 2], *names[-SHOWN_CHANGES // 2 :]]
    shown = [changes[name] for name in names]
    colours = [
        MUTED if entry["p_holm"] >= 0.05 else TRAINING if entry["difference"] > 0 else VALIDATION
        for entry in shown
    ]
    with styled():
        figure, axes = new_figure(10.4, 1.6 + 0.27 * len(names))
        rows = np.arange(len(names))
        axes.hlines(
            rows, [e["low"] for e in shown], [e["high"] for e in shown], colors=colours, linewidth=2.4
        )
        axes.scatter([entry["difference"] for entry in shown], rows, c=colours, s=28, zorder=3)
        axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(rows, [short(name) for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axes.set_xlabel("change of recall in points, with 95% interval")
        title(axes, short(note, 60), "blue is better, orange worse, grey where that may be chance")
    return figure
