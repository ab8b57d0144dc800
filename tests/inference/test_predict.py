"""One preprocessing: what a run says of a picture is the same in evaluate, in predict, alone and in a folder."""

import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus import write_table
from images import class_folders, save, scene
from PIL import Image
from predicted import CLASSES, QUICK, ROUNDING

import tenfold
from tenfold.core.errors import InputError
from tenfold.inference.contract import read_contract
from tenfold.inference.opening import open_model


def test_the_runs_own_test_folder_is_answered_bit_for_bit(trained):
    root, run = trained
    saved = run.predictions("test")
    answers = tenfold.predict(run, root / "test", raw=True)
    assert [Path(path).relative_to(root).as_posix() for path in answers.paths] == list(saved.paths)
    np.testing.assert_array_equal(answers.probabilities, saved.probabilities)
    assert answers.predicted == [saved.class_names[index] for index in saved.predicted]
    assert answers.labels == [saved.class_names[index] for index in saved.labels]
    assert answers.class_names == saved.class_names == CLASSES
    assert [Path(name).name for name, _ in answers.unreadable] == ["broken.png"]
    assert answers.right == (int((saved.predicted == saved.labels).sum()), len(saved))


@pytest.mark.slow
def test_one_picture_alone_differs_from_the_folder_by_rounding_at_most(trained):
    root, run = trained
    together = tenfold.predict(run, root / "test", raw=True)
    model = open_model(run.path)
    if not model.has_onnx():
        model.make_onnx()
    for position, path in enumerate(together.paths[:18]):
        alone = tenfold.predict(run, path, raw=True)
        assert np.abs(alone.probabilities[0] - together.probabilities[position]).max() <= ROUNDING, path
        contents = tenfold.predict(run, Path(path).read_bytes(), raw=True)
        np.testing.assert_array_equal(contents.probabilities, alone.probabilities)


def test_python_takes_paths_pictures_arrays_and_lists_of_them(trained):
    root, run = trained
    path = root / "test" / "10" / "rgba.png"
    expected = run.predict(path)
    picture = Image.open(path)
    pixels = read_contract(run.path).pixels(str(path))
    batch = np.stack([pixels, pixels[::-1]])
    for given in (str(path), picture, pixels, [path], [picture, pixels], batch, batch[..., :1][0, ..., 0]):
        answers = tenfold.predict(run, given)
        assert answers.class_names == CLASSES
        if not (isinstance(given, np.ndarray) and given.ndim == 2):
            np.testing.assert_array_equal(answers.probabilities[0], expected.probabilities[0])
    assert len(tenfold.predict(run, batch)) == 2
    rotated = root / "test" / "10" / "exif6.jpg"
    np.testing.assert_array_equal(
        tenfold.predict(run, Image.open(rotated)).probabilities, tenfold.predict(run, rotated).probabilities
    )


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((12, 12, 3)), "numpy.rint\\(255"),
        (np.full((12, 12, 3), 200.0), "numpy.rint\\(x\\)"),
        (np.zeros((12, 12, 3), np.int64), "astype\\('uint8'\\)"),
        (np.full((12, 12, 3), -1.5), "Undo"),
        (np.zeros((3, 12, 12), np.uint8), "moveaxis"),
        (np.zeros((0, 12, 12, 3), np.uint8), "expected"),
        (np.zeros((12, 12, 2), np.uint8), "channels"),
        (3.5, "cannot be taken for pictures"),
        ("no/such/file.png", "no such file"),
        ("https://localhost/a.png", "command line only"),
        (b"", "empty"),
        (b"hello", "picture"),
    ],
)  # fmt: skip
def test_what_could_only_be_guessed_is_refused_with_the_remedy(trained, images, message):
    with pytest.raises(InputError, match=message):
        tenfold.predict(trained[1], images)


@pytest.mark.usefixtures("undrawn")
def test_a_run_without_a_contract_gets_what_its_predictions_allow_and_evaluate_makes_it_whole(
    trained, tmp_path
):
    _, run = trained
    old = tmp_path / "old"
    shutil.copytree(run.path, old)
    (old / "inference.json").unlink()
    model = open_model(old)
    whole = read_contract(run.path)
    assert model.contract.calibration == whole.calibration
    assert model.contract.familiarity is None
    assert "tenfold evaluate" in model.notes[0]
    tenfold.evaluate(old, progress=False, device="cpu")
    assert read_contract(old) == whole


@pytest.mark.slow
def test_a_contract_of_other_weights_is_not_believed(trained, tmp_path):
    _, run = trained
    other = tmp_path / "other"
    shutil.copytree(run.path, other)
    open_model(other).make_onnx()
    assert open_model(other).has_onnx()
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(bytes(weights))
    model = open_model(other)
    assert model.contract.calibration is None
    assert "weights have changed" in model.notes[0]
    assert not model.has_onnx()


