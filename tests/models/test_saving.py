"""A finished model in two files gives the same logits, or says what does not fit."""

import json

import pytest
import torch
from small import edit_json

from tenfold.core.errors import InputError
from tenfold.models import Preprocessing, build_model
from tenfold.recipe import load_recipe
from tenfold.recipe.components import Choice
from tenfold.runs.folder import Run

SHAPE, CLASSES = (1, 8, 8), 3


def weights_of(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def model_folder(tmp_path):
    model = build_model(
        Choice(name="model-s", filters=(4,), dense=5),
        SHAPE,
        3,
        preprocessing=Preprocessing((120.0,), (60.0,)),
    )
    Run(tmp_path).save_model(model, weights_of(model), ("ape", "bee", "cat"))
    return tmp_path, model.eval()


def test_a_saved_model_gives_the_same_logits(model_folder):
    folder, model = model_folder
    images = torch.randint(0, 256, (4, *SHAPE), dtype=torch.uint8)
    loaded = Run(folder).model()
    assert not loaded.training
    assert torch.equal(loaded(images), model(images))
    assert json.loads((folder / "model.json").read_text())["class_names"] == ["ape", "bee", "cat"]


def test_a_model_whose_weights_do_not_fit_its_description_is_refused(model_folder):
    folder, _ = model_folder
    edit_json(folder / "model.json", lambda described: described["architecture"].update(dense=6))
    with pytest.raises(InputError, match=r"model\.safetensors: 3 tensors do not fit .*expected \(6, 64\)"):
        Run(folder).model()


@pytest.mark.parametrize("content", ["{", "[]", '{"architecture": {"name": "none"}}'])
def test_a_damaged_description_is_named(content, model_folder):
    folder, _ = model_folder
    (folder / "model.json").write_text(content)
    with pytest.raises(InputError, match=r"model\.json: "):
        Run(folder).model()


def test_a_run_without_a_model_says_how_to_get_one(tmp_path):
    Run(tmp_path).recipe = load_recipe("digits")
    with pytest.raises(
        InputError,
        match=r"model\.json: there is no such file\. The run has not got that far; `tenfold resume",
    ):
        Run(tmp_path).model()
