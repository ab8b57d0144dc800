"""Saved predictions: plain Parquet that reads back equal."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from small import SHAPES

from tenfold.core.errors import InputError
from tenfold.runs.folder import Run, load_run
from tenfold.runs.predictions import Predictions, read_predictions


@pytest.fixture
def copied(finished, tmp_path) -> Run:
    """A finished run that a test may change."""
    folder, _ = finished
    return load_run(shutil.copytree(folder, tmp_path / "copied"))


def test_predictions_are_plain_parquet(finished):
    table = pq.read_table(finished[0] / "predictions" / "test.parquet").to_pydict()
    assert list(table) == ["path", "label", "predicted", *(f"probability:{name}" for name in SHAPES)]
    saved = load_run(finished[0]).predictions("test")
    assert table["label"] == [SHAPES[label] for label in saved.labels]
    assert table["predicted"] == [SHAPES[label] for label in saved.predicted]
    assert all(
        path.split("/")[-2] == label for path, label in zip(table["path"], table["label"], strict=True)
    )


def test_predictions_of_any_class_names_read_back_equal(tmp_path):
    names = ("[bold]", "probability:x", "größe, 2\n", "")
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), 5).astype(np.float32)
    given = Predictions(["a", "b", "ü", "d", "e"], np.array([3, 1, 0, 2, 1]), probabilities, names)
    given.write(tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet")
    assert read.class_names == names
    assert list(read.paths) == given.paths
    assert read.labels.tolist() == [3, 1, 0, 2, 1]
    assert read.probabilities.tolist() == probabilities.tolist()
    assert len(read) == 5


@pytest.mark.parametrize("content", [b"", b"PAR1 not at all"])
def test_damaged_predictions_are_named_with_the_remedy(content, copied):
    path = copied.path / "predictions" / "test.parquet"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"test\.parquet: .*`tenfold evaluate .*` makes it anew"):
        copied.predictions("test")
