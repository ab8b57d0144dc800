"""What JSON files must hold: known keys of their types, and whatever later versions add."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from tenfold.runs.shapes import LayerShape, ModelShape, SourceShape

MODEL = {
    "architecture": {"name": "model-s", "filters": [4]},
    "image_shape": [1, 8, 8],
    "preprocessing": {"mean": [0.0], "deviation": [255.0]},
    "class_names": ["a", "b"],
}


def check(shape, value) -> None:
    TypeAdapter(shape).validate_json(json.dumps(value), strict=True)


def test_keys_that_are_not_listed_may_be_there():
    check(ModelShape, {**MODEL, "later": 1})
    check(SourceShape, {"data": None, "train": [], "validation": [], "test": []})


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (ModelShape, {**MODEL, "image_shape": [1, 8]}),
        (ModelShape, {**MODEL, "class_names": [1, 2]}),
        (ModelShape, {**MODEL, "architecture": {}}),
        (LayerShape, {"name": "a", "kind": "b", "output_shape": [1.5], "parameters": 1}),
        (SourceShape, {"data": 1, "train": [], "validation": [], "test": []}),
    ],
)
def test_other_types_and_missing_keys_are_faults(shape, value):
    with pytest.raises(ValidationError):
        check(shape, value)
