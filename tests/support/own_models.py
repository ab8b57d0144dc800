"""Modules as a user of tenfold would write them, importable by name."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Plain(nn.Module):
    """A small convolutional network that knows nothing of tenfold."""

    def __init__(self, channels: int, classes: int, width: int = 8) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(width * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = F.adaptive_max_pool2d(self.norm(self.convolution(images)).relu(), 4)
        return self.output(self.dropout(features.flatten(1)))


def make(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """As tenfold calls it: for images (C, H, W) and a number of classes."""
    return Plain(image_shape[0], classes)


def wider(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The same tensors' names with other shapes."""
    return Plain(image_shape[0], classes, width=12)


class Smooth(Plain):
    """The same tensors, names and shapes, and yet another function."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        self.dropout = nn.AlphaDropout(0.2)


def smooth(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """A module that the weights fit, though it is not the one that was trained."""
    return Smooth(image_shape[0], classes)


def features_only(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Not a classifier."""
    return nn.Conv2d(image_shape[0], 4, 3)


def not_a_module(image_shape: tuple[int, int, int], classes: int) -> torch.Tensor:
    """Not a module."""
    return torch.zeros(classes)
