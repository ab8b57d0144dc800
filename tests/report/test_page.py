import base64
import hashlib
import json
import re
import shutil
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from constructed import digits_run, epoch_record, finish_run, large_run, new_run, pictured_splits
from sklearn import metrics as sk
from small import edit_json

from tenfold.core.errors import InputError
from tenfold.core.files import write_json
from tenfold.report import write_report
from tenfold.runs.folder import Run
from tenfold.runs.metrics import confusion_matrix, matrix_of, measure
from tenfold.runs.predictions import Predictions

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "{{ 7 * 7 }} $\\frac{1}{",
    "line\nbreak <b>bold</b> & 'quotes'",
    "\u202egnp.exe ünïcødé 猫",
)


class Reader(HTMLParser):
    """The tags, the visible text, and the contents of style and script elements of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.blocks, self.inside = [], "", [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.inside = tag
        if tag in {"style", "script"}:
            self.blocks.append((tag, dict(attributes), ""))

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, text):
        if self.inside in {"style", "script"}:
            tag, attributes, before = self.blocks[-1]
            self.blocks[-1] = (tag, attributes, before + text)
        else:
            self.text += text

    @property
    def payload(self):
        return next(
            json.loads(text) for _, attributes, text in self.blocks if attributes.get("id") == "payload"
        )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return digits_run(tmp_path_factory.mktemp("runs") / "digits-1", strength=0.05)


@pytest.fixture(scope="module")
def page(run):
    return write_report(run, run.splits()).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A run whose run, class and file names try to break out."""
    random = np.random.default_rng(0)
    run = new_run(tmp_path_factory.mktemp("runs") / "<b onclick=alert(3)>run")
    labels = np.arange(200) % len(HOSTILE)
    paths = [f"{HOSTILE[label]}/{number}<svg onload=alert(4)>.png" for number, label in enumerate(labels)]
    pixels = random.integers(0, 256, (200, 40, 30, 3), dtype=np.uint8)
    splits = pictured_splits(pixels, labels, paths, HOSTILE)
    write_json(run.path / "data.json", splits.describe())
    probabilities = random.dirichlet(np.ones(len(HOSTILE)), 200).astype(np.float32)
    answers = Predictions(paths, labels, probabilities, HOSTILE)
    measured = measure(labels, probabilities, HOSTILE)
    finish_run(run, [epoch_record(1, measured, measured)], {"validation": answers, "test": answers})
    return run, write_report(run, splits).read_text(encoding="utf-8")


def test_the_numbers_are_those_of_scikit_learn_on_the_saved_predictions(run, page):
    answers = run.predictions("test")
    predicted = answers.probabilities.argmax(axis=1)
    text = Reader(page).text
    assert f"{100 * sk.accuracy_score(answers.labels, predicted):.1f}%" in text
    for average in ("macro", "weighted"):
        for value in sk.precision_recall_fscore_support(answers.labels, predicted, average=average)[:3]:
            assert f"{100 * value:.1f}%" in text
    areas = [sk.roc_auc_score(answers.labels == k, answers.probabilities[:, k]) for k in range(10)]
    assert f"{np.mean(areas):.4f}" in text
    assert all(f"{area:.4f}" in text for area in areas)
    assert Reader(page).payload["matrix"] == sk.confusion_matrix(answers.labels, predicted).tolist()


def test_every_cell_of_the_matrix_has_its_images(run, page):
    payload, answers = Reader(page).payload, run.predictions("test")
    for row, counts in enumerate(payload["matrix"]):
        for column, count in enumerate(counts):
            tiles = payload["cells"].get(f"{row}-{column}", [])
            assert len(tiles) == min(count, 12)
            for tile in tiles:
                image = payload["images"][tile]
                position = list(answers.paths).index(image["path"])
                assert (answers.labels[position], answers.predicted[position]) == (row, column)
                assert image["label"] == row
                assert image["classes"][0] == column


def test_the_page_has_every_section_and_stays_small(page):
    ids = {attributes.get("id") for _, attributes in Reader(page).tags}
    assert {
        "verdict",
        "data",
        "training",
        "confusion",
        "classes",
        "roc",
        "calibration",
        "mistakes",
        "labels",
    } <= ids
    assert {"next", "made"} <= ids
    assert len(page) < 3_000_000


def test_the_page_asks_for_nothing_from_outside(page):
    for tag, attributes in Reader(page).tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name, "")
            assert value.startswith(("data:image/", "#")) or not value, (tag, name, value[:60])
    assert "url(" not in re.sub(r"url\(data:image/webp;base64,", "", page)


