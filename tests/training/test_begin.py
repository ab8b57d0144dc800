"""What is written down before the first epoch."""

import torch

from tenfold.recipe import About, load_recipe
from tenfold.runs.folder import Run
from tenfold.training.begin import write_beginning


def test_a_run_does_not_repeat_what_a_built_in_recipe_claims_of_other_images(few_digits, tmp_path):
    recipe = load_recipe("fast-90", {"fit.epochs": 1})
    assert recipe.about.accuracy
    own = recipe.model_copy(update={"about": About(summary="mine, for leaves")})
    for name, given, expected in (("a", recipe, About()), ("b", own, own.about)):
        (tmp_path / name).mkdir()
        run = Run(tmp_path / name)
        write_beginning(run, given, few_digits, torch.device("cpu"), "tenfold train")
        assert load_recipe(tmp_path / name / "recipe.toml").about == expected
        assert run.recipe == given.model_copy(update={"about": expected})
