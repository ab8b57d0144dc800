"""The command line, end to end on real data, and what it answers to input that cannot be used."""

import resource
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from small import SHAPES, SMALL, Answer, draw_pictures, tenfold, words

from tenfold.recipe import builtin_recipes
from tenfold.runs.folder import load_run


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


# End to end --------------------------------------------------------------------------------------------------


def test_digits_are_trained_tested_and_reported_without_naming_recipe_data_or_folder(demo_answer):
    folder, answer = demo_answer
    assert answer.status == 0, answer.err
    assert answer.err == ""
    assert "\x1b" not in answer.out
    run = load_run(folder / "runs" / "digits-1")
    assert run.metrics["test"]["n"] == run.data["splits"]["test"]["images"] > 150
    assert run.metrics["test"]["accuracy"] > 0.5
    assert answer.out.splitlines()[-2] == f"report         {Path('runs') / 'digits-1' / 'report.html'}"
    assert answer.out.splitlines()[-1].startswith(
        f"next           tenfold predict {Path('runs') / 'digits-1'} "
    )
    assert f"test accuracy  {run.metrics['test']['accuracy']:.2%} (95% interval" in answer.out
    assert run.report.stat().st_size > 10_000


def test_a_folder_of_pictures_is_trained_tested_and_reported(finished):
    folder, answer = finished
    run = load_run(folder)
    assert answer.err == ""
    assert "images of 16x16 in 3 classes: 36 train, 6 validation, 6 test" in answer.out
    assert len([line for line in answer.out.splitlines() if line.startswith("epoch ")]) == 2
    assert set(run.metrics["test"]["per_class"]) == set(SHAPES)
    assert sum(map(sum, run.metrics["test"]["confusion_matrix"])) == 6


def test_folders_for_each_split_train_by_folder_and_evaluate_again(command, tmp_path):
    for name, count in (("train1", 8), ("train3", 6), ("train2", 4), ("test", 4)):
        draw_pictures(tmp_path / name, ("[cat]", "dog"), count)
    folders = ("--train", "train1", "--train", "train3", "--validation", "train2", "--test", "test")
    folders = tuple(word if word.startswith("--") else tmp_path / word for word in folders)
    out = tmp_path / "runs"
    options = ("--seed", "7", "--out", out, "--name", "[1]")
    answer = command("train", "digits", *SMALL, "fit.batches=folder", *folders, *options)
    assert answer.status == 0, answer.err
    assert f"{out}/[1]" in answer.out
    run = load_run(out / "[1]")
    assert (run.recipe.fit.seed, run.recipe.fit.batches) == (7, "folder")
    assert run.class_names == ("[cat]", "dog")
    assert [run.data["splits"][name]["images"] for name in ("train", "validation", "test")] == [28, 8, 8]
    assert run.data["splits"]["train"]["folders"] == [16, 12]
    before = run.predictions("test").probabilities.tolist()
    (run.path / "metrics.json").unlink()
    again = command("evaluate", run.path)
    assert again.status == 0, again.err
    assert run.predictions("test").probabilities.tolist() == before
    assert f"test accuracy  {run.metrics['test']['accuracy']:.2%}" in again.out


def test_a_model_is_tested_on_another_source_without_touching_its_own_results(finished, command, tmp_path):
    run = load_run(shutil.copytree(finished[0], tmp_path / "run"))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    other = draw_pictures(tmp_path / "elsewhere", SHAPES, 5)
    answer = command("evaluate", run.path, "--data", other)
    assert answer.status == 0, answer.err
    assert "of 15 test images, too few to state an accuracy" in answer.out
    assert (run.path / "evaluations" / "elsewhere" / "metrics.json").is_file()
    assert all(path.read_bytes() == content for path, content in before.items())
    strange = draw_pictures(tmp_path / "strange", ("circle", "heptagon"), 5)
    refused = command("evaluate", run.path, "--data", strange)
    assert refused.status == 2
    assert "heptagon" in refused.err


def test_recipes_are_listed_and_shown(command):
    listed = command("recipes")
    assert listed.status == 0
    assert all(name in listed.out for name in builtin_recipes())
    shown = command("show", "model-s-baseline", "fit.epochs=3")
    assert shown.status == 0
    assert "epochs = 3" in shown.out
    assert "156,074 parameters, 156,074 of them trainable" in shown.out
    wrong = command("show", "model-s-basline")
    assert wrong.status == 2
    assert "did you mean 'model-s-baseline'?" in wrong.err


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("resume", "--help")])
def test_help_ends_with_status_0(command, arguments):
    answer = command(*arguments)
    assert answer.status == 0
    assert "Usage: tenfold" in answer.out


@pytest.mark.parametrize(
    "arguments", [("trian",), ("train", "--sed", "3"), ("train", "--seed", "x"), ("resume",)]
)
def test_a_wrong_call_ends_with_status_2(command, arguments):
    answer = command(*arguments)
    assert answer.status == 2
    assert "Usage: tenfold" in answer.err


def test_the_public_functions_do_the_same_in_python(tmp_path):
    import tenfold

    run = tenfold.train(
        "digits",
        out=tmp_path,
        overrides={"model.filters": (4,), "model.dense": 8, "augment": [], "fit.epochs": 1},
        seed=5,
        progress=False,
    )
    assert run.recipe.fit.seed == 5
    assert run.metrics["training"]["epochs"] == 1
    splits = tenfold.load_splits("digits", test_fraction=0.2)
    assert len(splits.test) == pytest.approx(0.2 * 1797, abs=5)
    with pytest.raises(
        tenfold.InputError, match=r"data\.test_fractoin: .* \(did you mean 'test_fraction'\?\)"
    ):
        tenfold.load_splits("digits", test_fractoin=0.2)


