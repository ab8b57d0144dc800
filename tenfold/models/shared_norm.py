"""Batch norm whose statistics are those of a batch that several processes share, on any device.

PyTorch's own `SyncBatchNorm` needs a GPU; this one does what it does with whatever joins the processes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from tenfold.core.world import World
from tenfold.models.layers import BatchNorm2dReLU, ReLUBatchNorm2d


class Sharing:
    """Who shares the batch that norms see: `world`, or nobody while it is whole in each process."""

    def __init__(self, world: World) -> None:
        self.world = world

    @contextmanager
    def of(self, world: World) -> Iterator[None]:
        """The batch is shared by `world` here."""
        before, self.world = self.world, world
        try:
            yield
        finally:
            self.world = before


def share_norms(module: nn.Module, sharing: Sharing) -> None:
    """Let every batch norm below `module` normalise by the shared batch while it learns; in place.

    Names, weights and moving averages stay what they are, so that the network is saved as ever.
    """
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            module.register_module(name, SharedNorm(child, sharing))
        else:
            share_norms(child, sharing)


def norm_averages(network: nn.Module) -> list[Tensor]:
    """The moving averages of every batch norm of `network`."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    averages = [average for norm in norms for average in (norm.running_mean, norm.running_var)]
    return [average for average in averages if average is not None]


class SharedNorm(_BatchNorm):
    """A batch norm (Ioffe & Szegedy, arXiv 1502.03167) of (N, C, ...), with the ReLU that `norm` has."""

    def __init__(self, norm: _BatchNorm, sharing: Sharing) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.sharing = sharing
        self.relu_before = isinstance(norm, ReLUBatchNorm2d)
        self.relu_after = isinstance(norm, BatchNorm2dReLU)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        return

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input` (N, C, ...)."""
        input = F.relu(input) if self.relu_before else input
        learns = self.training or self.running_mean is None
        result = self._by_batch(input) if learns else super().forward(input)
        return F.relu(result) if self.relu_after else result

    def _by_batch(self, input: Tensor) -> Tensor:
        normalised, *moments = _Normalise.apply(input, self.eps, self.sharing.world)  # pyright: ignore
        if self.training and self.running_mean is not None:
            self._remember(*moments)
        if not self.affine:
            return normalised
        shape = _per_channel(input)
        return torch.addcmul(self.bias.view(shape), normalised, self.weight.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Take a batch's moments (C,) into the moving averages; the variance as that of a sample."""
        self.num_batches_tracked.add_(1)  # pyright: ignore[reportOptionalMemberAccess]
        # Without a momentum, the averages are those of all batches.
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum  # pyright: ignore
        for average, moment in (
            (self.running_mean, mean),
            (self.running_var, variance * (count / (count - 1))),
        ):
            average.lerp_(moment.to(average.dtype), weight)  # pyright: ignore[reportOptionalMemberAccess]


class _Normalise(torch.autograd.Function):
    """(images, epsilon, world) -> normalised images, and mean (C,), variance (C,) and count () of the shared batch.

    Moments are joined in double precision, from each process's mean and its squares about it (Chan, Golub & LeVeque,
    "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, epsilon: float, world: World) -> Any:
        kept = images.float() if images.dtype == torch.bfloat16 else images
        parts = torch.var_mean(kept, _but_channels(images), correction=0)
        own_variance, own_mean = (part.double() for part in parts)
        rows = images.numel() // images.shape[1]
        sums = world.add(torch.cat([own_mean * rows, own_mean.new_tensor([rows])]))
        mean, count = sums[:-1] / sums[-1], sums[-1]
        variance = world.add((own_variance + (own_mean - mean).square()) * rows) / count
        scale = (variance + epsilon).rsqrt().to(kept.dtype).view(_per_channel(images))
        normalised = ((kept - mean.to(kept.dtype).view(_per_channel(images))) * scale).to(images.dtype)
        ctx.save_for_backward(normalised, scale, count)
        ctx.world = world
        ctx.mark_non_differentiable(mean, variance, count)
        return normalised, mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradients: Tensor, *_: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore
        normalised, scale, count = ctx.saved_tensors
        axes, shape = _but_channels(normalised), _per_channel(normalised)
        kept = gradients.to(scale.dtype)
        sums = torch.stack([kept.sum(axes), (kept * normalised).sum(axes)]).double()
        mean, along = (part.to(kept.dtype).view(shape) for part in ctx.world.add(sums) / count)
        return ((kept - mean - normalised * along) * scale).to(gradients.dtype), None, None


def _but_channels(images: Tensor) -> list[int]:
    return [0, *range(2, images.dim())]


def _per_channel(images: Tensor) -> list[int]:
    return [1, -1, *[1] * (images.dim() - 2)]