def test_the_policy_allows_exactly_the_pages_own_styles_and_script(page):
    reader = Reader(page)
    policy = next(a["content"] for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    runnable = [text for _, attributes, text in reader.blocks if attributes.get("type") != "application/json"]
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in runnable}
    assert set(re.findall(r"sha256-([^']+)", policy)) == hashes
    assert not [a for _, a in reader.tags if any(name.startswith("on") or name == "style" for name in a)]


def test_hostile_names_stay_text(hostile):
    _, page = hostile
    reader = Reader(page)
    assert [tag for tag, _ in reader.tags].count("script") == 2
    assert not [tag for tag, attributes in reader.tags if "onerror" in attributes or "onclick" in attributes]
    assert not [tag for tag, _ in reader.tags if tag in {"svg", "b"} and "alert" in str(_)]
    assert reader.payload["classes"] == list(HOSTILE)
    assert HOSTILE[1] in reader.text
    assert "49" not in re.findall(r"<h2[^>]*>([^<]*)", page)
    assert "{{ 7 * 7 }}" in reader.text


def test_hostile_names_stay_text_in_the_figures(hostile):
    run, _ = hostile
    for path in run.figures.glob("*.svg"):
        svg = path.read_text(encoding="utf-8")
        tags = Reader(svg).tags
        assert not [tag for tag, attributes in tags if tag in {"script", "img"} or "onload" in attributes], (
            path.name
        )


@pytest.mark.slow
def test_the_report_is_made_again_without_the_data(run, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(run.path, folder)
    page = write_report(type(run)(folder), None, "they are in a cellar.").read_text()
    reader = Reader(page)
    assert "made without the images, so it leaves out: the images themselves" in reader.text
    assert "Why: they are in a cellar." in reader.text
    assert "image/webp" not in page
    assert reader.payload["matrix"] == run.metrics["test"]["confusion_matrix"]


def test_figures_are_saved_as_svg_and_png(run, page):
    names = {path.name for path in run.figures.iterdir()}
    for name in (
        "learning_curves",
        "confusion_matrix",
        "roc",
        "samples",
        "class_counts",
        "reliability",
        "coverage",
    ):
        assert {f"{name}.svg", f"{name}.png"} <= names


@pytest.mark.slow
def test_a_hundred_classes_and_a_hundred_thousand_images(tmp_path):
    run, splits = large_run(tmp_path / "large")
    start = time.process_time()
    path = write_report(run, splits)
    assert time.process_time() - start < 30
    assert path.stat().st_size < 3_000_000
    payload = Reader(path.read_text()).payload
    wrong = [cell for cell in payload["cells"] if len(set(cell.split("-"))) == 2]
    assert len(wrong) > 1000


@pytest.mark.slow
def test_more_classes_than_a_matrix_can_show(tmp_path):
    run, splits = large_run(tmp_path / "large", images=4000, classes=200)
    page = write_report(run, splits).read_text()
    payload = Reader(page).payload
    assert 'class="scroll matrix"' not in page
    assert "With 200 classes the matrix is left to" in page
    assert "<summary>Each of the 200 classes</summary>" in page, "the longest table is folded"
    shown = re.findall(r'data-cell="(\d+)-(\d+)"', page)
    matrix = run.metrics["test"]["confusion_matrix"]
    assert len(shown) == 8
    assert all(payload["matrix"][row][column] == matrix[int(row)][int(column)] for row, column in shown)
    assert len(page) < 3_000_000


@pytest.mark.slow
def test_thousands_of_classes_keep_the_cells_that_are_not_0(tmp_path):
    run, splits = large_run(tmp_path / "large", images=2600, classes=1200)
    stored = Run(run.path).metrics["test"]
    assert run.path_of(Run.metrics).stat().st_size < 2_000_000
    answers = run.predictions("test")
    matrix = confusion_matrix(answers.labels, answers.predicted, 1200)
    np.testing.assert_array_equal(matrix_of(stored), matrix)
    page = write_report(run, splits).read_text()
    assert "With 1,200 classes the matrix is left to" in page
    row, column = map(int, re.findall(r'data-cell="(\d+)-(\d+)"', page)[0])
    assert (
        Reader(page).payload["matrix"][str(row)][str(column)] == matrix[row, column] == _most_mistakes(matrix)
    )
    edit_json(run.path_of(Run.metrics), lambda found: found["test"]["confusion_matrix"].update(classes=9))
    with pytest.raises(InputError, match=r"metrics\.json.*expected counts of 1200 classes by 1200"):
        _ = Run(run.path).metrics


def _most_mistakes(matrix: np.ndarray) -> int:
    return int((matrix - np.diag(np.diag(matrix))).max())
