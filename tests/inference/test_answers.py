"""Answers come out alike in every form, with class names and never numbers."""

import csv
import io
import json

import numpy as np
from rich.console import Console

from tenfold.inference.answers import Answers, answer
from tenfold.inference.calibrate import calibrate, learn_familiarity
from tenfold.inference.contract import Contract
from tenfold.inference.familiarity import Seen, pixel_statistics
from tenfold.inference.predictor import softmax

NAMES = ("10", "2", "Ärger", "path")


class Given:
    """A predictor whose pixels are its logits."""

    name, batch = "given", 256

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.reshape(len(pixels), -1)[:, : len(NAMES)].astype(np.float32) / 20

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return softmax(logits)


def made(coverage: float | None = None, labels=()) -> Answers:
    pixels = np.random.default_rng(3).integers(0, 256, (300, 2, 2, 1), np.uint8)
    logits = Given().logits(pixels)
    seen = Seen(logits, pixel_statistics(pixels))
    true = np.where(np.arange(300) % 4, logits.argmax(1), 0)
    contract = Contract(
        NAMES, (1, 2, 2), calibration=calibrate(true, softmax(logits)),
        familiarity=learn_familiarity(seen, seen.statistics, seen),
    )  # fmt: skip
    paths = [f'folder/{i}, "x".png' for i in range(300)]
    options = {"accuracy": 0.8, "coverage": coverage, "labels": labels}
    return answer(contract, Given(), pixels, logits, paths, **options)


def test_json_lines_and_csv_say_the_same_as_the_arrays():
    answers = made()
    records = [json.loads(line) for line in answers.json_lines().splitlines()]
    rows = list(csv.DictReader(io.StringIO(answers.csv_lines())))
    assert set(records[0]) == {"path", "predicted", "probability", "probabilities", "unsure", "unlike"}
    for i, (record, row) in enumerate(zip(records, rows, strict=True)):
        best = int(answers.probabilities[i].argmax())
        assert record["path"] == row["path"] == answers.paths[i]
        assert record["predicted"] == row["predicted"] == NAMES[best]
        assert np.float32(record["probability"]) == answers.probabilities[i, best]
        assert list(record["probabilities"]) == list(NAMES)
        for name in NAMES:
            assert np.float32(record["probabilities"][name]) == np.float32(row[f"probability:{name}"])
        assert row["unsure"] == json.dumps(record["unsure"]) == json.dumps(bool(answers.unsure[i]))
        assert row["unlike"] == json.dumps(record["unlike"])
    assert 0 < answers.unsure.sum() < 300


def test_top_gives_the_most_probable_first():
    record = next(made().records(top=2))
    values = list(record["probabilities"].values())
    assert len(values) == 2
    assert values[0] == record["probability"] >= values[1]


def test_raw_probabilities_are_the_softmax_of_the_logits():
    answers = made()
    assert not np.allclose(answers.probabilities, answers.raw)
    np.testing.assert_array_equal(answers.uncorrected().probabilities, softmax(answers.logits))
    assert answers.uncorrected().predicted == answers.predicted


def test_sets_follow_where_they_are_asked_for_and_labels_in_a_data_frame():
    answers = made(0.9, labels=["10", None] * 150)
    record = next(answers.records())
    assert "label" not in record
    assert answers.to_pandas()["label"].fillna("").to_list() == ["10", ""] * 150
    assert answers.right == (sum(name == "10" for name in answers.predicted[::2]), 150)
    assert set(record["set"]) <= set(NAMES)
    row = next(csv.DictReader(io.StringIO(answers.csv_lines())))
    assert json.loads(row["set"]) == record["set"]


def test_a_data_frame_has_a_column_for_each_class():
    frame = made().to_pandas()
    assert list(frame.columns) == ["path", "predicted", "probability", "unsure", "unlike",
                                   *(f"probability:{name}" for name in NAMES)]  # fmt: skip
    assert len(frame) == 300


def test_displays_escape_what_names_hold_and_say_how_many_are_left_out():
    answers = made()
    hostile = Answers(
        ["[red]<b>.png"], ("<i>",), np.zeros((1, 1)), np.ones((1, 1)), np.ones((1, 1), np.float32)
    )
    assert "<b>" not in hostile._repr_html_()
    assert "&lt;b&gt;" in hostile._repr_html_()
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(answers)
    console.print(hostile)
    text = console.export_text()
    assert "and 280 more" in text
    assert "[red]<b>.png" in text
