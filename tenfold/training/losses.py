"""What an image's answer costs: cross-entropy, and what `[fit]` makes of it for classes of unequal size."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tenfold.recipe import Fit


class Criterion:
    """The loss of logits (n, K) against targets: classes (n,) int64, or shares of them (n, K).

    `counts` (K,) are the training images of each class. With `whole`, the loss is that of all training images at
    once, so that a balanced sampler is what it comes to on the average: balanced weights. The loss of a batch is the
    mean over its images, however they are weighted.
    """

    def __init__(
        self,
        fit: Fit,
        counts: Sequence[int],
        device: torch.device,
        *,
        whole: bool = False,
        smoothing: float = 0.0,
    ) -> None:
        shares = torch.tensor(counts, dtype=torch.float64) / sum(counts)
        weights = torch.tensor(fit.weights(counts), dtype=torch.float64)
        if whole and fit.sampler == "balanced":
            weights = weights / (shares * len(counts))
        self.weights = weights.float().to(device)
        self.shift = (fit.logit_adjustment * shares.log()).float().to(device)
        self.gamma, self.smoothing = fit.focal_gamma, smoothing
        weighted = float((weights - 1).abs().max()) > 0
        self.plain = not (weighted or fit.logit_adjustment or fit.focal_gamma)

    def __call__(self, logits: Tensor, targets: Tensor, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
        """The mean or the sum () of the images' losses."""
        if self.plain:
            return F.cross_entropy(logits, targets, label_smoothing=self.smoothing, reduction=reduction)
        each = self._each(logits + self.shift, targets)
        return each.mean() if reduction == "mean" else each.sum()

    def _each(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss (n,) of each image, its logits adjusted already."""
        if not self.gamma:
            return F.cross_entropy(
                logits, targets, self.weights, label_smoothing=self.smoothing, reduction="none"
            )
        classes = logits.shape[1]
        shares = targets if targets.is_floating_point() else F.one_hot(targets, classes).to(logits.dtype)
        shares = shares * (1 - self.smoothing) + self.smoothing / classes
        logs = logits.log_softmax(1)
        # (1 - p) ** gamma, whose derivative at p = 1 would not be finite for a gamma below 1.
        unsure = (1 - logs.exp()).clamp_min(1e-7) ** self.gamma
        return -(self.weights * shares * unsure * logs).sum(1)
