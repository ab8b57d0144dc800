"""A small convolutional network that learns fast: what the speed records of CIFAR-10 teach, for a CPU as for a GPU.

The ideas and where they come from: a frozen convolution that whitens small patches, few wide 3x3 convolutions with
pooling before batch norm, and a scaled-down output (David Page, "How to Train Your ResNet", 2019; hlb-CIFAR10);
convolutions that start as the identity (airbench, Keller Jordan, arXiv 2404.00498). SiLU or ReLU stand for GELU,
which costs a CPU up to a sixth of a step, and whitening may take a stride, so that no layer works at full size.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from tenfold.core.errors import InputError
from tenfold.kernels import Stem, conv3x3_behind
from tenfold.models.keras_cnns import Filters
from tenfold.models.layers import BatchNorm2dReLU, Conv3x3
from tenfold.models.network import Network, Preprocessing, Shape
from tenfold.recipe.components import Count, Positive

Size = Annotated[int, Field(ge=2)]
# Added to the eigenvalues of the patches' covariance, so that directions without variance are not blown up.
_WHITENING_EPSILON = 5e-4
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def swift(
    image_shape: Shape,
    classes: int,
    *,
    widths: Filters = (32, 64, 128),
    depths: Filters = (2, 2, 2),
    patch: Size = 2,
    stride: Count = 1,
    directions: Count = 12,
    padded: bool = False,
    pooled: Count = 3,
    activation: Literal["relu", "gelu", "silu"] = "relu",
    scale: Positive | None = None,
    views: Literal[1, 2, 6] = 1,
) -> Network:
    """A whitening convolution and one block of 3x3 convolutions for each of `widths`; see the module's head.

    Whitening looks at `patch` x `patch` pixels every `stride` pixels along the `directions` of largest variance,
    each with both signs; `padded` adds mirrored pixels at the right and the bottom, so that 32 places stay 32 and
    fill the kernels' tiles of 4x4. A block has as many convolutions as `depths` says; the last `pooled` blocks halve
    the image after their first. The logits are the head's output times `scale`: by default one over the number of
    its inputs, so that they start near zero. `views`: when not training, the logits are the mean over the image (1),
    and its mirror image (2), and both shifted by a pixel towards two corners (6). Raises InputError for images that
    are too small, and for widths and depths that do not match.
    """
    if len(widths) != len(depths):
        raise InputError(
            f"model.widths={list(widths)} and model.depths={list(depths)}: each block needs one of each."
        )
    scale = scale or 1 / widths[-1]
    return Swift(
        image_shape,
        classes,
        widths,
        depths,
        patch,
        stride,
        directions,
        padded,
        pooled,
        activation,
        scale,
        views,
    )


class Swift(Network):
    """The network that `swift` describes; `initialise` must see training images before it learns."""

    def __init__(
        self,
        image_shape: Shape,
        classes: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        patch: int,
        stride: int,
        directions: int,
        padded: bool,
        pooled: int,
        activation: str,
        scale: float,
        views: int,
    ) -> None:
        super().__init__()
        self.margin = max(0, patch - stride) if padded else 0
        side = (min(image_shape[1:]) + self.margin - patch) // stride + 1
        if min(image_shape[1:]) < patch or side >> min(pooled, len(widths)) < 1:
            raise InputError(
                f"images of {image_shape[1]}x{image_shape[2]} are too small for this model: nothing is left after "
                "its poolings. Set a larger data.image_size, or fewer model.widths."
            )
        directions = min(directions, image_shape[0] * patch * patch)
        self.whitening = nn.Conv2d(image_shape[0], 2 * directions, patch, stride=stride)
        self.whitening.requires_grad_(False)
        self.activation = _ACTIVATIONS[activation]()
        inputs = (2 * directions, *widths)
        first_pooled = len(widths) - pooled
        self.blocks = nn.Sequential(
            *(
                Block(inputs[i], widths[i], depths[i], i >= first_pooled, activation)
                for i in range(len(widths))
            )
        )
        self.head = nn.Linear(widths[-1], classes, bias=False)
        nn.init.normal_(self.head.weight)
        self.scale, self.views = scale, views

    @property
    def preprocessing(self) -> Preprocessing:
        """Pixels around 0, most of them within 2."""
        return Preprocessing((127.5,), (64.0,))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised `images` (N, C, H, W)."""
        if self.training or self.views == 1:
            return self._logits(images)
        return torch.stack([weight * self._logits(view) for weight, view in _views(images, self.views)]).sum(
            0
        )

    @torch.no_grad()
    def initialise(self, images: Tensor) -> None:
        """Whiten by normalised training `images` (N, C, H, W): their patches' covariance becomes the identity."""
        size, stride = self.whitening.kernel_size[0], self.whitening.stride[0]
        patches = (
            F.unfold(images.cpu().contiguous(), size, stride=stride).transpose(1, 2).flatten(0, 1).double()
        )
        centre = patches.mean(0)
        patches = patches - centre
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        rows = (vectors / (values + _WHITENING_EPSILON).sqrt()).T.flip(0)[: len(self.whitening.weight) // 2]
        rows = torch.cat([rows, -rows])
        self.whitening.weight.copy_(rows.view_as(self.whitening.weight))
        self.whitening.bias.copy_(-rows @ centre)  # pyright: ignore[reportOptionalMemberAccess]

    def _logits(self, images: Tensor) -> Tensor:
        if self.training and isinstance(self.activation, nn.ReLU):
            features = self._after_first(images)
        else:
            if self.margin:
                images = F.pad(images, (0, self.margin, 0, self.margin), mode="reflect")
            features = self.blocks(self.activation(self.whitening(images)))
        return self.head(_largest(features)) * self.scale

    def _after_first(self, images: Tensor) -> Tensor:
        """The blocks' features, with whitening and the first convolution in one."""
        whitening, (first, *others) = self.whitening, self.blocks
        convolution, *layers = first  # pyright: ignore[reportGeneralTypeIssues]
        stem = Stem(whitening.weight, whitening.bias, whitening.stride[0], self.margin)  # pyright: ignore
        features = conv3x3_behind(stem, images, convolution.weight, convolution.pool)
        for layer in (*layers, *others):
            features = layer(features)
        return features


class Block(nn.Sequential):
    """3x3 convolutions, each with batch norm and activation; pooling follows the first, before its batch norm."""

    def __init__(self, inputs: int, width: int, depth: int, pool: bool, activation: str) -> None:
        layers: list[nn.Module] = []
        for index in range(depth):
            first = index == 0
            layers.append(Convolution(inputs if first else width, width, pool=pool and first))
            layers += _normed(width, activation)
        super().__init__(*layers)


class Convolution(Conv3x3):
    """A 3x3 convolution without bias whose first `inputs` outputs start as the identity."""

    def __init__(self, inputs: int, outputs: int, *, pool: bool) -> None:
        super().__init__(inputs, outputs, bias=False, pool=pool)
        nn.init.dirac_(self.weight.data[: min(inputs, outputs)])


def _normed(width: int, activation: str) -> list[nn.Module]:
    """Batch norm and activation; the norm shifts but does not scale, with averages fast enough for few steps."""
    norm = (BatchNorm2dReLU if activation == "relu" else nn.BatchNorm2d)(width, momentum=0.4)
    norm.weight.requires_grad_(False)
    return [norm] if activation == "relu" else [norm, _ACTIVATIONS[activation]()]


def _largest(features: Tensor) -> Tensor:
    """The largest number (N, C) of each channel of `features` (N, C, H, W)."""
    if features.device.type != "cpu":
        return features.amax((2, 3))  # which a compiler fuses with what stands around it
    # On a CPU the backward pass of amax takes several times as long.
    return F.adaptive_max_pool2d(features, 1).flatten(1)


def _views(images: Tensor, count: int) -> list[tuple[float, Tensor]]:
    """The views that `swift` averages over, with their weights, which sum to one."""
    views = [(0.25, images), (0.25, images.flip(3))]
    if count == 2:
        return [(0.5, view) for _, view in views]
    height, width = images.shape[2:]
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    for corner in (padded[:, :, :height, :width], padded[:, :, 2:, 2:]):
        views += [(0.125, corner), (0.125, corner.flip(3))]
    return views
