"""Overrides: the last word, reached by name and by number, and never a traceback."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_texts import BASE, faults

from tenfold.core.errors import InputError
from tenfold.recipe import Composition, load_recipe
from tenfold.recipe.overrides import of_table


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("fit.epochs=1.5", "valid integer"),
        ("fit.epochs=true", "valid integer"),
        ("fit.epochs='3'", "valid integer"),
        ("fit.epochs=[3]", "valid integer"),
        ("fit.batches=foldr", "'split' or 'folder'"),
        ("fit.hardest=0.5", "fit.hardest=0.5: input should be a list"),
        ("fit.scales=[1, 1.5]", "fit.scales.1=1.5: input should be less than or equal to 1"),
        ("fit.hardest=[1, 0.0]", "fit.hardest.1=0.0: input should be greater than 0"),
        ("optimizer.nesterov=1", "valid boolean"),
        ("optimizer.lr=fast", "valid number"),
        ("optimizer.lr=inf", "finite number"),
        ("optimizer.lr=nan", "finite number"),
        ("optimizer.lr=0", "greater than 0"),
        ("optimizer.lr=none", "valid number"),
        ("optimizer.name=none", "there is no optimizer None"),
        ("model.filters=32", "a list"),
        ("model.filters=[]", "at least 1 item"),
        ("model.filters=[16, 'a']", "valid integer"),
        ("model.name=3", "there is no model 3"),
        ("stop.monitor=accuracy", "valid: validation_loss, validation_accuracy, validation_f1_macro"),
        ("augment=5", "expected tables, each under [[augment]]"),
        ("augment=[5]", "expected tables, each under [[augment]]"),
        ("augment.flip.p=1", "there is no such augmentation here; there are: none"),
        ("augment.0.p=1", "there is no such augmentation here; there are: none"),
        ("fit.a.b=1", "expected TABLE.KEY=VALUE"),
        ("fit=1", "expected TABLE.KEY=VALUE"),
        (".x=1", "expected TABLE.KEY=VALUE"),
        ("fit.=1", "expected TABLE.KEY=VALUE"),
    ],
)
def test_a_wrong_override_is_one_fault_that_names_key_and_reason(override, reason, written):
    (fault,) = faults(written(BASE), override)
    assert override.partition("=")[0] in fault
    assert reason in fault


def test_changing_a_components_name_drops_what_the_new_one_lacks(written):
    adam = written(BASE.replace('"sgd"', '"adam"\nlr = 0.5\nbeta1 = 0.8'))
    optimizer = load_recipe(adam, ["optimizer.momentum=0.9", "optimizer.name=sgd"]).optimizer
    assert optimizer.options == {"lr": 0.5, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
    single = written('[model]\nname = "single-conv"\nfilters = 8\ndense = 9\n[optimizer]\nname = "sgd"')
    model = load_recipe(single, ["model.name=model-s"]).model
    assert model.options == {"filters": (16, 32, 64), "dense": 9}, "8 filters are no list of filters"
    adam = written(BASE.replace('"sgd"', '"adam"\nlr = 0.5\nbeta1 = 0.8'))
    (fault,) = faults(adam, "optimizer.name=sgd", "optimizer.beta1=0.7")
    assert fault.startswith("optimizer.beta1: 'sgd' has no such option")


def test_augmentations_are_reached_by_name_and_by_number():
    recipe = load_recipe("digits", ["augment.rotation.factor=0.5", "augment.0.factor=0.25"])
    assert [(choice.name, choice.options["factor"]) for choice in recipe.augment] == [
        ("translation", 0.25),
        ("rotation", 0.5),
    ]
    changed = load_recipe("digits", ["augment.rotation.name=flip", "augment.translation.factor=0.3"])
    assert [choice.name for choice in changed.augment] == ["translation", "flip"]
    assert (
        load_recipe("digits", ["augment=[]"]).augment == load_recipe("digits", ["augment=none"]).augment == ()
    )


def test_the_overrides_of_one_table_are_known_without_a_recipe():
    assert of_table(["data.image_size=32", "fit.epochs=2", "nonsense"], "data") == ["data.image_size=32"]
    assert of_table({"data.image_size": 32, "fit.epochs": 2}, "data") == {"data.image_size": 32}
    with pytest.raises(ValueError, match="without a base"):
        Composition().resolve()


@pytest.mark.parametrize(
    "value", ["9" * 5000, "[" * 2000, "{" * 2000, "{a={a={a={}}}}", "1e999", "\0", '"""']
)
@pytest.mark.parametrize("key", ["fit.batch_size", "model.filters", "fit.hardest", "data.channels"])
def test_absurd_values_are_faults_in_few_words(key, value):
    with pytest.raises(InputError, match="cannot be used") as caught:
        load_recipe("digits", [f"{key}={value}"])
    assert key in str(caught.value)
    assert len(str(caught.value)) < 12_000


@given(st.text(max_size=30), st.sampled_from(["fit.batch_size", "augment", "model", "", "sweep.space"]))
@settings(max_examples=60)
def test_no_override_ends_in_a_traceback(text, key):
    with suppress(InputError):
        load_recipe("digits", [f"{key}={text}", text])
