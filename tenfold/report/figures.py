"""Figures as pure functions: numbers in, a matplotlib figure out. None of them reads a run or a model.

Arrays: `matrix` (K, K) counts with a row per true class; images (N, H, W, C) uint8; everything per class in
the order of `class_names`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from tenfold.findings.base import short
from tenfold.report.kit.style import (
    BEST,
    CLASSES,
    INK,
    MUTED,
    SPLITS,
    TRAINING,
    VALIDATION,
    WARNING,
    new_figure,
    styled,
    title,
)

Array = NDArray[Any]
Curve = tuple[Array, Array]
# Beyond this many classes one figure cannot hold a line or a number for each.
LEGIBLE = 10
# Beyond this many, the names on an axis are too small to be read.
NAMED = 150
# Letters of a name that have room over a column of a matrix.
UPRIGHT = 3
# Rows of a matrix that are drawn apart.
FINEST = 1500


def learning_curves(
    history: Sequence[Mapping[str, Any]],
    best_epoch: int | None = None,
    drops: Sequence[int] = (),
    overfitting_from: int | None = None,
    training: str = "training",
    validation: str = "validation",
    unit: str = "epoch",
) -> Figure:
    """Loss and accuracy by epoch (`unit`: what one is called); `drops` are the epochs after which the rate fell.

    `training` and `validation` say in the legend which images the curves are of.
    """
    with styled():
        figure, panels = new_figure(10, 3.9, columns=2)
        epochs = np.array([record["epoch"] for record in history])
        for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
            _curve(axes, epochs, _column(history, name), TRAINING, training)
            _curve(axes, epochs, _column(history, f"validation_{name}"), VALIDATION, validation)
            axes.set_xlabel(unit)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, min_n_ticks=1))
            axes.margins(x=0.03)
            title(axes, name.capitalize())
        panels[0].set_ylim(bottom=0)
        panels[1].yaxis.set_major_formatter(PercentFormatter(1))
        for axes, name in zip(panels, ("validation_loss", "validation_accuracy"), strict=True):
            _mark_epochs(axes, drops, overfitting_from, int(epochs[-1]))
            _mark_best(axes, epochs, _column(history, name), best_epoch, unit)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _column(history: Sequence[Mapping[str, Any]], name: str) -> Array:
    return np.array([np.nan if record.get(name) is None else record[name] for record in history], dtype=float)


def _curve(axes: Axes, epochs: Array, values: Array, colour: str, label: str) -> None:
    if np.isfinite(values).any():
        axes.plot(
            epochs, values, color=colour, label=label, marker="o" if len(epochs) <= 40 else "", markersize=3
        )


def _mark_epochs(axes: Axes, drops: Sequence[int], overfitting_from: int | None, last: int) -> None:
    for number, epoch in enumerate(drops):
        label = "learning rate lowered" if number == 0 else None
        axes.axvline(epoch + 0.5, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.2, label=label)
    if overfitting_from is not None and overfitting_from < last:
        axes.axvspan(overfitting_from, last, color=WARNING, alpha=0.09, linewidth=0, label="overfitting")


def _mark_best(axes: Axes, epochs: Array, values: Array, best_epoch: int | None, unit: str) -> None:
    if best_epoch is None or best_epoch not in epochs:
        return
    axes.axvline(best_epoch, color=BEST, linewidth=1.2, label=f"best {unit} ({best_epoch})")
    value = values[list(epochs).index(best_epoch)]
    if np.isfinite(value):
        ring = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 2}
        # Not clipped: a loss of nearly 0 sits on the axis.
        axes.plot(best_epoch, value, "o", color=BEST, clip_on=False, **ring)


def confusion_matrix(matrix: Array, class_names: Sequence[str]) -> Figure:
    """Share of each true class (row) that was taken for each class (column), with the counts if they fit."""
    matrix = np.asarray(matrix)
    classes = len(class_names)
    share = _coarse(matrix) / np.maximum(_coarse(matrix).sum(axis=1, keepdims=True), 1)
    side = float(np.clip(2.6 + 0.52 * classes, 4.2, 16))
    size = float(np.clip(560 / (classes * 6), 5, 9))
    with styled():
        figure, axes = new_figure(side + 1.2, side)
        # The square root shows the rare confusions, which are what one looks for here.
        image = axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        names = [short(name, 16) for name in class_names]
        ticks = range(classes) if classes <= NAMED else []
        upright = classes <= 4 or max(map(len, names)) <= UPRIGHT
        axes.set_xticks(ticks, names[: len(ticks)], rotation=0 if upright else 90, fontsize=size)
        axes.set_yticks(ticks, names[: len(ticks)], fontsize=size)
        axes.set(xlabel="predicted", ylabel="true")
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        if classes <= 2 * LEGIBLE:
            _write_counts(axes, matrix, share, size)
        bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        ticks = (0, 0.05, 0.2, 0.5, 1)
        bar.set_ticks(np.sqrt(ticks).tolist(), labels=[f"{tick:.0%}" for tick in ticks])
        bar.set_label("share of the true class", size=9)
        block = -(-classes // FINEST)
        title(axes, "Confusion matrix", f"{block} classes a row and column" if block > 1 else "")
    return figure


def _coarse(matrix: Array) -> Array:
    """The counts, of more classes than a figure has pixels for summed over blocks of neighbouring ones."""
    block = -(-len(matrix) // FINEST)
    if block == 1:
        return matrix
    starts = np.arange(0, len(matrix), block)
    return np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)


def _write_counts(axes: Axes, matrix: Array, share: Array, size: float) -> None:
    size = min(size, 44 / len(str(matrix.max())) if len(matrix) <= LEGIBLE else 24 / len(str(matrix.max())))
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if share[row, column] > 0.3 else INK
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=size)


def roc(curves: Mapping[str, Curve], areas: Mapping[str, float], note: str = "") -> Figure:
    """ROC curve of each class: its false positive rate and true positive rate; `areas` are their AUC."""
    with styled():
        figure, (whole, corner) = new_figure(10.4, 4.9, columns=2)
        _class_lines(whole, curves, areas)
        whole.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
        whole.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="false positive rate", ylabel="true positive rate")
        title(whole, "ROC, one class against the rest", note)
        _class_lines(corner, curves, areas)
        reach = 0.2 if min(areas[name] for name in curves) > 0.97 else 0.5
        corner.set(
            xlim=(-0.01 * reach, reach), ylim=(1 - reach, 1 + 0.01 * reach), xlabel="false positive rate"
        )
        title(corner, "Its upper left corner", "a fifth of each axis" if note else "")
        for axes in (whole, corner):
            axes.set_aspect("equal")
        _class_legend(figure, whole, "AUC")
    return figure


def precision_recall(curves: Mapping[str, Curve], areas: Mapping[str, float], note: str = "") -> Figure:
    """Precision by recall of each class; `areas` are the average precisions."""
    with styled():
        figure, axes = new_figure(10.4, 4.4)
        _class_lines(axes, curves, areas)
        axes.set(xlim=(0, 1.005), ylim=(0, 1.01), xlabel="recall", ylabel="precision")
        title(axes, "Precision and recall, one class against the rest", note)
        _class_legend(figure, axes, "average precision")
    return figure


def _class_lines(axes: Axes, curves: Mapping[str, Curve], areas: Mapping[str, float]) -> None:
    """Lines from the lowest area to the highest, so that the legend starts with what needs a look.

    A class's colour is its place in `curves`, so that figures of the same classes agree.
    """
    places = {name: number for number, name in enumerate(curves)}
    for name in sorted(curves, key=lambda name: areas[name]):
        number, area = places[name], areas[name]
        label = f"{area:.4f}" if 0.9995 <= area < 1 else f"{area:.3f}"
        label = f"{label}  {short(name)}"
        dash = "-" if number < 5 else (0, (5, 1.5))
        axes.plot(
            *curves[name], color=CLASSES[number % len(CLASSES)], linestyle=dash, linewidth=1.8, label=label
        )


def _class_legend(figure: Figure, axes: Axes, heading: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, title=heading, loc="outside right center", alignment="left")


def sample_grid(images: Sequence[Array], captions: Sequence[str], columns: int = 10) -> Figure:
    """Images with a caption each, in rows of `columns`; images (H, W, C) uint8."""
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    with styled():
        figure, axes = new_figure(1.12 * columns, 1.38 * rows)
        axes.set_axis_off()
        for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
            left, top = 1.08 * (number % columns), 1.34 * (number // columns)
            image = image[..., 0] if image.shape[-1] == 1 else image
            extent = (left, left + 1, top + 1, top)
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=extent)
            axes.text(left + 0.5, top - 0.06, short(caption, 13), ha="center", va="bottom", fontsize=8.5)
        axes.set(xlim=(0, 1.08 * columns - 0.08), ylim=(1.34 * rows - 0.34, -0.28))
        axes.set_aspect("equal")
    return figure


def picture_rows(rows: Sequence[tuple[str, Array]]) -> Figure:
    """Rows of pictures, each under its title: for instance images before and after each augmentation.

    Every row is (title, pictures (n, H, W, C) uint8).
    """
    columns = max(len(pictures) for _, pictures in rows)
    with styled():
        figure, axes = new_figure(1.08 * columns, 1.38 * len(rows))
        axes.set_axis_off()
        for number, (heading, pictures) in enumerate(rows):
            top = 1.34 * number
            axes.text(0, top - 0.08, heading, ha="left", va="bottom", fontsize=9)
            for place, image in enumerate(pictures):
                image = image[..., 0] if image.shape[-1] == 1 else image
                extent = (1.04 * place, 1.04 * place + 1, top + 1, top)
                axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest", extent=extent)
        axes.set(xlim=(0, 1.04 * columns - 0.04), ylim=(1.34 * len(rows) - 0.34, -0.3))
        axes.set_aspect("equal")
    return figure


def class_counts(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> Figure:
    """Images per class in each split (`counts` by its name), as bars; many classes as sorted profiles."""
    with styled():
        if len(class_names) <= 2 * LEGIBLE:
            return _count_bars(counts, class_names)
        figure, axes = new_figure(9, 3.4)
        for split, values in counts.items():
            ranks = np.arange(1, len(values) + 1)
            axes.step(ranks, sorted(values, reverse=True), where="mid", color=SPLITS[split], label=split)
        axes.set(
            xlabel="classes, largest first", ylabel="images", ylim=(0, None), xlim=(0, len(class_names) + 1)
        )
        title(axes, f"Images per class ({len(class_names)} classes)")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _count_bars(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> Figure:
    figure, panels = new_figure(
        10, 1.3 + 0.26 * len(class_names), columns=len(counts), sharey=True, squeeze=False
    )
    rows = np.arange(len(class_names))
    for axes, (split, values) in zip(panels.flat, counts.items(), strict=True):
        axes.barh(rows, values, color=SPLITS[split], height=0.66)
        for row, value in enumerate(values):
            axes.annotate(
                f"{value:,}", (value, row), (4, 0), textcoords="offset points", va="center", size=8.5
            )
        axes.set(xlim=(0, max(*values, 1) * 1.25))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        title(axes, split.capitalize(), f"{sum(values):,} images")
    panels.flat[0].set_yticks(rows, [short(name) for name in class_names])
    panels.flat[0].invert_yaxis()
    return figure


def class_scores(
    recall: Array, ends: tuple[Array, Array], apart: Array, class_names: Sequence[str], average: float
) -> Figure:
    """Recall of each class with the `ends` of its interval, worst at the top, against the `average` of all images.

    `apart` (K,) says which classes differ from the others by more than chance.
    """
    order = np.argsort(recall, kind="stable")
    if len(order) > 4 * LEGIBLE:
        order = np.concatenate([order[: 2 * LEGIBLE], order[-LEGIBLE:]])
    order = order[np.isfinite(recall[order])]
    with styled():
        figure, axes = new_figure(10.4, 1.4 + 0.27 * len(order))
        rows = np.arange(len(order))
        side = np.where(recall[order] < average, VALIDATION, TRAINING)
        colours = np.where(apart[order], side, MUTED)
        axes.hlines(rows, ends[0][order], ends[1][order], colors=list(colours), linewidth=2.4)
        axes.scatter(recall[order], rows, c=list(colours), s=28, zorder=3)
        axes.axvline(average, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(rows, [short(str(class_names[k])) for k in order.tolist()])
        axes.set_ylim(len(order) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.set_xlabel("recall with 95% interval")
        title(
            axes,
            "Recall by class",
            "orange lies below the average (dashed), blue above it, grey where that may be chance",
        )
    return figure


def reliability(tables: Mapping[str, Mapping[str, Array]], errors: Mapping[str, float]) -> Figure:
    """Accuracy by confidence with exact 95% intervals, before and after temperature scaling; `errors` are their ECE.

    A table has `count`, `confidence`, `accuracy`, `low` and `high` of each bin; empty bins are not drawn.
    """
    with styled():
        figure, axes = new_figure(5.6, 4.8)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
        for (name, table), colour in zip(tables.items(), (VALIDATION, TRAINING), strict=False):
            filled = table["count"] > 0
            x, y = table["confidence"][filled], table["accuracy"][filled]
            reach = [y - table["low"][filled], table["high"][filled] - y]
            label = f"{name}: error {errors[name]:.3f}"
            axes.errorbar(
                x,
                y,
                reach,
                color=colour,
                marker="o",
                markersize=5,
                linewidth=1.2,
                elinewidth=1.2,
                label=label,
            )
        axes.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="confidence", ylabel="accuracy")
        axes.set_aspect("equal")
        title(axes, "Reliability", "on the dashed line, confidence is honest; with 95% intervals")
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def coverage(curve: Curve, accuracy: float) -> Figure:
    """Accuracy on the images that are answered when the least confident ones are left to a person."""
    with styled():
        figure, axes = new_figure(5.6, 4.6)
        share, right = curve
        axes.plot(share, right, color=TRAINING)
        axes.axhline(accuracy, color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
        low = float(min(right[share >= 0.05].min(initial=accuracy), accuracy))
        axes.set(xlim=(0, 1.01), ylim=(max(0.0, low - 0.05), 1.005), xlabel="coverage", ylabel="accuracy")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))
        title(axes, "Accuracy by coverage", "answering only the most confident share of the images")
    return figure


def robustness(accuracy: Mapping[str, Sequence[float]], clean: float) -> Figure:
    """Accuracy under each corruption at strengths 1 to 5; `clean` is the accuracy without any."""
    with styled():
        figure, axes = new_figure(7.4, 4.2)
        for number, (name, values) in enumerate(accuracy.items()):
            colour = CLASSES[number % len(CLASSES)]
            axes.plot(
                range(len(values) + 1), [clean, *values], color=colour, marker="o", markersize=4, label=name
            )
        axes.margins(y=0.08)
        axes.set(xlabel="strength (0 is the image as it is)", ylabel="accuracy")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        title(axes, "Accuracy under corruptions")
        figure.legend(loc="outside right center")
    return figure
