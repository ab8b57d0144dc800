"""Suspected labels, the page, and the table that training reads."""

import csv

import numpy as np
import pytest
from images import save
from sklearn.datasets import load_digits

import tenfold
from tenfold.core.errors import InputError

WRONG = 24


def rows(path):
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """600 handwritten digits, in folders that are wrong for 24 of the training images; the run; the true labels."""
    folder = tmp_path_factory.mktemp("relabel")
    images, labels = load_digits(return_X_y=True)
    generator, truth = np.random.default_rng(0), {}
    for number in range(600):
        split = ("test", "val", "train")[0 if number < 100 else 1 if number < 160 else 2]
        label = int(labels[number])
        wrong = 160 <= number < 160 + WRONG
        said = (label + int(generator.integers(1, 10))) % 10 if wrong else label
        pixels = (images[number].reshape(8, 8, 1) * 15).astype(np.uint8)
        path = f"{split}/{said}/{number:03}.png"
        save(folder / "data" / path, pixels)
        truth[path] = str(label)
    run = tenfold.train(
        "digits",
        data=folder / "data",
        out=folder / "runs",
        name="before",
        overrides=["fit.epochs=8"],
        progress=False,
    )
    return folder, run, truth


@pytest.fixture(scope="module")
def suspected(noisy):
    folder, run, _ = noisy
    tenfold.relabel(run, out=folder / "relabel")
    return folder / "relabel"


def test_wrong_labels_are_suspected_and_test_labels_are_not_asked(noisy, suspected):
    _, _, truth = noisy
    found = rows(suspected / "suspects.csv")
    hits = [row for row in found if truth[row["path"]] != row["label"]]
    assert len(hits) >= WRONG / 2
    assert len(hits) >= 0.8 * len(found)
    assert sum(truth[row["path"]] == row["suggested"] for row in hits) >= 0.9 * len(hits)
    assert {row["split"] for row in found} <= {"train", "validation"}
    page = (suspected / "relabel.html").read_text(encoding="utf-8")
    assert all(f'data-path="{row["path"]}"' in page for row in found)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_training_reads_the_corrected_table_and_compare_says_what_is_gained(noisy, suspected, command):
    folder, run, truth = noisy
    found = rows(suspected / "suspects.csv")
    changes = folder / "changes.csv"
    changes.write_text("path,label\n" + "".join(f"{row['path']},{truth[row['path']]}\n" for row in found))
    said = command("relabel", run.path, "--changes", changes, "--out", suspected)
    assert said.status == 0, said.err
    moved = sum(truth[row["path"]] != row["label"] for row in found)
    assert f"{moved} labels of 600 changed" in said.out
    table = rows(suspected / "labels.csv")
    assert len(table) == 600
    assert sum(truth[row["path"]] != row["label"] for row in table) == WRONG - moved
    again = tenfold.train(
        "digits",
        data=folder / "data",
        labels=suspected / "labels.csv",
        out=folder / "runs",
        name="after",
        overrides=["fit.epochs=8"],
        progress=False,
    )
    assert again.data["splits"]["test"]["hash"] == run.data["splits"]["test"]["hash"]
    assert again.data["splits"]["train"]["hash"] != run.data["splits"]["train"]["hash"]
    compared = tenfold.compare([run, again], folder / "comparison")
    assert len(compared.pairs) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "path,label\nnowhere.png,3\n",
            r"1 path of no image .* Write them as suspects\.csv has them, for instance t",
        ),
        ("path,label\ntrain/{0}/160.png,cat\n", "no class is called 'cat'"),
        ("path,label\ntest/{1}/000.png,3\n", "it changes 1 test label"),
        (
            "path,label\ntrain/{0}/160.png,3\ntrain/{0}/160.png,4\n",
            "different labels to 1 path, for instance train",
        ),
        ("path\n", "it has no rows"),
    ],
)
def test_changes_that_cannot_be_meant_are_refused(noisy, tmp_path, text, fault):
    _, run, truth = noisy
    folders = [
        next(path.split("/")[1] for path in truth if path.endswith(end)) for end in ("160.png", "/000.png")
    ]
    (tmp_path / "changes.csv").write_text(text.format(*folders))
    with pytest.raises(InputError, match=fault):
        tenfold.relabel(run, tmp_path / "changes.csv", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="cannot be read"):
        tenfold.relabel(run, tmp_path / "none.csv", out=tmp_path / "out")


def test_columns_that_are_not_read_are_named(noisy, suspected, tmp_path, command):
    _, run, _ = noisy
    row = rows(suspected / "suspects.csv")[0]
    changes = tmp_path / "changes.csv"
    changes.write_text(f"path,label,suggested,doctor\n{row['path']},{row['suggested']},x,y\n")
    said = command("relabel", run.path, "--changes", changes, "--out", tmp_path)
    assert said.status == 0, said.err
    assert "1 label of 600 changed" in said.out
    assert "only the columns 'path' and 'label' are read, not 'doctor'" in said.err


@pytest.mark.slow
def test_a_run_on_folders_of_splits_is_told_what_helps(noisy, tmp_path):
    folder, _, _ = noisy
    data = folder / "data"
    run = tenfold.train(
        "digits",
        train=[data / "train"],
        validation=[data / "val"],
        test=[data / "test"],
        out=tmp_path,
        overrides=["fit.epochs=1"],
        progress=False,
    )
    with pytest.raises(InputError, match="the folder above them"):
        tenfold.relabel(run, out=tmp_path / "relabel")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_cross_validation_judges_every_image(noisy, tmp_path):
    folder, _, truth = noisy
    run = tenfold.train(
        "digits",
        data=folder / "data" / "train",
        folds=2,
        out=tmp_path,
        overrides=["fit.epochs=20"],
        progress=False,
    )
    tenfold.relabel(run, out=tmp_path / "relabel")
    found = rows(tmp_path / "relabel" / "suspects.csv")
    wrong = [row for row in found if truth["train/" + row["path"]] != row["label"]]
    assert len(wrong) >= WRONG / 4
    (tmp_path / "changes.csv").write_text(f"path,label\n{found[0]['path']},{found[0]['suggested']}\n")
    tenfold.relabel(run, tmp_path / "changes.csv", out=tmp_path / "relabel")
    table = rows(tmp_path / "relabel" / "labels.csv")
    assert len(table) == 440
    assert list(table[0]) == ["path", "label"]
