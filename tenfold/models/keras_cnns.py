"""The notebooks' convolutional networks, with Keras' initialisation and flattening order.

Each function takes `image_shape` (C, H, W) and the number of `classes`, and gives a module from float images
(N, C, H, W), already rescaled, to logits (N, classes). Kernels start Glorot-uniform and biases at zero; flattened
features are ordered (H, W, C). Raises InputError where an image is too small for the model's pooling.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from tenfold.core.errors import InputError
from tenfold.models.layers import Conv3x3, MaxPool2d, ReLUBatchNorm2d
from tenfold.models.network import Layers, Network, Shape
from tenfold.recipe.components import Count, NonNegative, Share

# The filters of each convolution or block, first to last.
Filters = Annotated[tuple[Count, ...], Field(min_length=1)]


def single_conv(image_shape: Shape, classes: int, *, filters: Count = 32, dense: Count = 128) -> Network:
    """Homework 2 to 4: one unpadded 3x3 convolution, a maximum pooling and one dense hidden layer."""
    channels, height, width = image_shape
    side = ((height - 2) // 2, (width - 2) // 2)
    _need_room(image_shape, min(side))
    return Layers(
        Convolution(channels, filters, padding=0),
        *_pooled_activation(),
        Flatten(),
        *_dense_head(side[0] * side[1] * filters, dense, classes),
    )


def model_s(
    image_shape: Shape, classes: int, *, filters: Filters = (16, 32, 64), dense: Count = 128
) -> Network:
    """Notebook 01: a 3x3 convolution and a pooling for each of `filters`, then one dense hidden layer.

    With 32x32 RGB images and 10 classes it has 156,074 parameters.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in _pairs(image_shape[0], filters):
        layers += [Convolution(inputs, outputs), *_pooled_activation()]
    features = _pooled_size(image_shape, len(filters)) * filters[-1]
    return Layers(*layers, Flatten(), *_dense_head(features, dense, classes))


def three_conv_gap(
    image_shape: Shape, classes: int, *, filters: Filters = (32, 64, 128), dense: Count = 2048
) -> Network:
    """Homework 5: 3x3 convolutions with pooling between them, global average pooling, one dense hidden layer."""
    _pooled_size(image_shape, len(filters) - 1)
    layers: list[nn.Module] = []
    for inputs, outputs in _pairs(image_shape[0], filters):
        layers += [Convolution(inputs, outputs), *_pooled_activation()]
    layers[-2:] = [nn.ReLU(inplace=True)]
    return Layers(*layers, GlobalAverage(), *_dense_head(filters[-1], dense, classes))


def model_s_deep(
    image_shape: Shape,
    classes: int,
    *,
    filters: Filters = (32, 64, 128),
    dense: Count = 256,
    dropout: Share = 0.5,
    conv_l2: NonNegative = 0.0,
    dense_l2: NonNegative = 0.0,
    norm_momentum: Share = 0.99,
) -> Network:
    """Notebooks 02 and 03: blocks of two (convolution, ReLU, batch norm) and a pooling; dropout around a dense layer.

    With 32x32 RGB images and 10 classes it has 815,018 trainable of 815,914 parameters. Batch norm follows the
    ReLU, with epsilon 1e-3; `norm_momentum` is Keras' (0.99 is PyTorch's 0.01), and `conv_l2` and `dense_l2` are
    Keras' kernel regularisers.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in _pairs(image_shape[0], filters):
        for channels in (inputs, outputs):
            layers += [
                Convolution(channels, outputs, l2=conv_l2),
                ReLUBatchNorm2d(outputs, momentum=1 - norm_momentum, eps=1e-3),
            ]
        layers.append(MaxPool2d())
    features = _pooled_size(image_shape, len(filters)) * filters[-1]
    hidden, activation, output = _dense_head(features, dense, classes, l2=dense_l2)
    return PenalisedLayers(
        *layers, Flatten(), nn.Dropout(dropout), hidden, activation, nn.Dropout(dropout), output
    )


class Flatten(nn.Module):
    """(N, C, H, W) -> (N, H * W * C): Keras' order, which for channels_last memory is also a free view."""

    def forward(self, features: Tensor) -> Tensor:
        """Flatten `features` (N, C, H, W) to (N, H * W * C)."""
        return features.permute(0, 2, 3, 1).flatten(1)


class GlobalAverage(nn.Module):
    """(N, C, H, W) -> (N, C): the mean over all places."""

    def forward(self, features: Tensor) -> Tensor:
        """Average `features` (N, C, H, W) over H and W."""
        return features.mean((2, 3))


def _pooled_activation() -> list[nn.Module]:
    """ReLU and pooling the other way round: the same values and gradients, on a quarter of the places."""
    return [MaxPool2d(), nn.ReLU(inplace=True)]


def _pairs(channels: int, filters: Sequence[int]) -> list[tuple[int, int]]:
    """(inputs, outputs) of each convolution in a row."""
    return list(zip([channels, *filters], filters, strict=False))


class Convolution(Conv3x3):
    """A 3x3 convolution with Keras' initial values, and the rate of its L2 penalty."""

    def __init__(self, inputs: int, outputs: int, *, padding: int = 1, l2: float = 0.0) -> None:
        super().__init__(inputs, outputs, padding=padding)
        self.l2 = l2
        _initialise(self)


class Dense(nn.Linear):
    """A dense layer with Keras' initial values, and the rate of its L2 penalty."""

    def __init__(self, inputs: int, outputs: int, *, l2: float = 0.0) -> None:
        super().__init__(inputs, outputs)
        self.l2 = l2
        _initialise(self)


class PenalisedLayers(Layers):
    """Layers with Keras' kernel regularisers."""

    def penalty(self) -> Tensor | None:
        """Keras' L2 regularisers: the sum of `rate * sum(w ** 2)` over penalised kernels, or None without any."""
        layers = [layer for layer in self.modules() if isinstance(layer, Convolution | Dense) and layer.l2]
        return (
            torch.stack([layer.l2 * layer.weight.square().sum() for layer in layers]).sum()
            if layers
            else None
        )


def _initialise(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _dense_head(inputs: int, hidden: int, classes: int, *, l2: float = 0.0) -> list[nn.Module]:
    return [Dense(inputs, hidden, l2=l2), nn.ReLU(inplace=True), Dense(hidden, classes, l2=l2)]


def _pooled_size(image_shape: Shape, poolings: int) -> int:
    """How many places are left of the image after halving it `poolings` times."""
    _, height, width = image_shape
    height, width = height >> poolings, width >> poolings
    _need_room(image_shape, min(height, width))
    return height * width


def _need_room(image_shape: Shape, side: int) -> None:
    if side < 1:
        _, height, width = image_shape
        raise InputError(
            f"images of {height}x{width} are too small for this model: nothing is left after its poolings. "
            "Set a larger data.image_size, or fewer model.filters."
        )
