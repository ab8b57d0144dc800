"""Which recipe for a source: by the size of its images, the weights at hand, and the time there is."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest
import torch
from photographs import crop_photographs, missing
from small import draw_pictures

import tenfold
from tenfold.data import Source, read_splits, typical_size
from tenfold.recipe import Data, load_recipe
from tenfold.runs.folder import load_run
from tenfold.workbench import budget as planning
from tenfold.workbench import task
from tenfold.workbench.budget import make_plan, suitable_plan
from tenfold.workbench.candidates import image_seconds
from tenfold.workbench.clock import Clock, figure_seconds
from tenfold.workbench.improve import side
from tenfold.workbench.ladder import LADDER
from tenfold.workbench.probe import Evidence, Point
from tenfold.workbench.progress import display_for
from tenfold.workbench.task import read_task

CPU = torch.device("cpu")


SILENT = display_for(False)


def plan_for(source: Source, minutes: float):
    """A plan whose time begins now."""
    return make_plan(source, minutes, CPU, 0, SILENT, perf_counter())


@pytest.fixture
def no_weights(monkeypatch):
    """No weights of a backbone are on this machine."""
    monkeypatch.setattr(task, "local_weights", lambda backbone: None)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Forty photographs of unequal sizes."""
    if reason := missing():
        pytest.skip(reason)
    return crop_photographs(tmp_path_factory.mktemp("photographs"), 40)


def test_the_digits_have_a_recipe_of_their_own():
    plan = suitable_plan(Source("digits"), CPU, 0, SILENT)
    assert (plan.name, plan.recipe) == ("digits", load_recipe("digits"))


@pytest.mark.slow
def test_photographs_go_through_a_backbone_and_the_plan_says_why(photographs):
    plan = suitable_plan(Source(str(photographs)), CPU, 0, SILENT)
    assert plan.name == "backbone"
    assert "features reach" in plan.words


@pytest.mark.slow
def test_without_a_backbones_weights_photographs_are_learned_from_scratch(photographs, no_weights):
    plan = suitable_plan(Source(str(photographs)), CPU, 0, SILENT)
    assert plan.name == "fast-90"
    assert "no weights of a backbone are on this machine" in plan.words
    recipe = plan.recipe
    assert recipe.data.image_size == min(128, typical_size(Data(), Source(str(photographs))))
    assert recipe.model.options["patch"] == 2 * recipe.model.options["stride"] > 2
    assert recipe.fit.epochs > load_recipe("fast-90").fit.epochs, "few images take more epochs"
    splits = read_splits(recipe.data, Source(str(photographs)))
    assert image_seconds(load_recipe(recipe, {"fit.batch_size": 8}), splits, CPU) > 0


@pytest.mark.slow
def test_what_is_said_of_the_data_holds_for_the_plan(pictures, no_weights):
    data = ["data.image_size=24", "data.split_seed=5", "data.validation_fraction=0.25"]
    plan = suitable_plan(Source(str(pictures)), CPU, 0, SILENT, data)
    assert (plan.recipe.data.image_size, plan.recipe.data.split_seed) == (24, 5)
    assert plan.recipe.data.validation_fraction == 0.25


@pytest.mark.slow
def test_a_plan_has_a_fast_recipe_and_leaves_time_for_the_report(pictures, no_weights):
    plan = plan_for(Source(str(pictures)), 1.0)
    assert plan.name in LADDER
    assert plan.recipe.fit.epochs >= 1
    assert plan.recipe.fit.minutes is None or plan.recipe.fit.minutes < 1.0
    assert plan.name in plan.words


@pytest.mark.slow
def test_more_time_gives_no_smaller_a_network(tmp_path, no_weights):
    folder = draw_pictures(tmp_path / "more", ("a", "b"), 120)
    places = [LADDER.index(plan_for(Source(str(folder)), minutes).name) for minutes in (0.35, 60.0)]
    assert places == sorted(places)
    assert LADDER[places[1]] == "fast-94", "240 pictures leave time for the largest"


@pytest.mark.slow
def test_photographs_are_planned_at_the_largest_size_there_is_time_for(photographs):
    plan = plan_for(Source(str(photographs)), 30.0)  # enough on any machine, however busy
    assert plan.name == "backbone"
    assert plan.recipe.model.options["image_size"] == 224
    photos = read_task(Source(str(photographs)), 0, lambda done, total: None, ())
    over = Clock(perf_counter(), 0.1)
    unmeasured = Evidence((), (), True, "", 1)
    assert not list(planning._through_backbone(photos, unmeasured, over, CPU))
    ample = Clock(perf_counter() + 3600, 0.1)
    sizes = [side(found.recipe) for found, _ in planning._through_backbone(photos, unmeasured, ample, CPU)]
    assert sizes == [96], "where nothing could be measured, one size is exported: the quickest"


