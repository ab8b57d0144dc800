"""Running a frozen extractor fast: ONNX Runtime on a CPU, half precision on CUDA, plain PyTorch elsewhere.

An encoder maps uint8 images (n, H, W, C) to features (n, h, w, F) float16. On a CPU, ONNX Runtime runs mobile
networks several times as fast as eager PyTorch, because it fuses convolution, batch norm and activation.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from tenfold.core.axes import channels_first, channels_last
from tenfold.core.errors import TenfoldError
from tenfold.data import Split
from tenfold.inference.graphs import Graph
from tenfold.models import Classifier

Encoder = Callable[[np.ndarray], np.ndarray]

# Images per call. On a CPU a small batch keeps the activations in the cache and the memory bounded.
CPU_BATCH, DEVICE_BATCH = 8, 256
# Largest difference from PyTorch's float32 features on the first batch, as a share of their largest value.
TOLERANCE = {"onnxruntime": 1e-3, "half precision": 3e-2, "PyTorch": 0.0}
# float16 ends at 65504; features beyond are as good as infinite to any head, so they are held there.
_LARGEST = 65504.0


class _Encoding(nn.Module):
    """Images (N, C, H, W) on 0..255, float -> features (N, F, h, w)."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.extractor = model.frozen_part().extractor
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", model.mean)
        self.register_buffer("deviation", model.deviation)

    def forward(self, images: Tensor) -> Tensor:
        return self.extractor((images - self.mean) / self.deviation)


class Engine:
    """The fastest encoder for a device, proven equal to PyTorch on the first images that it sees.

    `name` says what runs it; `parity`, the largest difference found, as a share of the largest feature.
    """

    def __init__(self, model: Classifier, image_shape: tuple[int, int, int], device: torch.device) -> None:
        self.module = _Encoding(model).eval()
        self.image_shape, self.device = image_shape, device
        self.batch = CPU_BATCH if device.type == "cpu" else DEVICE_BATCH
        self.workers = torch.get_num_threads() if device.type == "cpu" else 1
        # On a CPU, and whether its model is an earlier export's.
        self._graph, self._kept = (
            Graph(self.module, (self.batch, *image_shape), model.frozen_part().about),
            False,
        )
        self.name, self._run = self._choose()
        self.parity: float | None = None

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Features (n, h, w, F) float16 of `pixels` (n, H, W, C), uint8 or float, on 0..255."""
        batches = [pixels[start : start + self.batch] for start in range(0, len(pixels), self.batch)]
        if self.parity is None:
            self._prove(_channels_first(batches[0]))
        with ThreadPoolExecutor(self.workers) as pool:
            parts = list(pool.map(lambda batch: self._run(_channels_first(batch)), batches))
        features = channels_last(torch.from_numpy(np.concatenate(parts))).numpy()
        return np.clip(features, -_LARGEST, _LARGEST).astype(np.float16)

    def _choose(self) -> tuple[str, Callable[[Tensor], np.ndarray]]:
        if self.device.type == "cpu":
            kept = self._graph.kept()
            self._kept = kept is not None
            return "onnxruntime", _onnx_runner(kept or self._graph.export(), self.batch)
        self.module.to(self.device)
        if self.device.type == "cuda":
            return "half precision", self._run_half
        return "PyTorch", self._run_plain

    @torch.inference_mode()
    def _run_plain(self, images: Tensor) -> np.ndarray:
        return self.module(images.to(self.device)).float().cpu().numpy()

    @torch.inference_mode()
    def _run_half(self, images: Tensor) -> np.ndarray:
        images = images.to(self.device, memory_format=torch.channels_last)
        with torch.autocast("cuda", torch.float16):
            return self.module(images).float().cpu().numpy()

    def _prove(self, images: Tensor) -> None:
        """Compare with PyTorch's float32 features. Raises TenfoldError where they differ by more than rounding."""
        parity = self._difference(images)
        if self._kept and not parity <= TOLERANCE[self.name]:
            # The code of the network may have changed since.
            self._kept, self._run = False, _onnx_runner(self._graph.export(), self.batch)
            parity = self._difference(images)
        if not parity <= TOLERANCE[self.name]:
            raise TenfoldError(
                f"{self.name} gives other features than PyTorch: they differ by {parity:.2g} of the largest on the "
                f"first {len(images)} images, expected at most {TOLERANCE[self.name]:g}. Nothing was cached. Try "
                "another version of onnxruntime, or another model.backbone."
            )
        self.parity = parity

    def _difference(self, images: Tensor) -> float:
        features, expected = self._run(images), self._run_plain(images)
        return float(np.abs(features - expected).max()) / max(float(np.abs(expected).max()), 1e-6)


def images_per_second(model: Classifier, split: Split, device: torch.device) -> float:
    """How fast a frozen model's features of a split are computed, measured on a few images after a warm-up."""
    engine = Engine(model, split.image_shape, device)
    images = split.images(slice(0, engine.batch * engine.workers * 2))
    engine(images)
    began = time.perf_counter()
    engine(images)
    return len(images) / (time.perf_counter() - began)


def _channels_first(pixels: np.ndarray) -> Tensor:
    return channels_first(torch.from_numpy(pixels)).float().contiguous()


def _onnx_runner(model: bytes, batch: int) -> Callable[[Tensor], np.ndarray]:
    """A function that runs an exported model, which takes batches of so many images; smaller ones are filled up."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A thread for each batch instead of all threads on one: mobile networks' layers are too small to be shared, and
    # threads that wait for each other at every layer stall where the machine has other work.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Memory comes back when a batch is done; without the arena's hoard the peak is lower and no slower.
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Tensor) -> np.ndarray:
        count = len(images)
        if count < batch:
            images = torch.cat([images, images.new_zeros(batch - count, *images.shape[1:])])
        return np.asarray(session.run(None, {name: images.numpy()})[0])[:count]

    return run
