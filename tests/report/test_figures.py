import io

import matplotlib
import numpy as np
import pytest
from logged import NOTEBOOK_01
from matplotlib.colors import to_hex
from PIL import Image

from tenfold.report import figures
from tenfold.report.draw import merged
from tenfold.report.kit.style import settle, to_png, to_svg
from tenfold.runs.metrics import confusion_matrix, exact_interval, reliability

HOSTILE = ["$\\frac{1}{", "<script>alert(1)</script>", "line\nbreak", "猫" * 40, ""]


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def matrix_of(classes, n=2000, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    predicted = np.where(random.random(n) < 0.8, labels, random.integers(0, classes, n))
    return confusion_matrix(labels, predicted, classes)


def test_learning_curves_show_the_numbers_and_the_marks():
    figure = figures.learning_curves(NOTEBOOK_01, best_epoch=11, drops=[10, 14], overfitting_from=7)
    loss, accuracy = figure.axes
    validation = lines_of(loss)["validation"]
    assert validation.get_xdata().tolist() == list(range(1, 18))
    assert validation.get_ydata()[10] == 0.9159
    assert lines_of(accuracy)["training"].get_ydata()[-1] == 0.9276
    assert lines_of(loss)["best epoch (11)"].get_xdata() == [11, 11]
    dotted = [
        line.get_xdata()[0] for line in loss.get_lines() if line.get_linestyle() == ":" or line.is_dashed()
    ]
    assert dotted == [10.5, 14.5]
    (span,) = loss.patches
    assert (span.get_x(), span.get_width()) == (7, 10)
    assert {"learning rate lowered", "overfitting"} <= set(texts_of(figure))


def test_learning_curves_without_validation():
    history = [
        {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "validation_loss": None, "validation_accuracy": None}
    ]
    assert "validation" not in lines_of(figures.learning_curves(history).axes[0])


@pytest.mark.parametrize("classes", [2, 10, 20])
def test_a_confusion_matrix_says_every_count_that_fits(classes):
    matrix = matrix_of(classes)
    said = texts_of(figures.confusion_matrix(matrix, [f"c{k}" for k in range(classes)]))
    assert all(str(count) in said for count in matrix.ravel() if count)


def test_many_classes_show_shades_instead_of_counts():
    names = [f"class number {k}" for k in range(100)]
    figure = figures.confusion_matrix(matrix_of(100), names)
    assert len(figure.axes[0].texts) == 0
    assert figure.axes[0].images[0].get_array().shape == (100, 100)
    assert len(to_svg(figure)) < 400_000


def test_classes_are_coloured_where_they_differ_by_more_than_chance():
    right, support = np.array([50, 90, 99]), np.array([100, 100, 100])
    ends, apart = exact_interval(right, support), np.array([True, False, True])
    figure = figures.class_scores(right / support, ends, apart, ["bad", "usual", "good"], 0.9)
    colours = [to_hex(colour) for colour in figure.axes[0].collections[1].get_facecolors()]
    assert colours == [figures.VALIDATION, figures.MUTED, figures.TRAINING]


def test_roc_legend_starts_with_the_worst():
    curve = (np.array([0, 0.1, 1]), np.array([0, 0.9, 1]))
    figure = figures.roc({"a": curve, "b": curve}, {"a": 0.99, "b": 0.80})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["0.800  b", "0.990  a"]


def test_a_class_has_one_colour_in_roc_and_precision_recall():
    curve = (np.array([0, 0.1, 1]), np.array([0, 0.9, 1]))
    curves = {"a": curve, "b": curve}
    colours = []
    for figure in (
        figures.roc(curves, {"a": 0.9, "b": 0.8}),
        figures.precision_recall(curves, {"a": 0.8, "b": 0.9}),
    ):
        lines = {line.get_label()[-1]: line.get_color() for line in figure.axes[0].get_lines()}
        colours.append((lines["a"], lines["b"]))
    assert colours[0] == colours[1]
    assert colours[0][0] != colours[0][1]


def test_an_axis_repeats_no_percentage():
    records = [
        {**record, "accuracy": 0.991 + 0.001 * n, "validation_accuracy": 0.99}
        for n, record in enumerate(NOTEBOOK_01[:6])
    ]
    figure = figures.learning_curves(records)
    figure.draw_without_rendering()
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert len(set(labels)) == len(labels) > 2


def test_coverage_and_reliability_plot_what_they_are_given():
    table = merged(reliability(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]])))
    figure = figures.reliability({"as trained": table}, {"as trained": 0.123})
    assert "as trained: error 0.123" in texts_of(figure)
    figure = figures.coverage((np.array([0.5, 1.0]), np.array([1.0, 0.8])), 0.8)
    assert figure.axes[0].get_lines()[0].get_ydata().tolist() == [1.0, 0.8]


def test_class_counts_of_few_and_many_classes():
    few = figures.class_counts({"train": [5, 7], "test": [1, 2]}, ["a", "b"])
    assert [bar.get_width() for bar in few.axes[0].patches] == [5, 7]
    many = figures.class_counts({"train": list(range(50))}, [str(k) for k in range(50)])
    assert many.axes[0].get_lines()[0].get_ydata()[0] == 49


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_sample_grid_holds_each_image(channels):
    images = [np.full((8, 6, channels), 10 * k, np.uint8) for k in range(7)]
    figure = figures.sample_grid(images, [str(k) for k in range(7)], columns=3)
    assert len(figure.axes[0].images) == 7


def test_names_in_any_form_are_drawn():
    figure = figures.confusion_matrix(matrix_of(5), HOSTILE)
    settle(figure)
    svg = to_svg(figure)
    assert "<script>" not in svg
    assert Image.open(io.BytesIO(to_png(figure))).width > 300
