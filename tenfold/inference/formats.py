"""The forms in which a classifier is handed on: each writes its file, and runs it as its users would.

To add one: a class with these three methods, and a line in `FORMATS`.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from tenfold.core.errors import InputError, nearest
from tenfold.inference.contract import Contract
from tenfold.inference.onnx_model import (
    IMAGES,
    LOGITS,
    PROBABILITIES,
    answering_model,
    explained_export,
    save_onnx,
    trace_classifier,
)
from tenfold.models import Classifier

if TYPE_CHECKING:
    import onnx

# Of the answers whose probability reaches what the files call "unsure" below it, so many are right on validation.
ACCURACY = 0.95
# uint8 images (n, H, W, C) -> logits and probabilities (n, classes) float32.
Answerer = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Traced:
    """A classifier's program with its contract: what every format is written from."""

    classifier: Classifier
    contract: Contract

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """`onnx_model.Answering`, traced. Raises TenfoldError where it cannot be."""
        program = trace_classifier(self.classifier, self.contract.temperature)
        # Where each operator stood in whose source code, with the paths of this machine, is nobody's business.
        for node in program.graph.nodes:
            for key in ("stack_trace", "nn_module_stack", "source_fn_stack"):
                node.meta.pop(key, None)
        return program

    @cached_property
    def onnx(self) -> "onnx.ModelProto":
        """The program as an ONNX model, converted once for all formats that are made of it."""
        return answering_model(self.program)

    def save_onnx(self, path: Path, **more: str) -> None:
        """Write the ONNX file, with the contract in its metadata."""
        save_onnx(copy.deepcopy(self.onnx), path, self.contract.class_names, {**self.about, **more})

    @property
    def about(self) -> dict[str, str]:
        """The metadata of all formats, as texts."""
        channels, height, width = self.contract.image
        return {
            "image_shape": json.dumps([height, width, channels]),
            "temperature": repr(self.contract.temperature),
            "unsure_below": repr(float(self.contract.threshold(ACCURACY))),
            "unsure_accuracy": repr(ACCURACY),
            "inference": json.dumps(asdict(self.contract), ensure_ascii=False),
        }


class Format(Protocol):
    """One form: `about` says to whom it is of use."""

    files: tuple[str, ...]
    about: str

    def check(self) -> None:
        """Raise InputError where what writes it is not installed."""
        ...

    def write(self, traced: Traced, folder: Path) -> None:
        """Write `files` into `folder`."""
        ...

    def open(self, folder: Path) -> Answerer:
        """What runs the files of `folder`."""
        ...


class Onnx:
    """ONNX Runtime's own file."""

    files: tuple[str, ...] = ("model.onnx",)
    about = "ONNX Runtime, in every language and on every device that it supports"

    def check(self) -> None:
        """It is always there."""

    def write(self, traced: Traced, folder: Path) -> None:
        """Write `model.onnx`."""
        traced.save_onnx(folder / self.files[0])

    def open(self, folder: Path) -> Answerer:
        """An ONNX Runtime session on the CPU."""
        return onnx_answerer(folder / self.files[0])


class Torch:
    """A program that PyTorch runs without the classes that it was made of."""

    files: tuple[str, ...] = ("model.pt2",)
    about = "PyTorch: torch.export.load('model.pt2').module()(images)"

    def check(self) -> None:
        """It is always there."""

    def write(self, traced: Traced, folder: Path) -> None:
        """Write `model.pt2`, with the contract as `inference.json` in it."""
        extra = {"inference.json": traced.about["inference"]}
        with explained_export():
            torch.export.save(traced.program, folder / self.files[0], extra_files=extra)

    def open(self, folder: Path) -> Answerer:
        """The loaded program."""
        module = torch.export.load(folder / self.files[0]).module()

        @torch.inference_mode()
        def answer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            logits, probabilities = module(torch.from_numpy(images))
            return logits.numpy(), probabilities.numpy()

        return answer


class OpenVino:
    """OpenVINO's intermediate representation, with weights as float32."""

    files: tuple[str, ...] = ("model.xml", "model.bin")
    about = "OpenVINO, on Intel's processors, graphics and NPUs"

    def check(self) -> None:
        """Raise InputError where openvino is not installed."""
        if find_spec("openvino") is None:
            raise InputError(
                "--format openvino: openvino is not installed. Install it with: pip install 'tenfold[openvino]'"
            )

    def write(self, traced: Traced, folder: Path) -> None:
        """Write `model.xml` and `model.bin`."""
        import openvino

        # Read as OpenVINO reads every ONNX file; `openvino.convert_model` would also report its use to Intel.
        path = folder / ".openvino.onnx"
        try:
            path.write_bytes(traced.onnx.SerializeToString())
            model = openvino.Core().read_model(path)
            for key, value in traced.about.items():
                model.set_rt_info(value, ["tenfold", key])
            openvino.save_model(model, folder / self.files[0], compress_to_fp16=False)
        finally:
            path.unlink(missing_ok=True)

    def open(self, folder: Path) -> Answerer:
        """The model compiled for the CPU, in float32: by itself, OpenVINO rounds to bfloat16 on newer processors."""
        import openvino

        options = {"INFERENCE_PRECISION_HINT": "f32"}
        model = openvino.Core().compile_model(folder / self.files[0], "CPU", options)

        def answer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            answered: Any = model({IMAGES: images})
            return answered[LOGITS].copy(), answered[PROBABILITIES].copy()

        return answer


FORMATS: dict[str, Format] = {"onnx": Onnx(), "torch": Torch(), "openvino": OpenVino()}


def chosen_formats(names: tuple[str, ...]) -> dict[str, Format]:
    """The formats named, in the order of `FORMATS`; ONNX is always among them, because `predict.py` needs it.

    Raises InputError for names that are unknown, and for formats whose library is not installed.
    """
    for name in names:
        if name not in FORMATS:
            raise InputError(
                f"--format {name}: there is no such format{nearest(name, list(FORMATS))}; "
                f"valid: {', '.join(FORMATS)}."
            )
    chosen = {name: form for name, form in FORMATS.items() if name in ("onnx", *names)}
    for form in chosen.values():
        form.check()
    return chosen


def onnx_answerer(path: Path) -> Answerer:
    """An ONNX file of `write_onnx` in ONNX Runtime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def answer(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, probabilities = session.run([LOGITS, PROBABILITIES], {IMAGES: images})
        return np.asarray(logits), np.asarray(probabilities)

    return answer
