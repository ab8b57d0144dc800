"""A model in integers of 8 bits: a quarter of the size, faster on many processors, and a little less accurate."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tenfold.core.errors import TenfoldError
from tenfold.core.numbers import interval, percent
from tenfold.data import Split, Splits
from tenfold.inference.certificate import BATCH, answers_of, drawn
from tenfold.inference.formats import onnx_answerer
from tenfold.inference.onnx_model import IMAGES
from tenfold.models import Classifier
from tenfold.models.backbone import Resize
from tenfold.runs.metrics import exact_interval

FILE = "model-int8.onnx"
# Training images from which the ranges of activations are learned; validation images that judge, at the most.
CALIBRATION, JUDGES = 512, 5_000


@dataclass(frozen=True)
class Accuracy:
    """Of `images` validation images so many are right, as a share with its 95 % interval (Wilson)."""

    images: int
    accuracy: float
    accuracy_ci95: tuple[float, float]


@dataclass(frozen=True)
class Quantized:
    """What quantisation cost: `loss` is the accuracy lost on validation, `max_loss` what was allowed."""

    calibration_images: int
    before: Accuracy
    after: Accuracy
    loss: float
    max_loss: float
    images_per_second: float
    images_per_second_float32: float


def make_int8(folder: Path, classifier: Classifier, splits: Splits, max_loss: float) -> dict[str, Any]:
    """Write `model-int8.onnx` beside `model.onnx`, calibrated on training images, and give what it cost.

    Raises TenfoldError where more than `max_loss` of accuracy is lost on validation.
    """
    calibration = drawn(len(splits.train), CALIBRATION)
    _quantize(folder / "model.onnx", folder / FILE, splits.train.images(calibration), _exact(classifier))
    judged = drawn(len(splits.validation), JUDGES)
    before, rate = _judge(folder / "model.onnx", splits.validation, judged)
    after, faster = _judge(folder / FILE, splits.validation, judged)
    loss = before.accuracy - after.accuracy
    if loss > max_loss + 1e-12:
        raise TenfoldError(
            f"int8: the accuracy on {before.images:,} validation images falls from {_words(before)} to "
            f"{_words(after)}, by {loss:.2%}, more than --max-loss {max_loss:g} allows. Nothing was kept. Export "
            "without --quantize, or allow more."
        )
    return asdict(Quantized(len(calibration), before, after, loss, max_loss, faster, rate))


def _quantize(source: Path, target: Path, images: np.ndarray, exact: set[str]) -> None:
    """Static quantisation: 8-bit weights a channel, 8-bit activations, each with its scale in the file."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(np.array_split(images, -(-len(images) // BATCH)))

        def get_next(self) -> dict[str, np.ndarray] | None:  # pyright: ignore
            batch = next(self.batches, None)
            return None if batch is None else {IMAGES: batch}

    with TemporaryDirectory(dir=target.parent) as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(prepared).graph.node
        quantize_static(
            prepared,
            target,
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            nodes_to_exclude=[node.name for node in nodes if exact & set(node.input)],
        )


def _exact(classifier: Classifier) -> set[str]:
    """The names, in the ONNX file, of what must not be rounded: the matrices that resize images."""
    return {
        f"classifier.{name}.{part}"
        for name, module in classifier.named_modules()
        if isinstance(module, Resize)
        for part, _ in module.named_buffers()
    }


def _judge(path: Path, split: Split, positions: np.ndarray) -> tuple[Accuracy, float]:
    logits, _, rate = answers_of(onnx_answerer(path), split.images(positions))
    right = int((logits.argmax(1) == np.asarray(split.labels)[positions]).sum())
    low, high = exact_interval(right, len(positions))
    return Accuracy(len(positions), right / len(positions), (float(low), float(high))), round(rate, 1)


def _words(accuracy: Accuracy) -> str:
    return f"{percent(accuracy.accuracy, 2)} (95% interval {interval(accuracy.accuracy_ci95, 2)}%)"
