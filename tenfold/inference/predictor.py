"""Who answers: ONNX Runtime, which starts in no time, or PyTorch, exactly as the run was evaluated."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import numpy as np

from tenfold.core.errors import InputError

# Images per call: what `evaluate` takes on a CPU, so that the two give the same bits.
BATCH = 256
MODEL = "model.onnx"


class Predictor(Protocol):
    """What turns pixels into logits."""

    name: str
    batch: int  # pictures per call that suit it

    def side_by_side(self) -> AbstractContextManager[int]:
        """While it is open, so many threads may call at a time: for many batches, each thread has a core."""
        ...

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Logits (n, K) float32 of `pixels` (n, H, W, C) uint8."""
        ...

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Raw probabilities (n, K) float32 of logits (n, K)."""
        ...


class OnnxPredictor:
    """`folder/model.onnx` in ONNX Runtime: uint8 (N, H, W, C) in, logits out.

    With `many` batches to come, each core works on one; otherwise all work on the same.
    Raises InputError where there is no such file, or where it cannot be loaded.
    """

    name = "ONNX Runtime"
    batch = BATCH

    def __init__(self, folder: Path, many: bool = False) -> None:
        import onnxruntime

        path = folder / MODEL
        if not path.is_file():
            raise InputError(f"{path}: there is no such file. `tenfold export` makes a folder that has it.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1 if many else 0  # 0: a thread for each core
        # Threads that spin while they wait take time from those that decode, and from a server's other clients.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            raise InputError(
                f"{path}: cannot be loaded ({error}). Remove it; it is made again from the run, or export again."
            ) from None
        self._calls = os.cpu_count() or 1 if many else 1
        self._input = self._session.get_inputs()[0].name
        names = [output.name for output in self._session.get_outputs()]
        self._output = "logits" if "logits" in names else names[0]

    def side_by_side(self) -> AbstractContextManager[int]:
        """How many threads may call at a time."""
        return nullcontext(self._calls)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Logits (n, K) float32 of `pixels` (n, H, W, C) uint8."""
        return np.asarray(self._session.run([self._output], {self._input: np.ascontiguousarray(pixels)})[0])

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Raw probabilities (n, K) float32 of logits (n, K)."""
        return softmax(logits)


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities (n, K) float32 of `logits` (n, K) over `temperature`, computed in double precision."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
