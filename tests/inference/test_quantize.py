"""In integers of 8 bits: smaller, what it cost, and refused where that is too much."""

from dataclasses import replace

import onnxruntime
import pytest
import torch

import tenfold as public
from tenfold import load_run
from tenfold.core.errors import TenfoldError
from tenfold.inference.contract import Contract
from tenfold.inference.formats import Traced
from tenfold.inference.onnx_model import write_onnx
from tenfold.inference.quantize import make_int8
from tenfold.models import build_model
from tenfold.recipe.components import Choice


@pytest.mark.slow
def test_int8_is_smaller_and_says_what_it_cost(shapes, tmp_path):
    exported = public.export(shapes, out=tmp_path / "export", quantize="int8", max_loss=0.5)
    cost, files = exported.certificate["int8"], exported.certificate["files"]
    assert cost["before"]["images"] == cost["after"]["images"] == len(load_run(shapes).splits().validation)
    assert cost["loss"] == pytest.approx(cost["before"]["accuracy"] - cost["after"]["accuracy"])
    low, high = cost["after"]["accuracy_ci95"]
    assert low <= cost["after"]["accuracy"] <= high
    assert "model-int8.onnx" in files
    operators = onnxruntime.InferenceSession(exported.path / "model-int8.onnx").get_outputs()
    assert [output.name for output in operators] == ["logits", "probabilities", "predicted"]
    assert "integers of 8 bits" in (exported.path / "README.md").read_text()


def test_int8_is_refused_where_it_loses_more_than_is_allowed(few_digits, tmp_path):
    """One channel that nothing reads is so large that 8 bits leave nothing of the others."""
    height, width = few_digits.image_shape[1:]
    model = build_model(Choice(name="single-conv", filters=16, dense=16), (1, height, width), 10, seed=1)
    convolution, dense = model.network[0], model.network[4]
    with torch.no_grad():
        convolution.weight[0] = 1e5
        dense.weight.view(16, -1, 16)[:, :, 0] = 0
    images = few_digits.validation.images(slice(None))
    with torch.inference_mode():
        own = model.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).argmax(1).numpy()
    assert len(set(own.tolist())) > 1
    # The labels are what the model says: it is right throughout, before.
    splits = replace(few_digits, validation=replace(few_digits.validation, labels=own))
    write_onnx(model, tmp_path / "model.onnx", splits.class_names)
    with pytest.raises(TenfoldError, match=r"falls from 100\.00% .*more than --max-loss 0\.01 allows"):
        make_int8(tmp_path, model, splits, 0.01)
    assert make_int8(tmp_path, model, splits, 1.0)["loss"] > 0.01


@pytest.mark.slow
def test_the_matrices_that_resize_images_stay_exact(few_digits, tmp_path):
    import onnx

    options = {"backbone": "test_efficientnet", "weights": "none", "image_size": 32}
    model = build_model(Choice(name="backbone", **options), few_digits.image_shape, 10)
    Traced(model, Contract(few_digits.class_names, model.image_shape)).save_onnx(tmp_path / "model.onnx")
    make_int8(tmp_path, model, few_digits, 1.0)
    graph = onnx.load(tmp_path / "model-int8.onnx").graph
    makers = {output: node.op_type for node in graph.node for output in node.output}
    (resizing,) = {name for node in graph.node for name in node.input if name.endswith("resize.rows")}
    (product,) = [node for node in graph.node if resizing in node.input]
    assert product.op_type == "MatMul"
    assert "DequantizeLinear" not in {makers.get(name) for name in product.input}
    assert "DequantizeLinear" in makers.values()
