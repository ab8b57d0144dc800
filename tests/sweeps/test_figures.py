"""A sweep's figures."""

import pytest

from tenfold.sweeps import figures


def test_the_overlay_marks_each_best_epoch():
    curves = [figures.Curves(f"size {n}", [0.1, 0.2, 0.3], [0.1, 0.3, 0.2], 2) for n in range(12)]
    figure = figures.overlay(curves)
    for axes, value in zip(figure.axes, (0.2, 0.3), strict=True):
        rings = [line for line in axes.lines if line.get_marker() == "o"]
        assert len(rings) == figures.LEGIBLE
        assert all((line.get_xdata()[0], line.get_ydata()[0]) == (2, value) for line in rings)
    assert figure.legends[0].get_title().get_text() == "the best 10 of 12, by rank"


def test_parallel_coordinates_run_from_the_lowest_to_the_highest():
    points = [
        figures.Point({"model.name": name, "optimizer.lr": lr}, [score], rank)
        for name, lr, score, rank in (
            ("a", 1e-4, 0.5, "other"),
            ("b", 1e-2, 0.9, "winner"),
            ("a", 1e-3, 0.7, "other"),
        )
    ]
    figure = figures.parallel(
        points, [figures.Axis("model.name", names=["a", "b"]), figures.Axis("optimizer.lr", True)]
    )
    lines = [list(line.get_ydata()) for line in figure.axes[0].lines if len(line.get_ydata()) == 3]
    assert sorted(lines) == [pytest.approx(ends) for ends in ([0, 0, 0], [0, 0.5, 0.5], [1, 1, 1])]
    assert figure.axes[0].get_xticklabels()[-1].get_text() == "validation accuracy"
