"""A sweep's plan: settled and checked before anything runs."""

import json

import pytest
from small import small_recipe

from tenfold.core.errors import InputError
from tenfold.data import Source
from tenfold.recipe import load_recipe, parse_recipe
from tenfold.sweeps.plan import SweepPlan, differences, plan_sweep
from tenfold.sweeps.settings import SweepSettings
from tenfold.sweeps.space import read_space, write_space


def plan(varied: dict, *overrides: str, **settings) -> SweepPlan:
    return plan_sweep("digits", small_recipe(*overrides), SweepSettings(varied, **settings), Source("digits"))


@pytest.mark.parametrize(
    ("varied", "message"),
    [
        ({"modle.dense": [8, 16]}, "did you mean 'model'"),
        ({"model.dens": [8, 16]}, "did you mean 'dense'"),
        ({"model.dens": "8..16"}, "did you mean 'dense'"),
        ({"optimizer.lr": "1e-1..1e-4"}, "the range is empty"),
        ({"optimizer.lr": "0.1..0.1"}, "the range is empty"),
        ({"optimizer.lr": "0..0.1:log"}, "begins above zero"),
        ({"optimizer.lr": "1e-4..1e-1:sqrt"}, "no scale 'sqrt'"),
        ({"optimizer.lr": "1e-4..x"}, "ends of a range are numbers"),
        ({"model.dense": "8.5..16"}, "model.dense=8.5: input should be a valid integer"),
        ({"model.dense": []}, "has no values"),
        ({"model.dense": 8}, "expected a list of values"),
        ({"model.dense": [8, 8]}, "8 is listed twice"),
        ({"model.dense": [8, "many"]}, r"trial 1 \(model.dense=many\).*expected|trial 1 .*valid integer"),
        ({"fit.seed": [1, 2]}, "--seeds N"),
        ({"data.test_fraction": [0.1, 0.2]}, "compared on the same images"),
        ({"sweep.seeds": [1, 2]}, "not part of an experiment"),
        ({}, "nothing to vary"),
    ],
)
def test_what_cannot_vary_is_refused_and_says_why(varied, message):
    with pytest.raises(InputError, match=message):
        plan(varied)


def test_every_fault_is_named_once_and_with_its_first_trial():
    with pytest.raises(InputError) as caught:
        plan({"model.dense": [8, 0, -1], "optimizer.lr": [0.1, 0.2]}, seeds=3)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "trial 6 (model.dense=0, optimizer.lr=0.1)",
        "trial 12 (model.dense=-1, optimizer.lr=0.1)",
    ]


def test_a_grid_beyond_the_budget_says_how_large_it_is():
    keys = {"model.dense": list(range(1, 51)), "fit.batch_size": list(range(1, 51))}
    with pytest.raises(InputError, match="2,500 candidates, 7,500 runs with 3 seeds each; 2,000 is the most"):
        plan(keys, seeds=3)
    with pytest.raises(InputError, match="6 candidates; 4 is the most that --trials allows"):
        plan({"model.dense": [1, 2, 3], "fit.batch_size": [8, 16]}, trials=4)


def test_a_range_has_no_grid_and_prune_needs_equal_epochs():
    with pytest.raises(InputError, match="a range has no grid"):
        plan({"optimizer.lr": "1e-4..1e-1:log"}, search="grid")
    with pytest.raises(InputError, match="did you mean 'grid'"):
        plan({"model.dense": [1, 2]}, search="gird")
    with pytest.raises(InputError, match="equal epochs"):
        plan({"fit.epochs": [1, 2]}, prune=True)


def test_settings_come_from_the_recipe_and_what_is_given_comes_first():
    recipe = load_recipe("sweep-best")
    made = plan_sweep(
        "sweep-best", recipe, SweepSettings({"model.dense": [8, 16]}, seeds=2, trials=5), Source("digits")
    )
    assert (made.search, made.trials, made.seeds, made.prune) == ("tpe", 5, 2, True)
    assert made.space["model.dense"] == [8, 16]
    assert list(made.space) == ["model.name", "model.filters", "model.dense", "optimizer.lr"]
    assert parse_recipe(made.recipe).sweep is None
    assert made.rungs == (4, 13, None)
    assert plan({"model.dense": [1, 2]}).rungs == (None,)
    assert plan({"optimizer.lr": "1e-4..1e-1"}, minutes=1.0).trials is None
    assert plan({"optimizer.lr": "1e-4..1e-1"}, minutes=1.0, prune=True).trials == 20


@pytest.mark.parametrize("name", ["sweep-filters", "sweep-dense"])
def test_the_homeworks_are_grids_of_their_sizes(name):
    made = plan_sweep(name, load_recipe(name), SweepSettings(), Source("digits"))
    assert made.trials == {"sweep-filters": 7, "sweep-dense": 6}[name]
    assert made.base.fit.epochs == 20


def test_a_plan_is_the_same_after_a_journey_through_json():
    made = plan({"model.filters": [[4], [4, 8]], "optimizer.lr": "1e-4..1e-1:log"}, seeds=2)
    again = SweepPlan(**json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.dimensions == made.dimensions == read_space(made.base, write_space(made.dimensions))
    assert differences(made, plan({"model.filters": [[4], [8]]}, seeds=2)) != []
