"""ONNX Runtime as who answers, and the softmax of logits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from scipy.special import softmax as expected_softmax

from tenfold.core.errors import InputError
from tenfold.inference.predictor import MODEL, OnnxPredictor, softmax


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model whose logits are sums of the pixels, with weights."""
    image = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 8, 8, 1])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3])
    weights = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "sums", [image], [logits], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path_factory.mktemp("onnx") / MODEL
    path.write_bytes(model.SerializeToString())
    return path.parent


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 5), st.floats(0.1, 10), st.integers(0, 99))
def test_softmax_is_scipys_at_any_temperature_and_size(count, classes, temperature, seed):
    logits = (1e3 * np.random.default_rng(seed).normal(size=(count, classes))).astype(np.float32)
    found = softmax(logits, temperature)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected_softmax(logits.astype(float) / temperature, axis=1), atol=1e-7)
    assert softmax(logits[:0]).shape == (0, classes)


def test_few_pictures_are_shared_by_all_cores_and_of_many_each_has_one(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)
    few, many = OnnxPredictor(folder), OnnxPredictor(folder, many=True)
    with few.side_by_side() as calls, many.side_by_side() as more:
        assert calls == 1 <= more
    logits = few.logits(pixels[:, ::-1])
    assert logits.shape == (5, 3)
    np.testing.assert_allclose(many.logits(pixels[:, ::-1]), logits, rtol=1e-5)
    np.testing.assert_array_equal(few.probabilities(logits), softmax(logits))


def test_a_model_that_is_not_there_or_damaged_is_named(tmp_path):
    with pytest.raises(InputError, match=r"model\.onnx: there is no such file\. `tenfold export`"):
        OnnxPredictor(tmp_path)
    (tmp_path / MODEL).write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"model\.onnx: cannot be loaded .* Remove it"):
        OnnxPredictor(tmp_path)
