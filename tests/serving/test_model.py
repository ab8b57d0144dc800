"""What is served: an exported folder or a run, with the accuracy that it states."""

import shutil

import pytest
from served import FIXTURES

from tenfold.core.errors import InputError
from tenfold.inference.opening import weights_hash
from tenfold.inference.predictor import MODEL
from tenfold.runs.folder import load_run
from tenfold.serving.model import open_served


def test_an_exported_folder_is_served_as_it_is(exported):
    served = open_served(exported)
    assert (served.name, served.facts, served.notes) == ("digits", {}, ())
    assert served.predictor.name == "ONNX Runtime"
    assert len(served.contract.class_names) == 10


def test_a_run_is_answered_by_its_onnx_model_and_says_its_accuracy(exported, tmp_path):
    """`exported` is of the same weights."""
    folder = shutil.copytree(FIXTURES / "digits-0.1", tmp_path / "digits")
    run = load_run(folder)
    run.onnx.mkdir()
    shutil.copy(exported / MODEL, run.onnx)
    run.onnx_weights = weights_hash(folder)
    served = open_served(folder)
    assert served.facts == {
        "accuracy": run.metrics["test"]["accuracy"],
        "test_images": run.metrics["test"]["n"],
    }
    assert served.predictor.name == "ONNX Runtime"
    assert "tenfold evaluate" in served.notes[0], "a run of version 0.1 has no contract"
    (folder / "metrics.json").write_text("{")
    assert open_served(folder).facts == {}


def test_what_is_neither_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a run folder nor an exported one"):
        open_served(tmp_path)
