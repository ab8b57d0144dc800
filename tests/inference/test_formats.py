"""The forms in which a classifier is handed on: which there are, and what they hold. test_export.py opens them."""

import json

import pytest
from contracts import contract_of

from tenfold.core.errors import InputError
from tenfold.inference import formats
from tenfold.inference.formats import ACCURACY, FORMATS, Traced, chosen_formats
from tenfold.models import build_model
from tenfold.recipe.components import Choice


def test_onnx_is_always_among_the_forms_in_their_order():
    assert list(chosen_formats(())) == ["onnx"]
    assert list(chosen_formats(("torch",))) == ["onnx", "torch"]
    assert list(chosen_formats(("torch", "onnx", "torch"))) == ["onnx", "torch"]
    assert all(form.files and form.about for form in FORMATS.values())


def test_forms_that_are_not_there_are_named(monkeypatch):
    with pytest.raises(InputError, match=r"--format onxx: there is no such format \(did you mean 'onnx'\?\)"):
        chosen_formats(("onxx",))
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"openvino is not installed\. Install it with"):
        chosen_formats(("openvino",))


@pytest.fixture(scope="module")
def traced(cache):
    contract = contract_of()
    model = build_model(Choice(name="single-conv", filters=1, dense=1), (3, 8, 8), len(contract.class_names))
    return Traced(model.eval(), contract)


def test_the_metadata_hold_the_contract(traced):
    about = traced.about
    assert json.loads(about["image_shape"]) == [8, 8, 3]
    assert float(about["temperature"]) == traced.contract.temperature
    assert float(about["unsure_below"]) == traced.contract.threshold(ACCURACY)
    assert json.loads(about["inference"])["class_names"] == list(traced.contract.class_names)
