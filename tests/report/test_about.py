"""What a report says of the data, the model and the machine."""

import pytest
from constructed import answered_run, rights

from tenfold.report.about import about_data, about_model, flat, source_of


@pytest.fixture
def run(tmp_path):
    return answered_run(tmp_path / "run", rights(30, 0.7, 0))


def test_the_data_are_said_with_what_was_left_out(run):
    said = about_data(run, None)
    assert (said["images"], said["shape"]) == ("90", "8 × 8 pixels (grayscale)")
    assert (said["bad_files"], said["left_out"], said["warnings"]) == ([], [], [])
    run.data = {**run.data, "folds": 3, "notices": ["look"], "image_shape": [4, 6, 3]}
    said = about_data(run, None)
    assert (said["images"], said["shape"], said["warnings"]) == ("30", "6 × 4 pixels (colour)", ["look"])


def test_a_source_is_a_path_or_the_folders_of_its_splits(run):
    assert source_of(run) == run.data["source"]["data"]
    folders = {"data": None, "train": ["a", "b"], "validation": [], "test": ["c"]}
    run.data = {**run.data, "source": folders}
    assert source_of(run) == "a, b, c"


def test_the_model_is_said_with_the_layers_that_do_something(run):
    from tenfold.findings import gather

    layers = [
        {"name": "0", "kind": "Dense", "output_shape": [3], "parameters": 9},
        {"name": "1", "kind": "Identity", "output_shape": [3], "parameters": 0},
    ]
    run.layers = layers
    said = about_model(run, gather(run))
    assert said["layers"] == layers[:1]
    assert said["model"]["architecture"] == run.recipe.model.name
    assert (said["model"]["input"], said["model"]["parameters"]) == ("1 × 8 × 8", "650 (650 trained)")


def test_tables_within_tables_are_one_list():
    assert flat({"a": 1, "b": {"c": 2, "d": None}}) == {"a": "1", "b c": "2", "b d": "None"}