@pytest.mark.parametrize(
    ("seconds", "backbone", "probed"), [(1000, True, True), (100, True, False), (25, False, True)]
)
def test_few_images_go_through_a_backbone_unmeasured_before_it_is_given_up(
    pictures, monkeypatch, seconds, backbone, probed
):
    """Opening one takes 28 s here: little of 1000 s, at most half of what is left of 100, and too much of 25."""
    monkeypatch.setattr(planning, "cached_graphs", list)
    task = read_task(Source(str(pictures)), 0, lambda done, total: None, ())
    assert task.backbone is not None
    left, there_is_time = planning._what_there_is_time_for(task, Clock(perf_counter() + seconds, 28 / 21))
    assert (left.backbone is not None, there_is_time) == (backbone, probed)
    assert left.missing == ("" if backbone else "there is no time to open a backbone")
    monkeypatch.setattr(planning, "MANY", 1)
    many, there_is_time = planning._what_there_is_time_for(task, Clock(perf_counter() + seconds, 28 / 21))
    assert (many.backbone is not None, there_is_time) == (seconds == 1000, True), "many have to be measured"


def test_what_a_report_takes_is_measured_and_kept_back(pictures, monkeypatch, no_weights):
    assert figure_seconds() > 0
    monkeypatch.setattr(planning, "figure_seconds", lambda: 3.0)
    kept = plan_for(Source(str(pictures)), 1.0).recipe
    assert kept.fit.minutes is None or kept.fit.minutes <= 0.25
    hurried = plan_for(Source(str(pictures)), 0.7)
    assert hurried.name == LADDER[0]
    assert 0 < hurried.recipe.fit.minutes < 0.1
    assert hurried.words.endswith("the report will end after the minutes given")


def test_too_little_time_says_so(pictures):
    with pytest.raises(tenfold.core.errors.InputError, match=r"--minutes 0\.001: reading .* all of the time"):
        plan_for(Source(str(pictures)), 0.001)


def test_an_override_that_only_one_way_takes_decides_and_one_of_mirroring_keeps_it(pictures, monkeypatch):
    harms = Evidence((), (), False, "mirroring harms: validation loss 2 with it, 1 without", 10)
    monkeypatch.setattr(planning, "probe", lambda *_: replace(harms, scratch=(Point(10, *_judged(0.1)),)))

    def plan(*overrides: str):
        chosen = suitable_plan(Source(str(pictures)), CPU, 0, SILENT, overrides)
        return chosen, load_recipe(chosen.recipe, overrides)

    chosen, recipe = plan("augment.flip.alternate=false")
    assert chosen.name == "fast-90"
    assert "not for a backbone" in chosen.words
    assert "kept, because the overrides name it" in chosen.words
    assert [one.name for one in recipe.augment] == ["crop", "flip"]
    chosen, recipe = plan("augment.crop.padding=1")
    assert [one.name for one in recipe.augment] == ["crop"]
    chosen, recipe = plan("model.head=mlp")
    assert (chosen.name, recipe.model.options["head"]) == ("backbone", "mlp")
    assert "for a backbone" in chosen.words


def _judged(share: float) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(50) < 50 * share, np.zeros(50)


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [0.05, 0.5])
def test_a_handful_of_images_and_a_little_time_train_something(tmp_path, minutes):
    folder = draw_pictures(tmp_path / "few", ("a", "b"), 10)
    began = perf_counter()
    plan = plan_for(Source(str(folder)), minutes)
    planned = perf_counter() - began
    assert plan.recipe.fit.minutes is not None, "the clock holds always"
    # What was learned while planning counts from where its learning began.
    gone = 0.0 if plan.learned else planned
    assert 60 * plan.recipe.fit.minutes < max(60 * minutes - gone, 1.0)


@pytest.mark.usefixtures("undrawn")
def test_minutes_end_training_in_the_middle_of_an_epoch_and_the_run_is_whole(pictures, tmp_path):
    run = tenfold.train(
        "fast-72",
        data=pictures,
        minutes=0.02,
        out=tmp_path,
        overrides={"fit.epochs": 100_000, "fit.batch_size": 8},
        progress=False,
    )
    assert run.recipe.fit.minutes == 0.02
    training = run.metrics["training"]
    assert training["stop_reason"] == "its 1.2 s of training were up"
    assert training["epochs"] < 100_000
    rates = [record["learning_rate"] for record in run.history]
    assert rates == sorted(rates, reverse=True), "the rate follows the clock"
    assert rates[-1] < 0.9 * rates[0]
    assert run.report.is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_minutes_without_a_recipe_choose_one(pictures, tmp_path, capsys, no_weights):
    run = tenfold.train(data=pictures, minutes=0.5, out=tmp_path, overrides={"fit.epochs": 1})
    assert run.name.startswith("fast-")
    assert "plan for 0.5 minutes: fast-" in capsys.readouterr().out
    assert load_run(run.path).metrics["test"]["n"] > 0
