"""One preprocessing: what a run says of a picture is the same in evaluate, in predict, alone and in a folder."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from corpus import write_table
from images import class_folders, save, scene
from odd_pictures import odd_pictures
from PIL import Image
from small import words

import tenfold
from tenfold.core.errors import InputError
from tenfold.data.decode import Target
from tenfold.inference import decoding
from tenfold.inference.contract import read_contract
from tenfold.inference.opening import open_model
from tenfold.inference.pictures import Picture

CLASSES = ("2", "10", "Ärger", "日本")
# The largest difference of a probability between ONNX Runtime and PyTorch, and between one picture and a batch.
ROUNDING = 2e-6
QUICK = {"fit.epochs": 2, "model.filters": [4], "model.dense": 8, "augment": [], "data.image_size": 12}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, cache):
    """A run on class folders, and its test folder with files of every kind."""
    root = tmp_path_factory.mktemp("predict")
    for split in ("train", "validation"):
        for number, name in enumerate(CLASSES):
            for i in range(12):
                save(
                    root / split / name / f"{i}.png", scene(100 * number + i + (split == "train") * 7000, 12)
                )
    for number, name in enumerate(CLASSES):
        odd_pictures(root / "test" / name, seed=50 * number)
    (root / "test" / CLASSES[0] / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    run = tenfold.train(
        "digits",
        train=root / "train",
        validation=root / "validation",
        test=root / "test",
        out=root / "runs",
        name="run",
        overrides={**QUICK, "data.channels": "rgb", "data.bad_files_limit": 0.5},
        progress=False,
        device="cpu",
    )
    return root, run


@pytest.fixture
def ask(command):
    """`tenfold predict ARGUMENTS`: exit status, standard output and standard error."""

    def call(*arguments, stdin: bytes = b"") -> tuple[int, str, str]:
        answer = command("predict", *arguments, stdin=stdin)
        return answer.status, answer.out, answer.err

    return call


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


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


def test_the_command_answers_without_pytorch_once_the_run_is_prepared(trained, ask):
    root, run = trained
    picture = root / "test" / "2" / "exif6.jpg"
    first = ask(run.path, picture, "--format", "jsonl")
    assert first[0] == 0, first[2]
    code = "import sys; from tenfold.cli import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    line = [sys.executable, "-c", code, "predict", str(run.path), str(picture), "--format", "jsonl"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    answer, modules = done.stdout.splitlines()
    assert not {"torch", "scipy", "pyarrow", "sklearn", "pandas"} & set(modules.split())
    assert records(answer)[0]["predicted"] == records(first[1])[0]["predicted"]


def test_every_way_to_name_pictures_gives_the_same_answers(trained, tmp_path, ask):
    _, run = trained
    flat = tmp_path / "flat" / "deep"
    names = [p.name for p in odd_pictures(flat, seed=3)]
    (flat / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for name in names:
            archive.write(flat / name, f"inner/{name}")
    with tarfile.open(tmp_path / "flat.tar.gz", "w:gz") as archive:
        for name in names:
            archive.add(flat / name, f"inner/{name}")
    expected = tenfold.predict(run, tmp_path / "flat")
    assert [Path(path).name for path in expected.paths] == names
    ways = {
        "files": [str(flat / name) for name in names],
        "glob": [str(flat / "*.*g*"), str(flat / "*.bmp"), str(flat / "*.webp"), str(flat / "rare.*")],
        "zip": [str(tmp_path / "flat.zip")],
        "tar": [str(tmp_path / "flat.tar.gz")],
    }
    for way, given in ways.items():
        status, out, err = ask(run.path, *given, "--format", "jsonl")
        assert status == 0, (way, err)
        found = {Path(record["path"]).name: record for record in records(out)}
        assert sorted(found) == names, way
        for name, row in zip(names, expected.probabilities, strict=True):
            got = np.array(list(found[name]["probabilities"].values()), np.float32)
            assert np.abs(got - row).max() <= ROUNDING, (way, name)
            assert list(found[name]["probabilities"]) == list(CLASSES)


def test_names_and_pictures_come_on_standard_input(trained, tmp_path, ask):
    _, run = trained
    picture = save(tmp_path / "ä b.png", scene(5, 12))
    lines = f"{picture}\n{tmp_path}/missing.png\r\nhttps://localhost/x.png\n{tmp_path}\n"
    status, out, err = ask(run.path, "-", "--format", "jsonl", stdin=lines.encode())
    assert status == 1
    assert [record["path"] for record in records(out)] == [str(picture), str(picture)]
    assert "missing.png: cannot be read: there is no such file" in err
    assert "only where it is given on the command line" in err
    status, nul, _ = ask(run.path, "-", "--format", "jsonl", stdin=f"{picture}\0{picture}".encode())
    assert (status, nul) == (0, out)
    status, own, _ = ask(run.path, "-", "--format", "jsonl", stdin=picture.read_bytes())
    assert status == 0
    (alone,), listed = records(own), records(out)[0]
    for name, probability in alone["probabilities"].items():  # two in a batch differ from one by rounding
        assert abs(probability - listed["probabilities"][name]) <= ROUNDING
    numbers = {"path": "-", "probability": alone["probability"], "probabilities": alone["probabilities"]}
    assert alone == {**listed, **numbers}


def test_unreadable_files_are_listed_and_the_rest_goes_on(trained, tmp_path, ask):
    _, run = trained
    save(tmp_path / "good.png", scene(5, 12))
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    whole = save(tmp_path / "b.jpg", scene(6, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    status, out, err = ask(run.path, tmp_path, "--format", "csv")
    assert status == 1
    assert len(out.splitlines()) == 1 + 2
    for name in ("empty.png", "text.jpg", "cut.jpg", "gone.png"):
        assert f"{name}: cannot be read: " in err
    assert "4 of 6 pictures cannot be read" in err


@pytest.mark.parametrize("form", ["table", "csv", "jsonl", "parquet"])
def test_every_format_goes_to_a_file_and_nothing_is_left_half_written(trained, tmp_path, form, ask):
    root, run = trained
    out = tmp_path / f"answers.{form}"
    status, printed, err = ask(run.path, root / "validation", "--format", form, "--out", out)
    assert (status, printed) == (0, ""), err
    assert "48 pictures answered" in err
    assert "accuracy" in err
    if form == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(out)
        assert table.num_rows == 48
        assert table.column_names[-4:] == [f"probability:{name}" for name in CLASSES]
    else:
        assert len(out.read_text(encoding="utf-8").splitlines()) == 48 + (form == "csv")
    assert list(tmp_path.iterdir()) == [out]


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no pictures were named"),
        (("nowhere.png",), "no such file or folder"),
        (("digits", "--format", "xml"), "no such format"),
        (("digits", "--format", "parquet"), "--out FILE"),
        (("digits", "--accuracy", "95"), "between 0 and 1"),
        (("digits", "--conformal", "0.999"), "support at most"),
        (("digits", "--top", "2", "--format", "csv"), "a column for every class"),
        (("digits", "--out", "/dev/null"), "/dev/null: is no regular file"),
        (("digits", "--out", "no/such/folder.csv"), "there is no folder no/such"),
    ],
)
def test_calls_that_cannot_be_answered_end_with_two_before_anything_is_read(trained, arguments, message, ask):
    status, out, err = ask(trained[1].path, *arguments)
    assert (status, out) == (2, ""), err
    assert message in err
    assert "Traceback" not in err


def test_a_folder_that_is_no_run_is_refused(tmp_path, ask):
    status, _, err = ask(tmp_path, "digits")
    assert status == 2
    assert "neither a run folder nor an exported one" in err


def test_sets_unsure_and_top_are_said(trained, ask):
    root, run = trained
    status, out, _ = ask(
        run.path, root / "validation", "--format", "jsonl", "--conformal", "0.8", "--top", "2"
    )
    assert status == 0
    found = records(out)
    assert {"set", "unsure", "unlike"} <= set(found[0])
    covered = [Path(record["path"]).parent.name in record["set"] for record in found]
    assert np.mean(covered) >= 0.8
    assert all(len(record["probabilities"]) == 2 for record in found)
    assert all(isinstance(record["unsure"], bool) and isinstance(record["unlike"], bool) for record in found)


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


def test_pictures_without_a_class_of_the_model_are_said_not_to_count(trained, tmp_path, ask):
    _, run = trained
    for name in ("2", "elsewhere"):
        save(tmp_path / "some" / name / "a.png", scene(5, 12))
    status, _, err = ask(run.path, tmp_path / "some")
    assert status == 0
    assert "of 1 pictures are named" in err
    assert "1 picture not counted" in err


@pytest.mark.parametrize("form", ["csv", "jsonl", "table"])
def test_what_programs_read_is_utf8_whatever_the_terminals_language(trained, form):
    root, run = trained
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    line = words("predict", run.path, root / "test" / "日本" / "exif6.jpg", "--format", form)
    done = subprocess.run(line, capture_output=True, env=plain, timeout=400)
    assert done.returncode == 0, done.stderr
    assert ("Ärger" in done.stdout.decode("utf-8")) == (form != "table")


def test_an_empty_list_on_standard_input_is_an_error(trained, tmp_path, ask):
    _, run = trained
    status, out, err = ask(run.path, "-", "--format", "csv", "--out", tmp_path / "a.csv", stdin=b"\n\n")
    assert (status, out) == (2, "")
    assert "no pictures came" in err
    assert not list(tmp_path.iterdir())


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


@pytest.mark.parametrize("libspng", [True, False])
def test_what_libspng_decodes_and_what_pillow_does_come_in_order(tmp_path, libspng, monkeypatch):
    """PNG files, and then, from the same threads, others; at last so many others that processes take over."""
    if not libspng:
        monkeypatch.setattr(decoding, "png_decoder", lambda: None)
    target, pictures = Target(12, 12, 3), []
    for number in range(1500):
        plain = number < 800 and number % 5
        path = save(tmp_path / f"{number:04}.{'png' if plain else 'bmp'}", scene(number, 12))
        if number in {0, 255, 300, 900}:
            path.write_bytes(b"no picture")
        pictures.append(Picture(str(number), str(path), "2"))
    found = list(decoding.blocks(pictures, target, 100))
    expected, faults = decoding.decode_all([picture.encoded for picture in pictures], target)
    np.testing.assert_array_equal(np.concatenate([block.pixels for block in found]), expected)
    assert [len(block.names) for block in found] == [100] * 14 + [96]
    names = [name for block in found for name in block.names]
    assert names == [str(number) for number in range(1500) if faults[number] is None]
    unreadable = [fault for block in found for fault in block.unreadable]
    assert unreadable == [(str(number), faults[number]) for number in (0, 255, 300, 900)]


def test_evaluate_points_to_predict_for_pictures_without_labels(trained, tmp_path, command):
    _, run = trained
    save(tmp_path / "flat" / "a.png", scene(5, 12))
    answer = command("evaluate", run.path, "--data", tmp_path / "flat")
    assert answer.status == 2
    assert f"tenfold predict {run.path} {tmp_path / 'flat'}" in answer.err


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
