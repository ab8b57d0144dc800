"""The command line, end to end on real data, and failures of the work."""

import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from small import SHAPES, SMALL, draw_pictures, words

from tenfold.runs.folder import load_run

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


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.usefixtures("undrawn")
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


# Failures of the work ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
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
