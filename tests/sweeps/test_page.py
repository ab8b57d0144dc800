"""A sweep's page and files, from its ledger alone."""

import csv
import html
import json

import pytest
from ledgers import scored

from tenfold.runs.folder import Run
from tenfold.sweeps.page import _tiles, save_results, write_page
from tenfold.sweeps.results import Results


@pytest.fixture
def results(tmp_path):
    results = Results(tmp_path, scored([[0.6, 0.62], [0.8, 0.82]]))
    rows = [
        {"epoch": n, "loss": 1 / n, "accuracy": 0.5, "validation_loss": 1 / n, "validation_accuracy": 0.5,
         "learning_rate": 0.1, "seconds": 1.0}
        for n in range(1, 5)
    ]  # fmt: skip
    for trial in results.ledger.trials:
        run = Run(tmp_path / trial.folder)
        run.history, run.recipe = rows, results.ledger.plan.base
    return results


def test_tiles_say_what_was_done_and_test_accuracy_only_once_it_is_known(results):
    tiles = dict((name, value) for name, value, _ in _tiles(results))
    assert tiles["Validation accuracy"] == "81.0%"
    assert tiles["Trials"] == "4"
    assert "Test accuracy" not in tiles


def test_the_page_is_one_file_with_its_rows_and_no_request(results):
    write_page(results, [])
    page = results.report.read_text(encoding="utf-8")
    assert "default-src 'none'" in html.unescape(page)
    assert "81.00%" in page
    assert "grid search over 2 candidates with 2 seeds each" in page
    assert "http://" not in page
    assert "https://" not in page


def test_all_is_written_beside_the_page(results):
    save_results(results)
    saved = json.loads((results.path / "results.json").read_text())
    assert saved["winner"] == {"model.dense": 8}
    assert [row["values"]["model.dense"] for row in saved["candidates"]] == [8, 4]
    with (results.path / "results.csv").open() as file:
        assert len(list(csv.reader(file))) == 3
    drawn = {path.stem for path in (results.path / "figures").glob("*.svg")}
    assert drawn == {path.stem for path in (results.path / "figures").glob("*.png")}
    assert drawn
    assert results.report.read_text(encoding="utf-8").count("data:image/svg+xml") == len(drawn)
