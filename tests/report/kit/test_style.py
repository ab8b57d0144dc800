"""One drawing for light, dark and print, whatever letters names hold."""

import matplotlib
import numpy as np

from tenfold.report import figures
from tenfold.report.kit import style
from tenfold.report.kit.style import DARK, adaptive, to_png, to_svg
from tenfold.runs.metrics import confusion_matrix


def matrix_of(classes, n=2000, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    predicted = np.where(random.random(n) < 0.8, labels, random.integers(0, classes, n))
    return confusion_matrix(labels, predicted, classes)


def test_letters_without_a_font_are_spelt_out(monkeypatch):
    monkeypatch.setattr(style, "_letters", lambda: frozenset(map(ord, "cat ")))
    assert style.drawable("cat 猫") == "cat \\u732b"
    assert style.drawable("猫犬鳥 cat") == "\\u732b\\u72ac…"
    assert style.drawable("cat") == "cat"


def test_pictures_are_the_same_each_time_and_leave_pyplot_alone():
    before = dict(matplotlib.rcParams)
    one, two = (figures.confusion_matrix(matrix_of(3), "abc") for _ in range(2))
    assert to_svg(one) == to_svg(two)
    assert to_png(one) == to_png(two)
    assert dict(matplotlib.rcParams) == before


def test_an_adaptive_svg_turns_every_colour_of_ours():
    svg = to_svg(figures.coverage((np.array([0.5, 1.0]), np.array([1.0, 0.8])), 0.8))
    adapted = adaptive(svg)
    style = adapted[adapted.index("<style>") : adapted.index("</style>")]
    body = adapted.replace(style, "")
    assert "prefers-color-scheme:dark" in style
    assert not [colour for colour in DARK if colour in body]
    assert "var(--c0)" in body