def test_named_sources_and_arrays_are_answered_with_their_labels(trained, tmp_path):
    _, run = trained
    images = np.stack([scene(i, 12) for i in range(5)])
    np.savez(tmp_path / "some.npz", images=images, labels=np.array(["10", "2", "2", "Ärger", "other"]))
    answers = tenfold.predict(run, tmp_path / "some.npz")
    assert answers.labels == ["10", "2", "2", "Ärger", None]
    np.testing.assert_array_equal(answers.probabilities, tenfold.predict(run, images).probabilities)


def test_a_folder_named_after_a_class_labels_its_pictures_however_its_name_is_spelled(trained, tmp_path):
    _, run = trained
    decomposed = unicodedata.normalize("NFD", "Ärger")
    for name in (decomposed, "日本 ", "none"):
        save(tmp_path / name / "deep" / "a.png", scene(5, 12))
    answers = tenfold.predict(run, [tmp_path / decomposed, tmp_path / "日本 ", tmp_path / "none"])
    assert answers.labels == ["Ärger", "日本", None]
    assert tenfold.predict(run, tmp_path).labels == [
        None if "none" in p else p for p in answers_order(tmp_path)
    ]


def answers_order(folder: Path) -> list[str]:
    """The class folders of `folder` in the order of their files, as the model spells them."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    return [unicodedata.normalize("NFC", name.split("/")[0]).strip() for name in names]


def test_many_pictures_come_in_order_from_several_processes(trained, tmp_path):
    """More than are decoded before other processes are started, with unreadable ones among them."""
    _, run = trained
    class_folders(tmp_path / "many", {"2": 700, "10": 700})
    (tmp_path / "many" / "2" / "350x.png").write_bytes(b"no")
    answers = tenfold.predict(run, tmp_path / "many")
    assert len(answers) == 1400
    assert list(answers.paths) == sorted(answers.paths)
    some = [0, 1, 255, 256, 257, 700, 1399]
    single = tenfold.predict(run, [answers.paths[i] for i in some])
    assert np.abs(single.probabilities - answers.probabilities[some]).max() <= ROUNDING


def test_evaluate_points_to_predict_for_pictures_without_labels(trained, tmp_path, command):
    _, run = trained
    save(tmp_path / "flat" / "a.png", scene(5, 12))
    answer = command("evaluate", run.path, "--data", tmp_path / "flat")
    assert answer.status == 2
    assert f"tenfold predict {run.path} {tmp_path / 'flat'}" in answer.err


@pytest.mark.usefixtures("undrawn")
def test_one_labelled_picture_is_no_accuracy(trained, tmp_path, command):
    _, run = trained
    save(tmp_path / "one" / "2" / "a.png", scene(5, 12))
    answer = command("evaluate", run.path, "--data", tmp_path / "one")
    assert answer.status == 0, answer.err
    assert "of 1 test images, too few to state an accuracy" in answer.out
    assert "%" not in answer.out
    assert f"tenfold predict {run.path} picture.jpg" in answer.out


def test_labels_in_a_table_beside_the_pictures_are_judged(trained, tmp_path):
    """An image folder with its labels in metadata.csv, and a table of them alone: the accuracy is beside."""
    _, run = trained
    for i in range(6):
        save(tmp_path / CLASSES[0] / f"{i}.png", scene(i, 12))
    labels = [CLASSES[i % 4] for i in range(5)]
    names = [f"{CLASSES[0]}/{i}.png" for i in range(5)]
    table = write_table(tmp_path / "metadata.csv", {"file_name": names, "label": labels})
    answers = tenfold.predict(run, tmp_path)
    assert {Path(path).name: label for path, label in zip(answers.paths, answers.labels, strict=True)} == {
        **{f"{i}.png": label for i, label in enumerate(labels)},
        "5.png": None,
    }
    assert list(tenfold.predict(run, table).labels) == labels


def test_many_batches_side_by_side_get_the_bits_that_one_thread_gives(trained):
    _, run = trained
    pixels = np.random.default_rng(0).integers(0, 256, (700, 12, 12, 3), np.uint8)
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(run.predict(pixels))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert found[0].paths == found[1].paths == [f"image {number}" for number in range(700)]
    np.testing.assert_array_equal(found[0].logits, found[1].logits)


@pytest.mark.usefixtures("undrawn")
def test_a_test_folder_of_many_batches_is_answered_bit_for_bit(tmp_path, cache):
    """With a product whose sums depend, on some processors, on how many threads share it."""
    for split, count in {"train": 20, "validation": 20, "test": 300}.items():
        class_folders(tmp_path / split, {"2": count, "10": count})
    folders = {split: tmp_path / split for split in ("train", "validation", "test")}
    wide = {**QUICK, "fit.epochs": 1, "model.filters": [64], "model.dense": 128, "data.channels": "rgb"}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        run = tenfold.train(
            "digits", **folders, out=tmp_path / "runs", overrides=wide, progress=False, device="cpu"
        )
        answers = tenfold.predict(run, tmp_path / "test", raw=True, device="cpu")
    finally:
        torch.set_num_threads(threads)
    assert len(answers) == 600
    np.testing.assert_array_equal(answers.probabilities, run.predictions("test").probabilities)
