"""What is served: an exported folder or a run, with the accuracy that it states."""

import shutil

import pytest
from served import FIXTURES

from tenfold.core.errors import InputError
from tenfold.inference.predictor import MODEL
from tenfold.runs.folder import load_run
from tenfold.serving.model import open_served


def test_an_exported_folder_is_served_as_it_is(exported):
    served = open_served(exported)
    assert (served.name, served.facts, served.notes) == ("digits", {}, ())
    assert served.predictor.name == "ONNX Runtime"
    assert len(served.contract.class_names) == 10


def test_a_run_gets_its_onnx_model_and_says_its_accuracy(tmp_path):
    folder = shutil.copytree(FIXTURES / "digits-0.1", tmp_path / "digits")
    served = open_served(folder)
    metrics = load_run(folder).metrics["test"]
    assert served.facts == {"accuracy": metrics["accuracy"], "test_images": metrics["n"]}
    assert (load_run(folder).onnx / MODEL).is_file()
    assert served.predictor.name == "ONNX Runtime"
    assert "tenfold evaluate" in served.notes[0], "a run of version 0.1 has no contract"
    (folder / "metrics.json").write_text("{")
    assert open_served(folder).facts == {}


def test_what_is_neither_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a run folder nor an exported one"):
        open_served(tmp_path)
