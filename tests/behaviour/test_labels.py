"""A run on a table of labels: groups in its metrics, and every verb finds the table again."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from corpus import write_table
from small import SHAPES, SMALL, draw_pictures

import tenfold
from tenfold.findings import find, gather

GROUPS = 4


@pytest.fixture(scope="module")
def home(tmp_path_factory, cache):
    """Drawn shapes in one folder, with a table of them in it: each shape in GROUPS groups of 5."""
    root = tmp_path_factory.mktemp("labels")
    draw_pictures(root / "classes", SHAPES, 5 * GROUPS)
    columns = {"image": [], "shape": [], "series": []}
    (root / "flat").mkdir()
    for shape in SHAPES:
        for number, path in enumerate(sorted((root / "classes" / shape).iterdir())):
            path.rename(root / "flat" / f"{shape[:2]}x{number}.png")
            columns["image"].append(f"{shape[:2]}x{number}")
            columns["shape"].append(shape)
            columns["series"].append(f"{shape[:2]}{number % GROUPS}")
    write_table(root / "flat" / "shapes.tsv", columns)
    return root


@pytest.fixture(scope="module")
def run(home):
    return tenfold.train(
        "digits",
        data=home / "flat",
        labels=home / "flat" / "shapes.tsv",
        out=home / "runs",
        overrides=[*SMALL, "data.label_column=shape", "data.group=series", "data.test_fraction=0.3"],
        progress=False,
    )


def test_groups_are_in_metrics_predictions_and_the_verdict(run):
    splits = run.splits()
    assert splits.together == "groups"
    assert len(np.unique(np.concatenate([split.groups for split in splits]))) == 3 * GROUPS
    held = [set(split.groups.tolist()) for split in splits]
    assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]
    test = run.metrics["test"]
    assert test["groups"] == len(held[2]) < test["n"]
    table = pq.read_table(run.path / "predictions" / "test.parquet")
    assert table["group"].to_pylist() == splits.test.groups.tolist()
    verdict = [finding.sentence for finding in find(gather(run)) if finding.rule == "accuracy"]
    assert f"of {test['n']:,} test images of {test['groups']:,} groups" in verdict[0]
    said = (run.path / "report.html").read_text(encoding="utf-8")
    assert "in whole groups by series" in said


@pytest.mark.usefixtures("undrawn")
def test_evaluating_again_gives_the_same_and_another_table_is_judged(run, home):
    before = run.metrics["test"]
    assert tenfold.evaluate(run, progress=False).metrics["test"] == before
    half = {"image": ["cix0.png", "crx1.png"], "shape": [SHAPES[0], SHAPES[1]]}
    write_table(home / "half.csv", half)
    tenfold.evaluate(run, data=home / "flat", labels=home / "half.csv", progress=False)
    assert run.evaluation("flat").metrics["test"]["n"] == 2


def test_the_command_that_repeats_the_run_names_the_table(run, home):
    assert f"--labels {home / 'flat' / 'shapes.tsv'}" in run.train_command()


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_the_table_moves_alone(run, home, command, monkeypatch):
    table, moved = home / "flat" / "shapes.tsv", home / "elsewhere.tsv"
    table.rename(moved)
    try:
        refused = command("evaluate", run.path)
        assert refused.status == 2
        assert "shapes.tsv: the table of labels is not there any more. Where it has moved" in refused.err
        other = write_table(
            home / "other.tsv", {"image": ["cix0", "crx1"], "shape": ["a", "b"], "series": ["1", "2"]}
        )
        wrong = command("report", run.path, "--labels", other)
        assert wrong.status == 2, wrong.out
        monkeypatch.chdir(home)
        opened = tenfold.load_run(run.path, labels="elsewhere.tsv")
        assert opened.splits().fingerprint == run.data["fingerprint"]
        done = command("report", run.path, "--labels", "elsewhere.tsv", folder=home)
        assert done.status == 0, done.err
        assert "images" not in done.err
        # The run has noted the place, which holds from any folder.
        monkeypatch.undo()
        assert tenfold.load_run(run.path).splits().fingerprint == run.data["fingerprint"]
    finally:
        moved.rename(table)
        tenfold.renew_report(run.path, labels=table)


def test_the_folder_and_its_table_move_to_different_places(run, home):
    (home / "flat").rename(home / "images")
    (home / "images" / "shapes.tsv").rename(home / "words.tsv")
    try:
        opened = tenfold.load_run(run.path, data=home / "images", labels=home / "words.tsv")
        assert opened.splits().fingerprint == run.data["fingerprint"]
    finally:
        (home / "words.tsv").rename(home / "images" / "shapes.tsv")
        (home / "images").rename(home / "flat")


@pytest.mark.usefixtures("undrawn")
def test_other_labelled_images_are_read_as_overrides_say(run, home, command):
    other = write_table(
        home / "two.csv", {"file": ["cix0.png", "crx1.png"], "kind": SHAPES[:2], "seen": ["a", "b"]}
    )
    asked = ("evaluate", run.path, "--data", home / "flat", "--labels", other)
    assert "data.label_column" in command(*asked).err
    done = command(*asked, "data.label_column=kind", "data.group=seen")
    assert done.status == 0, done.err
    measured = run.evaluation("flat").metrics["test"]
    assert (measured["n"], measured["groups"]) == (2, 2)
    for word, reason in (
        ("data.image_size=8", "images are brought to the model's input"),
        ("data.test_fraction=0.5", "nothing is drawn"),
        ("fit.epochs=3", "only data.KEY=VALUE says how images are read"),
        ("data.nested=x", "data.nested"),
    ):
        refused = command(*asked, word)
        assert refused.status == 2
        assert reason in refused.err
    refused = command("evaluate", run.path, "data.nested=true")
    assert refused.status == 2
    assert "own images are read as its recipe says" in refused.err


def test_the_folder_moves_with_its_table(run, home):
    (home / "flat").rename(home / "moved")
    try:
        assert tenfold.load_run(run.path, data=home / "moved").splits().fingerprint == run.data["fingerprint"]
    finally:
        (home / "moved").rename(home / "flat")
