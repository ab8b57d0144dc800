"""Answers by PyTorch, in the batches and by the engine that `evaluate` uses: on one device, the same up to rounding.

The same bits where it is asked for: sums of a matrix product may depend on the number of threads that share it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from tenfold.core.axes import channels_first
from tenfold.data.batches import evaluation_batch
from tenfold.inference.engines import Engine
from tenfold.models import Classifier


class TorchPredictor:
    """A classifier on a device. A frozen backbone runs in the engine that computes its features, then its head.

    `exactly`: all threads share each batch, as in `evaluate`.
    """

    name = "PyTorch"

    def __init__(self, model: Classifier, device: torch.device, exactly: bool = False) -> None:
        self.device, self._exactly = device, exactly
        self._model = model.to(device).eval()
        self._engine: Engine | None = None
        _, height, width = model.image_shape
        self._frozen = model.network.frozen
        if self._frozen is not None:
            self._engine = Engine(model, model.image_shape, device)
            self.name = f"{self._engine.name}, then PyTorch"
            height, width = self._frozen.shape[1:]
        self.batch = evaluation_batch(height, width, device)

    @contextmanager
    def side_by_side(self) -> Iterator[int]:
        """A call for each of PyTorch's threads: threads that share a batch would wait for each other.

        An engine shares batches out by itself, and a GPU has one queue.
        """
        threads = torch.get_num_threads()
        alone = self._exactly or self._engine is not None
        if alone or self.device.type != "cpu" or threads == 1:
            yield 1
            return
        torch.set_num_threads(1)
        try:
            yield threads
        finally:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Logits (n, K) float32 of `pixels` (n, H, W, C) uint8."""
        if self._engine is None or self._frozen is None:
            return self._model(self._images(pixels)).cpu().numpy()
        features = self._images(self._engine(pixels)).float()
        return self._frozen.head(features).float().cpu().numpy()

    @torch.inference_mode()
    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Raw probabilities (n, K) float32 of logits (n, K)."""
        return torch.from_numpy(logits).to(self.device).softmax(1).cpu().numpy()

    def _images(self, pixels: np.ndarray) -> torch.Tensor:
        """(n, H, W, C) as (n, C, H, W) on the device, in channels_last memory."""
        return channels_first(torch.from_numpy(pixels).to(self.device))
