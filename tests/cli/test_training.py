"""`tenfold train` with input that cannot be used: a message with the remedy, and nothing left behind."""

from pathlib import Path

import pytest
import torch
from small import SMALL, draw_pictures


@pytest.fixture
def refused(command, tmp_path):
    """Call `tenfold train` with input that cannot be used; give its message. Nothing may be left behind."""

    def call(*arguments: str | Path, status: int = 2) -> str:
        answer = command("train", *arguments, *(() if "--out" in arguments else ("--out", tmp_path / "runs")))
        assert answer.status == status
        assert answer.err.startswith("tenfold: ")
        assert "Traceback" not in answer.err
        assert not (tmp_path / "runs").exists(), "an error of the input must leave no run behind"
        return answer.err

    return call


def test_no_such_folder(refused, tmp_path):
    assert f"{tmp_path / 'none'}: there is no such folder" in refused("--data", tmp_path / "none")
    assert f"{tmp_path / 'none'}: there is no such folder" in refused("--train", tmp_path / "none")


def test_an_empty_folder(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    message = refused("--data", tmp_path / "empty")
    assert f"{tmp_path / 'empty'}: it holds no images. Expected one folder for each class" in message


def test_one_class_only(refused, tmp_path):
    message = refused("--data", draw_pictures(tmp_path / "one", ("cat",), 4))
    assert "only one class, 'cat'" in message
    assert "Put the images of each class in a folder named by the class" in message


def test_an_empty_class_folder(refused, tmp_path):
    source = draw_pictures(tmp_path / "source", ("cat", "dog"), 4)
    (source / "[eel]").mkdir()
    message = refused("--data", source)
    assert (
        f"{source / '[eel]'}: the class folder holds no images. Put images of the class in it, or remove it"
        in message
    )


@pytest.mark.parametrize("split", ["validation", "test"])
def test_classes_that_training_does_not_have(split, refused, tmp_path):
    for name in ("train", "validation", "test"):
        draw_pictures(tmp_path / name, ("cat", "dog", "eel") if name == split else ("cat", "dog"), 3)
    message = refused(
        *(word for name in ("train", "validation", "test") for word in (f"--{name}", tmp_path / name))
    )
    assert f"the {split} split has 1 class that training does not have: 'eel'" in message
    assert "Rename or remove the folder" in message


def test_images_directly_in_the_root(refused, tmp_path):
    source = draw_pictures(tmp_path / "source", ("cat", "dog"), 4)
    (source / "cat" / "00.png").rename(source / "stray.png")
    message = refused("--data", source)
    assert f"{source}: it holds 1 image outside of class folders, for instance stray.png" in message
    assert "Expected one folder for each class" in message


def test_an_unreadable_recipe(refused, tmp_path):
    (tmp_path / "mine.toml").write_text("[model\n")
    message = refused(tmp_path / "mine.toml")
    assert f"{tmp_path / 'mine.toml'}: cannot be read as TOML" in message
    assert "Mend the file" in message


def test_unknown_keys_and_wrong_types_are_reported_together(refused):
    message = refused("digits", "fit.epoch=3", "fit.batch_size=big", "optimizer.lr=fast")
    assert "fit.epoch: there is no such key (did you mean 'epochs'?)" in message
    assert "fit.batch_size='big': input should be a valid integer" in message
    assert "optimizer.lr='fast': input should be a valid number" in message


def test_an_unknown_metric(refused):
    message = refused("digits", "stop.monitor=val_f1")
    assert "stop.monitor='val_f1': no metric 'val_f1'" in message
    assert (
        "valid: validation_loss, validation_accuracy, validation_f1_macro, validation_balanced_accuracy, "
        in message
    )


def test_unwritable_output(refused, tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "runs", Path("/proc/runs")):
        message = refused("digits", *SMALL, "--out", place)
        assert f"{place}: cannot be written" in message
        assert "Choose another folder with --out" in message


def test_an_existing_run_is_not_overwritten_without_being_told(finished, command):
    folder, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    answer = command("train", "digits", *SMALL, "--out", folder.parent, "--name", folder.name)
    assert answer.status == 2
    assert (
        f"{folder}: exists already. Choose another --name, or give --overwrite to replace it." in answer.err
    )
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is present here")
def test_cuda_asked_for_and_absent(refused):
    message = refused("digits", "--device", "cuda")
    assert "--device cuda: PyTorch" in message
    assert "Use --device cpu (or auto)" in message


def test_a_device_that_does_not_exist(refused):
    assert "--device gpu: there is no such device (did you mean 'cpu'?)" in refused(
        "digits", "--device", "gpu"
    )


def test_images_too_small_for_the_model(refused):
    message = refused("digits", "model.filters=[4, 4, 4, 4]")
    assert "images of 8x8 are too small for this model" in message
    assert "Set a larger data.image_size, or fewer model.filters" in message


@pytest.mark.parametrize("verb", ["resume", "evaluate"])
def test_what_is_no_run_folder(verb, command, pictures):
    answer = command(verb, pictures)
    assert answer.status == 2
    assert f"{pictures}: is not a run folder (it has no recipe.toml). `tenfold train` makes one" in answer.err


@pytest.mark.parametrize("word", ["data.zip", "photos/", "./photos", "photos/cats.tar.xz", "labels.csv"])
def test_a_missing_source_in_a_recipes_place_is_no_recipe(refused, word):
    said = refused(word)
    assert "there is no such folder or file" in said
    assert "recipe" not in said


def test_an_address_is_repeated_as_it_was_given(refused):
    assert "ftp://example.org/a//b.zip: at an address, only shards" in refused(
        "--data", "ftp://example.org/a//b.zip"
    )


def test_a_run_folder_that_is_not_there(command):
    answer = command("evaluate", "runs/nosuch")
    assert answer.status == 2
    assert "runs/nosuch: there is no such folder. `tenfold train` makes one below runs/" in answer.err