# Input that cannot be used -----------------------------------------------------------------------------------


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
    assert f"the {split} split has class(es) that training does not have: 'eel'" in message
    assert "Rename or remove the folder" in message


def test_images_directly_in_the_root(refused, tmp_path):
    source = draw_pictures(tmp_path / "source", ("cat", "dog"), 4)
    (source / "cat" / "00.png").rename(source / "stray.png")
    message = refused("--data", source)
    assert f"{source}: 1 image(s) lie directly in it, for instance stray.png" in message
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


def test_an_error_in_a_process_of_its_own(tmp_path):
    answer = tenfold("train", "--data", "none", folder=tmp_path)
    assert answer == Answer(2, "", answer.err)
    assert answer.err.startswith("tenfold: none: there is no such folder")
    assert list(tmp_path.iterdir()) == []


# Failures of the work ----------------------------------------------------------------------------------------


def test_a_loss_that_becomes_nan_ends_with_status_1_and_the_best_model(command, tmp_path):
    """One step an epoch: the first with a rate of zero, the second with one that no network survives."""
    rates = ("optimizer.name=sgd", "optimizer.lr=1e38", "schedule.name=one-cycle", "schedule.start=0.0")
    answer = command(
        "train", "digits", *SMALL, *rates, "fit.batch_size=2000", "--out", tmp_path, "--name", "nan"
    )
    run = tmp_path / "nan"
    assert answer.status == 1
    reason = "the validation loss became nan after epoch 2"
    assert answer.err == f"tenfold: {run}: {reason}. The results are those of epoch 1.\n"
    assert f"stopped        {reason}; best epoch 1, restored" in answer.out
    assert load_run(run).metrics["training"]["failed"] is True
    assert (run / "report.html").is_file()


def test_a_first_epoch_without_a_model_ends_with_status_1_and_the_remedy(command, tmp_path):
    rates = ("optimizer.name=sgd", "optimizer.lr=1e38", "schedule.name=constant")
    answer = command("train", "digits", *SMALL, *rates, "--out", tmp_path, "--name", "nan")
    assert answer.status == 1
    assert "no epoch ended with a usable model: the loss became nan at step 2 of epoch 1" in answer.err
    assert "a lower optimizer.lr is the usual remedy" in answer.err


def test_a_full_disk_ends_with_status_1_and_the_run_goes_on_later(command, tmp_path):
    """The kernel refuses to write files beyond a limit, as it does on a full disk."""
    limit = 60_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    arguments = ("train", "digits", "model.filters=[4]", "model.dense=600", "fit.epochs=2", "--out", tmp_path)
    done = subprocess.run(
        words(*arguments, "--name", "full"), preexec_fn=limited, capture_output=True, text=True, timeout=400
    )
    run = tmp_path / "full"
    assert done.returncode == 1
    assert (
        f"{run / 'model.safetensors'}: the disk is full (File too large). Free some space there"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert not list(run.rglob("*.tmp"))
    assert not (run / "model.safetensors").exists()
    assert command("resume", run).status == 0
    assert (run / "model.safetensors").stat().st_size > limit


def test_the_version_is_said_as_the_package_has_it(command):
    answer = command("--version")
    assert (answer.status, answer.out) == (0, f"tenfold {version('tenfold')}\n")


def test_letters_that_the_terminal_lacks_are_escaped(tmp_path, command):
    draw_pictures(tmp_path / "pictures", ("a\u2215b", "d\u00f6g"), 8)
    answer = command("inspect", "pictures", folder=tmp_path, encoding="ascii")
    assert answer.status == 0
    assert "a\\u2215b" in answer.out
    assert "d\\xf6g" in answer.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
@pytest.mark.parametrize(
    "arguments", [("recipes",), ("--version",), ("--help",), ("inspect", "digits", "--json")]
)
def test_output_that_cannot_be_written_is_said(arguments, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            words(*arguments), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=200
        )
    assert done.returncode == 1
    assert done.stderr == "tenfold: the output cannot be written: No space left on device.\n"


@pytest.mark.parametrize("word", ["data.zip", "photos/", "./photos", "photos/cats.tar.xz", "labels.csv"])
def test_a_missing_source_in_a_recipes_place_is_no_recipe(refused, word):
    said = refused(word)
    assert "there is no such folder or file" in said
    assert "recipe" not in said


def test_an_address_is_repeated_as_it_was_given(refused):
    assert "ftp://example.org/a//b.zip: only http(s) addresses are fetched" in refused(
        "--data", "ftp://example.org/a//b.zip"
    )


LIMITED = """
import resource, sys
import tenfold.workbench.verbs
from tenfold.cli import main
resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, resource.RLIM_INFINITY))
sys.argv = ["tenfold", "train", "digits", "model.dense=40000000", "fit.epochs=1", "--out", sys.argv[1]]
main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs the limit of the Linux kernel")
def test_used_up_memory_is_told_with_what_to_lower(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert done.stderr.startswith("tenfold: the memory is used up (")
    assert "Halve fit.batch_size or data.image_size" in done.stderr
    assert "Traceback" not in done.stderr
