"""PyTorch -> ONNX: the one exporter, for a whole classifier and for any part of it that ONNX Runtime is to run.

A classifier's file takes what a decoder gives, uint8 images (N, H, W, C) of any number N, and holds all that follows:
normalisation, a backbone's resizing, views, the network, the temperature, the names of the classes.
"""

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from tenfold import __version__
from tenfold.core.axes import channels_first
from tenfold.core.errors import TenfoldError
from tenfold.core.files import atomic
from tenfold.models import Classifier

if TYPE_CHECKING:
    import onnx
    from torch.export import ExportedProgram

# The names in a classifier's file: its one input, and what it gives.
IMAGES = "images"
LOGITS, PROBABILITIES, PREDICTED = "logits", "probabilities", "predicted"
# The first axis of all of them.
_BATCH = "batch"


class Answering(nn.Module):
    """uint8 images (N, H, W, C) -> logits (N, classes), and their softmax after division by `temperature`."""

    def __init__(self, classifier: Classifier, temperature: float = 1.0) -> None:
        super().__init__()
        self.classifier, self.temperature = classifier, temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and probabilities, float32, of uint8 `images`."""
        logits = self.classifier(channels_first(images))
        return logits, (logits / self.temperature).softmax(1)


def write_onnx(
    classifier: Classifier,
    path: Path,
    class_names: Sequence[str],
    *,
    temperature: float = 1.0,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write `classifier` to an ONNX file, atomically.

    Input `images`: uint8 (N, H, W, C) of the classifier's own shape. Outputs: `logits` (N, classes) float32,
    `probabilities` (N, classes) float32 after `temperature`, and `predicted` (N,), the names of the most probable
    classes. `class_names` (JSON), `image_shape` (JSON, H W C), `temperature`, `tenfold_version` and `metadata` stand
    in the file's own metadata. Raises TenfoldError where the network cannot be exported.
    """
    channels, height, width = classifier.image_shape
    about = {"image_shape": json.dumps([height, width, channels]), "temperature": repr(temperature)}
    program = trace_classifier(classifier, temperature)
    save_onnx(answering_model(program), path, class_names, {**about, **(metadata or {})})


def answering_model(program: "ExportedProgram") -> "onnx.ModelProto":
    """The program of `trace_classifier` as an ONNX model with `images` in, `logits` and `probabilities` out."""
    return onnx_model(program, [IMAGES], [LOGITS, PROBABILITIES])


def save_onnx(
    model: "onnx.ModelProto", path: Path, class_names: Sequence[str], metadata: Mapping[str, str]
) -> None:
    """Give an `answering_model` its third output, `predicted`, and its metadata, and write it atomically."""
    _add_predicted(model, class_names)
    about = {"class_names": json.dumps(list(class_names), ensure_ascii=False), "tenfold_version": __version__}
    for key, value in {**about, **metadata}.items():
        model.metadata_props.add(key=key, value=value)
    with atomic(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def trace_classifier(classifier: Classifier, temperature: float = 1.0) -> "ExportedProgram":
    """`Answering` of `classifier` as PyTorch's own program for any number of images; the classifier is left alone.

    Raises TenfoldError where the network cannot be traced.
    """
    channels, height, width = classifier.image_shape
    # A copy: the classifier may stand on another device, or be in the middle of learning.
    module = Answering(copy.deepcopy(classifier).cpu(), temperature)
    return trace(module, torch.zeros(2, height, width, channels, dtype=torch.uint8), any_batch=True)


def trace(module: nn.Module, example: Tensor, *, any_batch: bool = False) -> "ExportedProgram":
    """`module`, put into evaluation mode, as a program for inputs of the example's shape.

    With `any_batch` the first axis may have any length. Raises TenfoldError where its code cannot be traced.
    """
    axes = ({0: torch.export.Dim(_BATCH, min=1)},) if any_batch else None
    with explained_export(), torch.no_grad():
        return torch.export.export(module.eval(), (example,), dynamic_shapes=axes)


def onnx_model(
    program: "ExportedProgram", inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> "onnx.ModelProto":
    """A traced program as an ONNX model with so named inputs and outputs. Raises TenfoldError if it cannot be one."""
    with explained_export():
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=list(inputs) or None,
            output_names=list(outputs) or None,
        )
        model = exported.model_proto
    model.producer_name, model.producer_version = "tenfold", __version__
    _name_batch(model)
    # Where each operator stood in whose source code, with the paths of this machine, is nobody's business.
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        del node.metadata_props[:]
    del model.graph.metadata_props[:]
    return model


def _name_batch(model: "onnx.ModelProto") -> None:
    """The exporter makes up a name for an axis of any length, a new one each time."""
    axes = [value.type.tensor_type.shape.dim for value in (*model.graph.input, *model.graph.output)]
    axes += [value.type.tensor_type.shape.dim for value in model.graph.value_info]
    free = {axis.dim_param for shape in axes for axis in shape if axis.dim_param.isidentifier()}
    for axis in (axis for shape in axes for axis in shape if axis.dim_param in free):
        axis.dim_param = _BATCH


def _add_predicted(model: "onnx.ModelProto", class_names: Sequence[str]) -> None:
    """An output with the name of the class of the largest logit, the first where several are largest."""
    from onnx import TensorProto, helper, numpy_helper

    names = numpy_helper.from_array(np.array(class_names, object), "class_names")
    model.graph.initializer.append(names)
    model.graph.node.append(helper.make_node("ArgMax", [LOGITS], ["predicted_index"], axis=1, keepdims=0))
    model.graph.node.append(helper.make_node("Gather", ["class_names", "predicted_index"], [PREDICTED]))
    model.graph.output.append(helper.make_tensor_value_info(PREDICTED, TensorProto.STRING, [_BATCH]))


@contextlib.contextmanager
def explained_export() -> Iterator[None]:
    """Quieten the exporter, and turn its errors, which are of many kinds, into one that says what can be done."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of the exporter's own making, about its own future
            yield
    except Exception as error:  # the exporter raises its own errors, torch._dynamo's, sympy's and Python's
        reason = " ".join(str(error).split())[:300]
        raise TenfoldError(
            f"this network cannot be exported: {type(error).__name__}: {reason}. Its forward method must be made of "
            "tensor operations whose course depends neither on the values in the images nor on how many there are; "
            "instead of a pretrained backbone that is not, choose another model.backbone."
        ) from error
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
