"""A user's own module trains, goes on, is evaluated, reported and compared like a built-in model."""

import shutil
from functools import partial

import numpy as np
import own_models
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import tenfold
from tenfold.core.errors import InputError
from tenfold.models import named_model
from tenfold.sweeps.drive import Driver
from tenfold.training.learner import Learner

pytestmark = pytest.mark.usefixtures("undrawn")
QUICK = {"fit.epochs": 2, "fit.batch_size": 100}


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("own")
    return tenfold.train(model=own_models.make, data="digits", out=out, overrides=QUICK, progress=False)


def test_it_trains_and_reports(own_run):
    assert own_run.metrics["test"]["accuracy"] > 0.3
    assert own_run.metrics["training"]["parameters_trainable"] == 8 * 9 + 8 + 16 + 128 * 10 + 10
    assert own_run.recipe.model.name == "own"
    assert (own_run.path / "gradcam.npz").is_file()
    assert "Conv2d" in (own_run.path / "layers.json").read_text()
    assert "own_models:make" in (own_run.path / "report.html").read_text()


def test_every_command_that_is_stated_hands_it_over(own_run, tmp_path):
    end = "--model own_models:make --trust-code"
    for said in (own_run.predict_command, own_run.train_command(), own_run.command("resume")):
        assert said.endswith(end), said
    page = (own_run.path / "report.html").read_text()
    assert page.count(f"picture.jpg {end}") == 1
    assert f"--data digits {end} fit.seed=1" in page
    unnamed = tenfold.train(
        model=own_models.make((1, 8, 8), 10), data="digits", out=tmp_path, overrides=QUICK, progress=False
    )
    assert unnamed.predict_command.endswith("picture.jpg --model PACKAGE.MODULE:NAME --trust-code")


def test_it_is_opened_and_evaluated_only_when_it_is_handed_over(own_run):
    before = own_run.metrics["test"]["accuracy"]
    for verb in (tenfold.evaluate, tenfold.resume, tenfold.renew_report):
        with pytest.raises(InputError, match="add --model own_models:make --trust-code"):
            verb(own_run.path)
    again = tenfold.evaluate(own_run.path, model=own_models.make, progress=False)
    assert again.metrics["test"]["accuracy"] == before
    tenfold.renew_report(own_run.path, model=own_models.make)
    opened = tenfold.load_run(own_run.path, model=own_models.make).model()
    images = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    assert torch.equal(opened(images), own_run.model()(images))
    with pytest.raises(InputError, match="other layers"):
        tenfold.load_run(own_run.path, model=own_models.wider).model()


