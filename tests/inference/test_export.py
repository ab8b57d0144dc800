import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from exported import run_script
from small import SMALL, draw_pictures
from torch import nn

import tenfold as public
from tenfold import load_run
from tenfold.core.errors import InputError, TenfoldError
from tenfold.inference import certificate
from tenfold.inference.contract import read_contract
from tenfold.inference.predictor import softmax
from tenfold.runs.predictions import Predictions

NAMES = ("2", "10", "Äpfel, rote", "猫|<b>")
BACKBONE = ("model.backbone=test_efficientnet", 'model.weights="none"', "model.image_size=32")
KINDS = {
    "single-conv": ("digits", "model.name=single-conv", "model.filters=4", "model.dense=8"),
    "model-s-deep": ("digits", *SMALL),
    "swift": ("fast-72", "model.widths=[8,8,8]", "fit.batch_size=16", "data.image_size=32"),
    "frozen": ("backbone", *BACKBONE),
    "fine-tuned": ("fine-tune", *BACKBONE),
}


def test_a_folder_holds_everything_and_its_certificate_is_of_its_files(shapes):
    folder = shapes / "export"
    assert {path.name for path in folder.iterdir()} == {
        *("model.onnx", "model.pt2", "model.xml", "model.bin", "predict.py"),
        *("inference.json", "certificate.json", "README.md"),
    }
    proof = json.loads((folder / "certificate.json").read_text())
    assert set(proof["files"]) == {path.name for path in folder.iterdir()} - {"certificate.json"}
    assert proof["files"] == {
        name: described
        for name, described in certificate.files_of(folder).items()
        if name != "certificate.json"
    }
    count = len(load_run(shapes).predictions("test"))
    assert proof["images"] == f"all {count} test images"
    assert set(proof["formats"]) == {"onnx", "torch", "openvino"}
    for found in proof["formats"].values():
        assert found["same_class"] + len(found["near_ties"]) == found["images"] == count
        assert 0 <= found["largest_difference"] < 1e-5
    assert len((folder / "predict.py").read_text().splitlines()) <= 60
    for path in folder.iterdir():
        assert str(shapes.parent).encode() not in path.read_bytes()


def test_every_format_answers_as_the_saved_predictions_say(shapes):
    run, folder = load_run(shapes), shapes / "export"
    saved, contract = run.predictions("test"), read_contract(folder)
    images = run.splits().test.images(slice(None))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    logits, probabilities, predicted = session.run(None, {"images": images})
    program = torch.export.load(folder / "model.pt2").module()
    with torch.inference_mode():
        others = [value.numpy() for value in program(torch.from_numpy(images))]
    import openvino

    compiled = openvino.Core().compile_model(folder / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    third = compiled({"images": images})
    for found in (logits, others[0], third["logits"]):
        np.testing.assert_allclose(softmax(found), saved.probabilities, atol=1e-6)
    for found in (probabilities, others[1], third["probabilities"]):
        np.testing.assert_allclose(found, softmax(logits, contract.temperature), atol=1e-6)
    assert predicted.tolist() == [saved.class_names[index] for index in saved.predicted]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_is_exported_and_answers_pictures_files_with_its_class_names(kind, tmp_path):
    pictures = draw_pictures(tmp_path / "pictures", NAMES, 12)
    recipe, *overrides = KINDS[kind]
    run = public.train(
        recipe,
        data=pictures,
        out=tmp_path,
        name="run",
        overrides=[*overrides, "augment=[]", "fit.epochs=2"],
        progress=False,
    )
    exported = public.export(run, out=tmp_path / "made" / "export")
    assert sorted(path.name for path in exported.path.parent.iterdir()) == ["export"]
    saved = run.predictions("test")
    files = [next(pictures.parent.rglob(path)) for path in saved.paths]
    for answer, raw in zip(run_script(exported.path, *files), saved.probabilities, strict=True):
        expected = softmax(np.log(raw[None]), read_contract(exported.path).temperature)[0]
        assert list(answer["probabilities"]) == list(saved.class_names) == list(NAMES)
        np.testing.assert_allclose(list(answer["probabilities"].values()), expected, atol=2e-2)
        assert answer["probability"] == max(answer["probabilities"].values())
        assert answer["probabilities"][answer["predicted"]] == answer["probability"]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_run_of_a_users_own_module_is_exported_with_the_module_given_again(pictures, tmp_path):
    def module(shape, classes):
        return nn.Sequential(
            nn.Conv2d(shape[0], 8, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes)
        )

    run = public.train(
        "digits",
        data=pictures,
        out=tmp_path,
        name="run",
        overrides=["augment=[]", "fit.epochs=1"],
        progress=False,
        model=module,
    )
    exported = public.export(run.path, model=module)
    found = exported.certificate["formats"]["onnx"]
    assert found["same_class"] == found["images"] > 0
    with pytest.raises(InputError, match="module of your own"):
        public.export(run.path, out=tmp_path / "other")


# What is refused ---------------------------------------------------------------------------------------------


def spoiled(run: Path) -> None:
    """Saved predictions in which one image's probabilities are exchanged."""
    path = run / "predictions" / "test.parquet"
    saved = load_run(run).predictions("test")
    probabilities = saved.probabilities.copy()
    probabilities[0] = np.roll(probabilities[0], 1)
    Predictions(saved.paths, saved.labels, probabilities, saved.class_names).write(path)


@pytest.mark.slow
def test_a_failed_certificate_leaves_nothing_and_an_earlier_export_as_it_was(shapes, tmp_path, command):
    run = shutil.copytree(shapes, tmp_path / "run")
    spoiled(run)
    before = certificate.files_of(run / "export")
    answer = command("export", run, "--overwrite")
    assert answer.status == 1
    assert re.search(r"onnx model does not answer as the run did.*expected at most 0.0001", answer.err)
    assert certificate.files_of(run / "export") == before
    shutil.rmtree(run / "export")
    names = sorted(path.name for path in run.iterdir())
    with pytest.raises(TenfoldError, match="does not answer"):
        public.export(run)
    assert sorted(path.name for path in run.iterdir()) == names


def test_what_cannot_be_used_is_said_before_any_work(shapes, tmp_path, command):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    for words, expected in {
        ("--format", "onxx"): "did you mean 'onnx'",
        ("--quantize", "int4"): "expected int8",
        ("--max-loss", "2"): "between 0 and 1",
        (): "--overwrite",
        ("--out", tmp_path / "mine", "--overwrite"): "not an exported folder",
    }.items():
        answer = command("export", shapes, *words)
        assert answer.status == 2
        assert expected in answer.err
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"
    run = shutil.copytree(shapes, tmp_path / "run")
    (run / "predictions" / "test.parquet").unlink()
    assert command("export", run, "--out", tmp_path / "new").status == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_what_is_printed_says_what_was_compared_near_ties_and_where_it_lies(shapes, tmp_path):
    run = shutil.copytree(shapes, tmp_path / "run")
    proof = json.loads((shapes / "export" / "certificate.json").read_text())
    exported = public.export(run, overwrite=True, format=("torch", "openvino"), license="cc0-1.0")
    lines = exported.remarks()
    assert lines == [
        f"compared on {proof['images']}, at most 0.0001 apart allowed",
        f"exported to {run / 'export'}",
    ]
    proof["formats"]["onnx"]["near_ties"] = [{"path": "a", "saved": "b", "exported": "c", "gap": 2e-5}]
    lines = replace(exported, certificate=proof).remarks()
    assert "onnx: 1 of them got another class, whose saved probability was at most 2.0e-05 lower" in lines[1]
