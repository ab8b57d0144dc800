"""The contract of a network: everything that tenfold may ask of one, each optional behaviour with its default.

A network maps normalised images to logits. A subclass writes `forward`, and overrides what it does otherwise; nothing
is found by an attribute's name. `Layers` is the contract for a plain chain of layers.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Preprocessing:
    """How pixels on 0..255 become the network's input: `(pixels - mean) / deviation`, per channel or for all."""

    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (255.0,)


@dataclass(frozen=True, eq=False)
class FrozenFeatures:
    """A network as a part that never learns, whose features can be computed once, and the head that learns from them.

    `extractor` maps normalised images (N, C, H, W) to features (N, *shape), and `head`, a network of its own and the
    whole network's attribute of that name, maps those to logits; `about` is what decides the features, weights apart
    (it names them in the cache). `views` is how many versions of each training image the features are computed of.
    With `strengths` the head is linear, and is solved as a logistic regression for each of those strengths of
    regularisation, from strong to weak; without, it learns by gradient steps.
    """

    extractor: nn.Module
    head: "Network"
    shape: Shape
    about: dict[str, Any] = field(default_factory=dict)
    views: int = 1
    strengths: tuple[float, ...] = ()


class Network(nn.Module, ABC):
    """Normalised images (N, C, H, W), float -> logits (N, classes)."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised `images` (N, C, H, W)."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What makes pixels on 0..255 this network's input; by default they are divided by 255."""
        return Preprocessing()

    @property
    def frozen(self) -> FrozenFeatures | None:
        """The network in two parts, where the first never learns; by default None: all of it is trained on images."""
        return None

    def load_pretrained(self) -> None:
        """Put in weights that the network starts from. Called once, for a new run; by default there are none.

        A finished run is rebuilt from its own folder alone.
        """
        return

    def initialise(self, images: Tensor) -> None:
        """See normalised training `images` (N, C, H, W) before the first step; by default nothing is made of them."""
        return

    def begin_epoch(self, epoch: int) -> None:
        """Hear which epoch begins, counted from 1, for instance to unfreeze a stage; by default nothing changes."""
        return

    def parameter_groups(self) -> list[Any]:
        """What an optimizer is given: parameters, or groups such as `{"params": [...], "lr_scale": 0.1}`.

        By default all parameters. A group's rate is the recipe's times its `lr_scale`.
        """
        return list(self.parameters())

    def penalty(self) -> Tensor | None:
        """What is added to the loss, (), such as a sum of squared weights; by default None: nothing."""
        return None


# PyTorch types `_modules`, and names the parameter of `forward`, otherwise than its own base class.
class Layers(nn.Sequential, Network):  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
    """Layers one after the other, with every default of the contract."""
