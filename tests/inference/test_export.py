import json
import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from odd_pictures import odd_pictures
from PIL import Image
from small import SMALL, draw_pictures
from torch import nn

import tenfold as public
from tenfold import load_run
from tenfold.core.errors import InputError, TenfoldError
from tenfold.inference import certificate, standalone
from tenfold.inference.certificate import Sample, Tolerance, certify
from tenfold.inference.contract import Contract, Reading, read_contract
from tenfold.inference.formats import Traced
from tenfold.inference.onnx_model import write_onnx
from tenfold.inference.predictor import softmax
from tenfold.inference.quantize import make_int8
from tenfold.models import build_model
from tenfold.recipe.components import Choice
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


@pytest.fixture(scope="module")
def shapes(finished, tmp_path_factory) -> Path:
    """A finished run of this module's own, and its exported folder within."""
    run = tmp_path_factory.mktemp("run") / "shapes"
    shutil.copytree(finished[0], run)
    public.export(run, format=("torch", "openvino"), license="cc0-1.0")
    return run


def run_script(folder: Path, *pictures: Path, python: str = sys.executable) -> list[dict]:
    """The answers of an exported folder's own `predict.py`."""
    done = subprocess.run(
        [python, folder / "predict.py", *pictures], capture_output=True, text=True, check=True, timeout=300
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


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


def test_the_folders_program_bears_odd_names_plain_terminals_and_readers_who_leave(shapes, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    odd = tmp_path / os.fsdecode(b"\xff\xe7\x8c\xab.png")
    shutil.copyfile(tmp_path / "a.png", odd)
    line = [sys.executable, shapes / "export" / "predict.py"]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*line, odd], capture_output=True, check=True, env=plain, timeout=300)
    assert json.loads(done.stdout)["path"] == str(odd)
    with subprocess.Popen([*line, *[odd] * 3000], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as leaving:
        assert leaving.stdout is not None
        assert leaving.stderr is not None
        leaving.stdout.readline()
        leaving.stdout.close()
        assert leaving.stderr.read() == b""


def test_the_card_has_the_hubs_header_and_the_runs_numbers(shapes):
    run = load_run(shapes)
    _, header, page = (shapes / "export" / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(header)
    assert about["license"] == "cc0-1.0"
    assert {"image-classification", "tenfold"} <= set(about["tags"])
    (result,) = about["model-index"][0]["results"]
    accuracy = run.metrics["test"]["accuracy"]
    assert result["metrics"][0]["value"] == pytest.approx(accuracy, abs=1e-6)
    assert result["dataset"]["name"] == "shapes"
    low, high = run.metrics["test"]["accuracy_ci95"]
    assert f"| accuracy | {accuracy:.2%} | {low:.2%} to {high:.2%} |" in page
    assert "## Intended use" in page
    assert "## Limits" in page


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


@pytest.mark.parametrize(
    ("shape", "reading"),
    [
        ((3, 24, 24), Reading()),
        ((1, 20, 20), Reading()),
        ((3, 18, 30), Reading()),
        ((3, 24, 24), Reading(fit="pad")),
        ((1, 18, 31), Reading(fit="pad", whole_range=(0.0, 4095.0), real_range=(0.5, 30.0))),
        ((3, 19, 30), Reading(fit="squash", whole_range=(100.0, 3000.0), real_range=(0.0, 255.0))),
    ],
)
def test_the_script_reads_every_kind_of_file_as_training_does(shape, reading, tmp_path):
    files = odd_pictures(tmp_path / "odd")
    picture = Image.open(tmp_path / "odd" / "large.jpg")
    small = picture.resize((31, 22))
    small.convert("P").save(tmp_path / "holes.png", transparency=3)
    small.save(tmp_path / "hole.png", transparency=small.getpixel((4, 4)))
    small.convert("F").point(lambda value: value / 255 + 0).save(tmp_path / "float.tif")
    picture.save(tmp_path / "several.jpg", format="MPO", save_all=True, append_images=[small])
    more = [tmp_path / name for name in ("holes.png", "hole.png", "float.tif", "several.jpg")]
    tall = picture.resize((15, 53))
    tall.save(tmp_path / "tall.png")
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(24, 50) * 3).save(tmp_path / "narrow.png")
    Image.fromarray(np.linspace(0.2, 40, 600, dtype=np.float32).reshape(20, 30)).save(tmp_path / "real.tif")
    more += [tmp_path / name for name in ("tall.png", "narrow.png", "real.tif")]
    for path in (*files, *more):
        contract = Contract(("a", "b"), shape, reading=reading)
        expected = contract.pixels(str(path))
        found = standalone.read(str(path), asdict(reading), *shape)
        assert found.tolist() == expected.tolist(), path.name


def test_run_folder_script_and_python_give_the_same_answers_for_every_kind_of_file(shapes, tmp_path, command):
    files = odd_pictures(tmp_path / "odd")
    own = run_script(shapes / "export", *files)
    keys = ("path", "predicted", "probability", "probabilities", "unsure")
    for model in (shapes, shapes / "export"):
        answer = command("predict", model, *files, "--format", "jsonl")
        assert answer.status == 0, answer.err
        lines = [json.loads(line) for line in answer.out.splitlines()]
        for line, expected in zip(lines, own, strict=True):
            assert [line[key] for key in ("path", "predicted", "unsure")] == [
                expected[key] for key in ("path", "predicted", "unsure")
            ]
            assert set(keys) <= line.keys()
            assert line["probabilities"] == pytest.approx(expected["probabilities"], abs=2e-6)
    answers = public.predict(shapes / "export", tmp_path / "odd")
    assert answers.predicted == [answer["predicted"] for answer in own]


def test_the_script_names_what_it_cannot_read_and_goes_on(shapes, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_text("no picture")
    script = shapes / "export" / "predict.py"
    command = [sys.executable, script, tmp_path / "bad.jpg", tmp_path / "good.png", tmp_path / "none.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == [str(tmp_path / "good.png")]
    assert "bad.jpg: " in done.stderr
    assert "none.png: " in done.stderr


@pytest.mark.slow
def test_the_folder_works_where_neither_tenfold_nor_pytorch_is_installed(shapes, pictures, tmp_path):
    venv.create(tmp_path / "fresh", with_pip=True)
    python = str(tmp_path / "fresh" / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "onnxruntime", "pillow", "numpy"], check=True, timeout=500
    )
    for package in ("torch", "tenfold"):
        assert (
            subprocess.run([python, "-c", f"import {package}"], cwd=tmp_path, capture_output=True).returncode
            == 1
        )
    folder = shutil.copytree(shapes / "export", tmp_path / "copied")
    files = sorted(pictures.rglob("*.png"))[:20]
    assert run_script(folder, *files, python=python) == run_script(shapes / "export", *files)


# What is refused ---------------------------------------------------------------------------------------------


def spoiled(run: Path) -> None:
    """Saved predictions in which one image's probabilities are exchanged."""
    path = run / "predictions" / "test.parquet"
    saved = load_run(run).predictions("test")
    probabilities = saved.probabilities.copy()
    probabilities[0] = np.roll(probabilities[0], 1)
    Predictions(saved.paths, saved.labels, probabilities, saved.class_names).write(path)


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


def certified(logits: np.ndarray, saved: np.ndarray, temperature: float = 1.0) -> certificate.Finding:
    """What `certify` says of a model that gives these logits."""
    images = np.zeros((len(logits), 2, 2, 3), np.uint8)
    names = [f"{index}.png" for index in range(len(logits))]
    sample = Sample(names, images, np.zeros(len(logits), int), saved, "some")
    return certify(
        "onnx",
        lambda _: (logits, softmax(logits, temperature)),
        sample,
        ("a", "b"),
        1.0,
        Tolerance(1e-3, "for the test"),
    )


def test_a_flip_is_forgiven_only_where_the_two_classes_were_as_good_as_equal():
    saved = np.array([[0.5002, 0.4998], [0.9, 0.1]], np.float32)
    found = certified(np.log(np.array([[0.4999, 0.5001], [0.9, 0.1]], np.float32)), saved)
    assert (found.images, found.same_class) == (2, 1)
    (flip,) = found.near_ties
    assert (flip.path, flip.saved, flip.exported) == ("0.png", "a", "b")
    assert flip.gap == pytest.approx(0.0004, abs=1e-6)
    with pytest.raises(TenfoldError, match=r"differ by up to 0\.002.*0\.png.*1 of 2 images"):
        certified(np.log(np.array([[0.498, 0.502], [0.9, 0.1]], np.float32)), saved)


def test_numbers_that_are_none_and_a_wrong_temperature_are_beyond_tolerance():
    saved = np.array([[0.5, 0.5], [0.9, 0.1]], np.float32)
    with pytest.raises(TenfoldError, match=r"does not answer.*1\.png"):
        certified(np.array([[0.0, 0.0], [np.nan, 0.0]], np.float32), saved)
    with pytest.raises(TenfoldError, match="softmax of its logits"):
        certified(np.log(saved), saved, temperature=2.0)


def test_what_is_printed_says_what_was_compared_near_ties_and_where_it_lies(shapes):
    proof = json.loads((shapes / "export" / "certificate.json").read_text())
    exported = public.export(shapes, overwrite=True, format=("torch", "openvino"), license="cc0-1.0")
    lines = exported.remarks()
    assert lines == [
        f"compared on {proof['images']}, at most 0.0001 apart allowed",
        f"exported to {shapes / 'export'}",
    ]
    proof["formats"]["onnx"]["near_ties"] = [{"path": "a", "saved": "b", "exported": "c", "gap": 2e-5}]
    lines = replace(exported, certificate=proof).remarks()
    assert "onnx: 1 of them got another class, whose saved probability was at most 2.0e-05 lower" in lines[1]


# In integers of 8 bits -----------------------------------------------------------------------------------------


def test_int8_is_smaller_and_says_what_it_cost(shapes, tmp_path):
    exported = public.export(shapes, out=tmp_path / "export", quantize="int8", max_loss=0.5)
    cost, files = exported.certificate["int8"], exported.certificate["files"]
    assert cost["before"]["images"] == cost["after"]["images"] == len(load_run(shapes).splits().validation)
    assert cost["loss"] == pytest.approx(cost["before"]["accuracy"] - cost["after"]["accuracy"])
    low, high = cost["after"]["accuracy_ci95"]
    assert low <= cost["after"]["accuracy"] <= high
    assert "model-int8.onnx" in files
    operators = onnxruntime.InferenceSession(exported.path / "model-int8.onnx").get_outputs()
    assert [output.name for output in operators] == ["logits", "probabilities", "predicted"]
    assert "integers of 8 bits" in (exported.path / "README.md").read_text()


def test_int8_is_refused_where_it_loses_more_than_is_allowed(few_digits, tmp_path):
    """One channel that nothing reads is so large that 8 bits leave nothing of the others."""
    height, width = few_digits.image_shape[1:]
    model = build_model(Choice(name="single-conv", filters=16, dense=16), (1, height, width), 10, seed=1)
    convolution, dense = model.network[0], model.network[4]
    with torch.no_grad():
        convolution.weight[0] = 1e5
        dense.weight.view(16, -1, 16)[:, :, 0] = 0
    images = few_digits.validation.images(slice(None))
    with torch.inference_mode():
        own = model.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).argmax(1).numpy()
    assert len(set(own.tolist())) > 1
    # The labels are what the model says: it is right throughout, before.
    splits = replace(few_digits, validation=replace(few_digits.validation, labels=own))
    write_onnx(model, tmp_path / "model.onnx", splits.class_names)
    with pytest.raises(TenfoldError, match=r"falls from 100\.00% .*more than --max-loss 0\.01 allows"):
        make_int8(tmp_path, model, splits, 0.01)
    assert make_int8(tmp_path, model, splits, 1.0)["loss"] > 0.01


def test_the_matrices_that_resize_images_stay_exact(few_digits, tmp_path):
    import onnx

    options = {"backbone": "test_efficientnet", "weights": "none", "image_size": 32}
    model = build_model(Choice(name="backbone", **options), few_digits.image_shape, 10)
    Traced(model, Contract(few_digits.class_names, model.image_shape)).save_onnx(tmp_path / "model.onnx")
    make_int8(tmp_path, model, few_digits, 1.0)
    graph = onnx.load(tmp_path / "model-int8.onnx").graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    (resizing,) = {name for node in graph.node for name in node.input if name.endswith("resize.rows")}
    (product,) = [node for node in graph.node if resizing in node.input]
    assert product.op_type == "MatMul"
    assert "DequantizeLinear" not in {makers.get(name) for name in product.input}
    assert "DequantizeLinear" in makers.values()
