"""What is advised, and where it is not."""

from dataclasses import replace

import pytest
from evidence import history, one

from tenfold.findings import Evidence, advice
from tenfold.models.own import own_changes
from tenfold.recipe import load_recipe


def test_a_model_that_was_still_rising_is_not_called_too_small():
    recipe = load_recipe("model-s-baseline", ["fit.epochs=5"])
    rising = Evidence(
        history=history([1.5, 1.3, 1.2, 1.1, 1.0], accuracies=(0.55, 0.54)),
        training={"best_epoch": 5},
        recipe=recipe,
    )
    assert list(advice.larger_model(rising)) == []
    assert one(advice.more_epochs, rising).command.endswith("fit.epochs=10")
    settled = replace(
        rising,
        history=history([1.5, 1.0, 1.1, 1.1, 1.1], accuracies=(0.55, 0.54)),
        training={"best_epoch": 2},
    )
    assert "likely too small" in one(advice.larger_model, settled).sentence
    for record, accuracy in zip(settled.history, (0.50, 0.51, 0.52, 0.53, 0.54), strict=True):
        record["validation_accuracy"] = accuracy
    assert list(advice.larger_model(settled)) == [], "the loss is past its best, the accuracy still rises"


def test_a_backbone_is_named_where_few_images_were_learned_from_scratch():
    told = Evidence(
        counts={"train": {"a": 900, "b": 900}},
        validation={"accuracy": 0.7},
        recipe=load_recipe("fast-90"),
        command="tenfold train runs/x/recipe.toml --data 'my photos'",
    )
    assert one(advice.pretrained_backbone, told).command == "tenfold train backbone --data 'my photos'"
    own = load_recipe("fast-90", own_changes("mine:make"))
    handed = replace(told, recipe=own, command=f"{told.command} --model mine:make --trust-code")
    assert one(advice.pretrained_backbone, handed).command == "tenfold train backbone --data 'my photos'"
    for other in (
        replace(told, recipe=load_recipe("backbone")),
        replace(told, validation={"accuracy": 0.99}),
        replace(told, counts={"train": {"a": 40_000}}),
    ):
        assert list(advice.pretrained_backbone(other)) == []


def test_a_strength_at_the_edge_of_its_path_is_said_with_a_wider_path():
    recipe = load_recipe("backbone", {"model.strengths": [0.1, 0.01, 0.001]})
    told = Evidence(recipe=recipe, training={"best_epoch": 3})
    found = one(advice.strength_at_the_edge, told)
    assert "0.001, is the weakest that was tried" in found.sentence
    wider = load_recipe(recipe, [found.numbers["override"]]).model.options["strengths"]
    assert wider[:3] == (0.1, 0.01, 0.001)
    assert min(wider) == pytest.approx(1e-5)
    strongest = one(advice.strength_at_the_edge, replace(told, training={"best_epoch": 1}))
    assert max(
        load_recipe(recipe, [strongest.numbers["override"]]).model.options["strengths"]
    ) == pytest.approx(10)
    assert list(advice.strength_at_the_edge(replace(told, training={"best_epoch": 2}))) == []
    assert list(advice.strength_at_the_edge(replace(told, recipe=load_recipe("fine-tune")))) == []
