"""`tenfold report`, `compare` and `runs`, on a run that the real command made."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from small import edit_recipe

from tenfold.runs.folder import load_run


@pytest.fixture
def folder(finished, tmp_path):
    """A folder of two runs of the same recipe with different seeds, and one with another recipe."""
    source, _ = finished
    for name, old, new in (
        ("a-1", "", ""),
        ("a-2", "\nseed = 0", "\nseed = 1"),
        ("b", "lr = 0.003", "lr = 0.004"),
    ):
        shutil.copytree(source, tmp_path / name)
        edit_recipe(tmp_path / name / "recipe.toml", old, new)
    # Another seed answers otherwise, if only a little.
    other = load_run(tmp_path / "a-2")
    answers = other.predictions("test")
    blurred = 0.9 * answers.probabilities + 0.1 / len(answers.class_names)
    other.test_predictions = replace(answers, probabilities=blurred.astype(answers.probabilities.dtype))
    return tmp_path


@pytest.mark.slow
def test_report_is_made_again_with_corruptions(command, folder):
    (folder / "a-1" / "report.html").unlink()
    answer = command("report", folder / "a-1", "--corruptions", "--device", "cpu")
    assert answer.status == 0, answer.err
    assert answer.out.strip() == str(folder / "a-1" / "report.html")
    assert 'id="robustness"' in (folder / "a-1" / "report.html").read_text()
    assert set(json.loads((folder / "a-1" / "robustness.json").read_text())["accuracy"]) >= {
        "noise",
        "blur",
        "JPEG",
    }


def test_compare_pools_seeds_and_writes_its_page(command, folder):
    answer = command("compare", *(folder / name for name in ("a-1", "a-2", "b")), "--out", folder / "out")
    assert answer.status == 0, answer.err
    assert "a (2 seeds)" in answer.out
    assert "which may be chance" in answer.out or "are right equally often" in answer.out
    assert (folder / "out" / "comparison.html").is_file()


def test_compare_refuses_one_run(command, folder):
    answer = command("compare", folder / "b", "--out", folder / "out")
    assert answer.status == 2
    assert "two different runs" in answer.err


def test_runs_are_listed_as_a_table_and_as_json(command, folder):
    table = command("runs", folder)
    assert table.status == 0
    assert all(name in table.out for name in ("a-1", "a-2", "b"))
    rows = json.loads(command("runs", folder, "--sort", "name", "--where", "name=a*", "--json").out)
    assert [row["name"] for row in rows] == ["a-1", "a-2"]
    assert command("runs", folder, "--sort", "nonsense").status == 2


def test_a_report_of_something_else_is_refused(command, tmp_path):
    answer = command("report", tmp_path)
    assert answer.status == 2
    assert "not a run folder" in answer.err
    assert not list(Path(tmp_path).iterdir())
