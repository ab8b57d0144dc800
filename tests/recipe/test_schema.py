"""Recipes: every fault at once, overrides, and TOML that reads back to an equal recipe."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipe_texts import BASE, faults
from small import first

from tenfold.core.errors import InputError
from tenfold.models import build_model
from tenfold.recipe import builtin_recipes, load_recipe, parse_recipe, read_about
from tenfold.runs.folder import Run
from tenfold.training.loop import fit


def test_defaults_of_components_are_filled_in(written):
    recipe = load_recipe(written(BASE))
    assert recipe.model.options == {"filters": (16, 32, 64), "dense": 128}
    assert recipe.optimizer.options == {"lr": 0.01, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    assert recipe.schedule.name == "constant"
    assert recipe.stop.patience is None


def test_a_recipe_is_frozen():
    recipe = load_recipe("digits")
    with pytest.raises(ValueError, match="frozen"):
        recipe.fit.epochs = 3
    with pytest.raises(ValueError, match="frozen"):
        recipe.model.name = "model-s"


# What any valid recipe may hold, as overrides of the built-in ones: the keys of every kind of table.
SETTINGS = {
    "data.image_size": st.none() | st.integers(4, 1024),
    "data.channels": st.sampled_from(["auto", "rgb", "grayscale"]),
    "data.test_fraction": st.floats(0, 1, exclude_max=True),
    "data.split_seed": st.integers(),
    "optimizer.lr": st.floats(0, 1e3, exclude_min=True),
    "optimizer.name": st.sampled_from(["sgd", "adam", "adamw", "rmsprop", "muon"]),
    "schedule.name": st.sampled_from(["constant", "cosine", "one-cycle", "step", "plateau"]),
    "stop.monitor": st.sampled_from(["validation_loss", "validation_accuracy", "val_acc", "val_loss"]),
    "stop.patience": st.none() | st.integers(1, 100),
    "stop.min_delta": st.floats(0, 1),
    "fit.epochs": st.integers(1, 10_000),
    "fit.seed": st.integers(0, 2**63 - 1),
    "fit.hardest": st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=4).map(tuple),
    "fit.scales": st.lists(st.floats(0, 1, exclude_min=True), min_size=1, max_size=4).map(tuple),
    "fit.label_smoothing": st.floats(0, 1, exclude_max=True),
    "fit.precision": st.sampled_from(["float32", "bfloat16", "auto"]),
    "about.summary": st.text(st.characters(exclude_categories=["Cs"])),
    "augment": st.lists(
        st.fixed_dictionaries({"name": st.sampled_from(["rotation", "zoom"]), "factor": st.floats(0, 1)})
        | st.fixed_dictionaries({"name": st.just("flip"), "alternate": st.booleans()}),
        max_size=3,
    ),
}


FILTERS = st.lists(st.integers(1, 512), min_size=1, max_size=4).map(tuple)
PLAIN = {"model.dense": st.integers(1, 4096), "model.filters": FILTERS}
SWIFT = {
    "model.widths": FILTERS,
    "model.scale": st.floats(0, 1e3, exclude_min=True),
    "model.activation": st.sampled_from(["relu", "gelu", "silu"]),
    "model.views": st.sampled_from([1, 2, 6]),
}
MODEL = st.fixed_dictionaries(
    {"model.name": st.sampled_from(["model-s", "model-s-deep", "three-conv-gap"])}, optional=PLAIN
) | st.fixed_dictionaries({"model.name": st.just("swift")}, optional=SWIFT)


@given(st.sampled_from(sorted(builtin_recipes())), MODEL, st.fixed_dictionaries({}, optional=SETTINGS))
def test_any_valid_recipe_reads_back_equal_from_its_toml(tmp_path_factory, name, model, overrides):
    overrides |= model
    recipe = load_recipe(name, overrides)
    path = tmp_path_factory.mktemp("recipe") / "resolved.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe(path) == recipe
    known = {"model.dense", "model.views", "fit.epochs", "fit.precision", "optimizer.lr", "stop.patience"}
    for key in overrides.keys() & known:
        table, _, option = key.partition(".")
        assert getattr(getattr(recipe, table), option) == overrides[key]


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted({**SETTINGS, **PLAIN, **SWIFT})), st.text(max_size=8)), max_size=4
    )
)
def test_any_text_of_overrides_gives_a_recipe_or_an_input_error(pairs):
    with suppress(InputError):
        load_recipe("digits", [f"{key}={text}" for key, text in pairs])


@pytest.mark.parametrize("name", sorted(builtin_recipes()))
def test_every_builtin_recipe_loads_describes_itself_and_trains(name, few_digits, tmp_path):
    recipe = load_recipe(name, ["fit.epochs=1"])
    head = builtin_recipes()[name].read_text(encoding="utf-8").splitlines()[0]
    about = read_about(builtin_recipes()[name])
    assert head == f"# {about.command}"
    assert about.summary
    if recipe.model.name == "backbone":
        recipe = load_recipe(recipe, {"model.image_size": 32})
    splits = few_digits if name == "digits" else enlarged(few_digits)
    channels, height, width = splits.image_shape
    model = build_model(recipe.model, (channels, height, width), len(splits.class_names))
    (epoch,) = fit(model, splits, recipe, Run(tmp_path))
    assert epoch.epoch == 1
    assert 0 < epoch.loss < 10


def enlarged(splits):
    """A few of the pictures at 32x32 in three channels: 8x8 is too small for most models' poolings."""
    pixels = splits.train.pixels.repeat(4, 1).repeat(4, 2).repeat(3 // splits.train.pixels.shape[3], 3)
    return replace(splits, **{split.name: replace(first(split, 20), pixels=pixels) for split in splits})


# Faults ------------------------------------------------------------------------------------------------------


def test_every_fault_is_reported_at_once_with_the_nearest_name(written):
    path = written(
        """
        epochs = 3
        [model]
        name = "model-s"
        filtres = [16]
        dense = "many"
        [optimizer]
        name = "smd"
        [schedul]
        name = "cosine"
        [stop]
        monitor = "val_los"
        [fit]
        epoch = 3
        batch_size = 0
        [[augment]]
        name = "rotate"
        [[augment]]
        name = "rotation"
        factor = 2
        """
    )
    found = "\n".join(faults(path, "data.image_size=3", "nonsense", "fit.seed=-1"))
    for expected in (
        "epochs: there is no such table",
        "model.filtres: 'model-s' has no such option (did you mean 'filters'?); valid: filters, dense",
        "model.dense='many': input should be a valid integer",
        "optimizer.name: there is no optimizer 'smd' (did you mean 'sgd'?); valid: sgd, adam",
        "schedul: there is no such table (did you mean 'schedule'?)",
        "stop.monitor='val_los': no metric 'val_los' (did you mean 'validation_loss'?)",
        "fit.epoch: there is no such key (did you mean 'epochs'?); valid: epochs, batch_size",
        "fit.batch_size=0: input should be greater than or equal to 1",
        "augment.name: there is no augment 'rotate' (did you mean 'rotation'?)",
        "augment.rotation.factor=2: input should be less than or equal to 1",
        "data.image_size=3: input should be greater than or equal to 4",
        "'nonsense': expected TABLE.KEY=VALUE",
        "fit.seed=-1: input should be greater than or equal to 0",
    ):
        assert expected in found
    assert len(found.splitlines()) == 13


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('model = "model-s"\n[optimizer]\nname = "sgd"', "model='model-s': expected a table, [model]"),
        (f"fit = 5\n{BASE}", "fit=5: expected a table, [fit]"),
        (f'augment = "flip"\n{BASE}', "augment='flip': expected tables, each under [[augment]]"),
        (f'[augment]\nname = "flip"\n{BASE}', "expected tables, each under [[augment]]"),
        ('[model]\nname = "model-s"', "optimizer: a value is needed"),
        ('[model]\ndense = 3\n[optimizer]\nname = "sgd"', "model.name: there is no model None"),
    ],
)
def test_a_value_in_the_place_of_a_table_is_a_fault_even_below_an_override(text, expected, written):
    overrides = ["model.dense=4", "fit.epochs=2"] if "= 5" in text or '"model-s"\n[opt' in text else []
    (fault,) = faults(written(text), *overrides)
    assert expected in fault


