"""From a name to a model: a run, an exported folder, and what is said of a contract that is not whole."""

import shutil

import pytest
from served import FIXTURES

from tenfold.core.errors import InputError
from tenfold.inference.contract import Contract, read_contract
from tenfold.inference.opening import open_model, weights_hash
from tenfold.runs.folder import Run


@pytest.fixture
def folder(tmp_path):
    """A run of version 0.1, which has no contract."""
    return shutil.copytree(FIXTURES / "digits-0.1", tmp_path / "runs" / "old")


def test_a_run_is_found_by_its_path_and_by_its_name_below_runs(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_model("old").folder.resolve() == open_model(folder).folder == folder


@pytest.mark.parametrize("name", ["nothing", "."])
def test_what_is_neither_a_run_nor_an_export_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is neither a run folder nor an exported one"):
        open_model(name)


def test_without_a_contract_the_saved_predictions_say_what_they_can(folder):
    model = open_model(folder)
    assert model.contract.calibration is not None
    assert model.contract.familiarity is None
    assert "it has no inference.json: nothing is called unlike the training images" in model.notes[0]
    assert f"`tenfold evaluate {folder}` makes it whole" in model.notes[0]
    (folder / "predictions" / "validation.parquet").unlink()
    model = open_model(folder)
    assert model.contract.calibration is None
    assert "probabilities are raw" in model.notes[0]


def test_a_contract_of_other_weights_is_not_believed(folder):
    described = Run(folder).description
    contract = Contract(
        tuple(described["class_names"]), tuple(described["image_shape"]), weights_hash(folder)
    )
    contract.write(folder)
    assert open_model(folder).contract == read_contract(folder) == contract
    assert open_model(folder).notes == ()
    Contract(contract.class_names, contract.image, "other").write(folder)
    model = open_model(folder)
    assert "its weights have changed since it was evaluated" in model.notes[0]
    assert model.contract.calibration is None


def test_an_export_has_no_pytorch_model_and_no_module_of_ones_own(folder, tmp_path):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "model.onnx").touch()
    Contract(("a", "b"), (1, 8, 8)).write(tmp_path / "export")
    model = open_model(tmp_path / "export")
    assert model.exported
    assert not open_model(folder).exported
    with pytest.raises(InputError, match="--device cuda: an exported folder is run on the CPU"):
        model.predictor(few=True, device="cuda")
    import own_models

    from tenfold.models import given_model

    with pytest.raises(InputError, match=r"is an exported folder, whose model is in it\. Leave --model"):
        open_model(tmp_path / "export", given_model(own_models.make))


def test_a_runs_own_images_are_known_by_the_folders_that_they_lie_in(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "photos" / "cat" / "a.png").touch()
    run = Run(folder)
    data = run.data
    run.data = {**data, "source": {**data["source"], "data": "photos", "base": str(tmp_path)}}
    model = open_model(folder)
    assert model.owns(["photos"])
    assert model.owns([str(tmp_path / "photos" / "cat")])
    assert not model.owns(["photos/cat/a.png"]), "a single picture does not count"
    assert not model.owns([str(tmp_path)])
    (folder / "data.json").write_text("{")
    assert not model.owns(["photos"])


def test_a_network_answers_few_pictures_by_onnx_once_it_was_made(folder):
    model = open_model(folder)
    assert not model.has_onnx()
    assert model.predictor(few=True).name == "PyTorch"
    (model.onnx).mkdir()
    (model.onnx / "model.onnx").write_bytes(b"x")
    model.run.onnx_weights = "other"
    assert not model.has_onnx()
    model.run.onnx_weights = model.contract.weights
    assert model.has_onnx()