@pytest.mark.slow
def test_it_predicts_and_is_served_and_exported(own_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(own_run.path, run)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    with pytest.raises(InputError, match="add --model own_models:make --trust-code"):
        tenfold.predict(run, images)
    with pytest.raises(InputError, match="add --model own_models:make --trust-code"):
        tenfold.serve(run, port=0)
    with pytest.raises(InputError, match="other layers"):
        tenfold.predict(run, images, model=own_models.wider)
    answers = tenfold.predict(run, images, model=own_models.make)
    wanted = own_run.model()(torch.from_numpy(images).movedim(3, 1)).detach().numpy()
    np.testing.assert_allclose(answers.logits, wanted, atol=1e-5)
    opened = tenfold.load_run(run, model=own_models.make)
    assert opened.predict(images).predicted == answers.predicted
    with tenfold.serve(run, port=0, model=own_models.make, corrections=tmp_path / "corrections") as server:
        assert server.model.predictor.name == "ONNX Runtime"
        served = server.model.predictor.logits(images)
    np.testing.assert_allclose(served, wanted, atol=1e-5)
    exported = tenfold.export(run, model=own_models.make)
    assert tenfold.predict(exported.path, images).predicted == answers.predicted
    with pytest.raises(InputError, match="whose model is in it"):
        tenfold.predict(exported.path, images, model=own_models.make)


def test_an_interrupted_run_goes_on_to_the_same_weights(own_run, tmp_path, monkeypatch):
    run_epoch = Learner.run_epoch

    def interrupted(self):
        if self.state.epoch == 1:
            raise KeyboardInterrupt
        return run_epoch(self)

    monkeypatch.setattr(Learner, "run_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tenfold.train(model=own_models.make, out=tmp_path, name="cut", overrides=QUICK, progress=False)
    monkeypatch.setattr(Learner, "run_epoch", run_epoch)
    run = tenfold.resume(tmp_path / "cut", model=own_models.make, progress=False)
    mine, whole = (load_file(r.path / "model.safetensors") for r in (run, own_run))
    assert mine.keys() == whole.keys()
    assert all(torch.equal(mine[name], whole[name]) for name in whole)


@pytest.mark.slow
def test_a_module_is_trained_as_a_copy_and_compared_with_a_built_in_model(own_run, tmp_path):
    torch.manual_seed(0)
    mine = own_models.make((1, 8, 8), 10)
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    run = tenfold.train(model=mine, out=tmp_path, overrides=QUICK, progress=False)
    assert all(torch.equal(value, before[name]) for name, value in mine.state_dict().items())
    assert tenfold.evaluate(run, progress=False).metrics["test"]["accuracy"] > 0.3
    other = tenfold.train("digits", out=tmp_path, overrides={"fit.epochs": 1}, progress=False)
    tenfold.compare([own_run.path, other.path], tmp_path / "comparison")
    assert (tmp_path / "comparison").is_dir()


def test_the_recipes_own_options_do_not_pass_in_silence(tmp_path):
    with pytest.raises(InputError, match=r"model\.filters: 'own' has no such option"):
        tenfold.train(model=own_models.make, out=tmp_path, overrides={"model.filters": [4]}, progress=False)


@pytest.mark.slow
def test_from_the_shell_it_is_named_and_confirmed(tmp_path, command):
    shutil.copy(own_models.__file__, tmp_path / "mine.py")
    words = (
        "train",
        "--data",
        "digits",
        "--out",
        "out",
        "--name",
        "one",
        "fit.epochs=1",
        "--model",
        "mine:make",
    )
    refused = command(*words, folder=tmp_path)
    assert refused.status == 2
    assert "add --trust-code" in refused.err
    assert not (tmp_path / "out").exists()
    done = command(*words, "--trust-code", folder=tmp_path)
    assert done.status == 0, done.err
    for verb in ("evaluate", "report", "resume"):
        alone = command(verb, "out/one", folder=tmp_path)
        assert alone.status == 2
        assert "add --model mine:make --trust-code" in alone.err
    done = command("evaluate", "out/one", "--model", "mine:make", "--trust-code", folder=tmp_path)
    assert done.status == 0, done.err
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    for words in (("predict", "out/one", "black.png", "--format", "csv"), ("export", "out/one")):
        alone = command(*words, folder=tmp_path)
        assert alone.status == 2
        assert "add --model mine:make --trust-code" in alone.err
        done = command(*words, "--model", "mine:make", "--trust-code", folder=tmp_path)
        assert done.status == 0, done.err
    # The first prediction left an ONNX model, which is data and no code.
    assert command("predict", "out/one", "black.png", "--format", "csv", folder=tmp_path).status == 0
    assert np.isfinite(tenfold.load_run(tmp_path / "out" / "one").metrics["test"]["accuracy"])


@pytest.mark.slow
def test_a_sweep_varies_what_is_around_it(tmp_path, monkeypatch, command):
    shutil.copy(own_models.__file__, tmp_path / "swept.py")
    monkeypatch.chdir(tmp_path)
    words = ("sweep", "--data", "digits", "--name", "lr", "optimizer.lr=0.01,0.1", "fit.epochs=1")
    with pytest.raises(InputError, match="trials run in processes of their own"):
        tenfold.sweep(space={"optimizer.lr": [0.1]}, model=lambda image_shape, classes: None)
    refused = command(*words, "--model", "swept:make")
    assert refused.status == 2
    assert "add --trust-code" in refused.err
    done = command(*words, "--model", "swept:make", "--trust-code")
    assert done.status == 0, done.err
    (winner,) = (
        run for run in (tmp_path / "runs" / "lr").glob("trial-*") if (run / "metrics.json").is_file()
    )
    assert tenfold.load_run(winner).recipe.model.options["code"] == "swept:make"
    # The winner is tested, so that nothing of the module is needed any more.
    assert command("sweep", "--name", "lr").status == 0


def test_a_sweep_that_goes_on_imports_nothing_that_only_its_journal_names(tmp_path, monkeypatch, command):
    shutil.copy(own_models.__file__, tmp_path / "begun.py")
    monkeypatch.chdir(tmp_path)
    sweep = partial(tenfold.sweep, space={"optimizer.lr": [0.1]}, name="one", seeds=2, progress=False)
    monkeypatch.setattr(Driver, "run", lambda driver: False)
    own = named_model("begun:make", trusted=True)
    sweep(model=own, overrides=QUICK, minutes=1)
    monkeypatch.undo()
    refused = command("sweep", "--name", "one", "--out", tmp_path / "runs")
    assert refused.status == 2
    assert "add --model begun:make --trust-code" in refused.err