@pytest.mark.parametrize("content", [b"x = ", b"\xff\xfe\x00", b"[model\n"])
def test_an_unreadable_file_is_named(content, tmp_path):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.toml: cannot be read as TOML: .* Mend the file"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("val_acc", "validation_accuracy"),
        ("val_accuracy", "validation_accuracy"),
        ("val_loss", "validation_loss"),
        ("validation_loss", "validation_loss"),
    ],
)
def test_keras_names_of_metrics_are_understood(given, means):
    recipe = load_recipe(
        "model-s-baseline", [f"stop.monitor={given}", "schedule.name=plateau", f"schedule.monitor={given}"]
    )
    assert (recipe.stop.monitor, recipe.schedule.options["monitor"]) == (means, means)


def test_the_work_of_an_epoch_is_its_share_of_the_pixels():
    settings = load_recipe("fast-86", ["fit.hardest=[1, 0.5]", "fit.scales=[0.5, 0.5, 1]"]).fit
    assert settings.shares(4) == (1.0, 0.5, 0.5, 0.5)
    assert settings.work(4) == (0.25, 0.125, 0.5, 0.5)
    assert [settings.scale(epoch) for epoch in (1, 2, 3, 9)] == [0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    "text", ["fit = [" + "[" * 5000, "[fit]\nseed = " + "9" * 5000, "[fit", "\0", "fit = 1"]
)
def test_absurd_texts_are_no_recipes(text, tmp_path):
    with pytest.raises(InputError):
        parse_recipe(text)
    (tmp_path / "absurd.toml").write_text(text)
    with pytest.raises(InputError, match=r"absurd\.toml|recipe 'absurd'"):
        load_recipe(tmp_path / "absurd.toml")


def test_none_is_a_word_where_a_key_knows_it():
    assert load_recipe("backbone", ["model.weights=none"]).model.options["weights"] == "none"
    assert load_recipe("digits", ["fit.class_weights=none"]).fit.class_weights == "none"
    assert load_recipe("backbone", ["data.image_size=none"]).data.image_size is None
