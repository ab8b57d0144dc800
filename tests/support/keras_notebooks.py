"""The notebooks' models as their Keras code writes them, and what carries weights from Keras to tenfold.

Import `keras` from here: it has to be told its backend before its first import. Where it is not installed,
tests that import this module are skipped.
"""

import os

import pytest
import torch
from torch import nn

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="Keras 3, the reference, is not installed (pip install keras)")
layers = keras.layers

if keras.backend.backend() != "torch":
    pytest.skip("Keras runs on another backend; unset KERAS_BACKEND", allow_module_level=True)

CLASSES = 10


def convolution(filters, padding="same", l2=0.0):
    """A 3x3 convolution with ReLU, as in all notebooks."""
    regularizer = keras.regularizers.L2(l2) if l2 else None
    return layers.Conv2D(
        filters, kernel_size=3, activation="relu", padding=padding, kernel_regularizer=regularizer
    )


def model_s():
    """Notebook 01."""
    blocks = [layer for filters in (16, 32, 64) for layer in (convolution(filters), layers.MaxPooling2D(2))]
    return [*blocks, layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(CLASSES)]


def model_s_deep(dropout=0.5, conv_l2=0.0, dense_l2=0.0):
    """Notebook 02, and with its L2 rates notebook 03."""
    regularizer = keras.regularizers.L2(dense_l2) if dense_l2 else None
    blocks = []
    for filters in (32, 64, 128):
        for _ in range(2):
            blocks += [convolution(filters, l2=conv_l2), layers.BatchNormalization()]
        blocks.append(layers.MaxPooling2D(2))
    return [
        *blocks,
        layers.Flatten(),
        layers.Dropout(dropout),
        layers.Dense(256, activation="relu", kernel_regularizer=regularizer),
        layers.Dropout(dropout),
        layers.Dense(CLASSES, kernel_regularizer=regularizer),
    ]


def single_conv(filters=32, dense=128):
    """Homework 2 to 4."""
    return [
        convolution(filters, padding="valid"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(dense, activation="relu"),
        layers.Dense(CLASSES),
    ]


def three_conv_gap():
    """Homework 5."""
    return [
        convolution(32),
        layers.MaxPooling2D(2),
        convolution(64),
        layers.MaxPooling2D(2),
        convolution(128),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2048, activation="relu"),
        layers.Dense(CLASSES),
    ]


def assemble(parts, image_shape=(32, 32, 3)):
    """The Keras model from pixels (N, H, W, C) on 0..255 to logits (the notebooks end in their softmax)."""
    return keras.Sequential([keras.Input(image_shape), layers.Rescaling(1 / 255), *parts])


def copy_weights(source, target: nn.Module) -> None:
    """Put the weights of Keras' `source` into tenfold's `target`."""
    for _, theirs, ours in weight_pairs(source, target):
        ours.copy_(theirs)


def weight_pairs(source, target: nn.Module):
    """(name, Keras' weight in PyTorch's order, tenfold's), layer by layer in the order that both share."""
    kinds = nn.Conv2d | nn.Linear | nn.BatchNorm2d
    learned = [module for module in target.modules() if isinstance(module, kinds)]
    for layer, module in zip([layer for layer in source.layers if layer.weights], learned, strict=True):
        for weight, tensor in zip(layer.weights, tensors_of(module), strict=True):
            yield f"{layer.name}/{weight.name}", as_torch(weight.value.detach()), tensor.detach()


def tensors_of(module: nn.Module) -> list[torch.Tensor]:
    """A module's tensors in the order in which Keras lists a layer's weights."""
    if isinstance(module, nn.BatchNorm2d):
        return [module.weight, module.bias, module.running_mean, module.running_var]
    return [module.weight, module.bias]


def as_torch(array: torch.Tensor) -> torch.Tensor:
    """Keras' (height, width, in, out) or (in, out) kernel in PyTorch's order; other weights as they are."""
    return array.permute(3, 2, 0, 1) if array.ndim == 4 else array.T if array.ndim == 2 else array
