"""The classifier: preprocessing and network, built from a recipe's choice, described as a table."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from tenfold.models.network import FrozenFeatures, Network, Preprocessing, Shape
from tenfold.models.own import OwnModel, build_own
from tenfold.recipe.components import Choice, components


class Classifier(nn.Module, ABC):
    """A network with its preprocessing: images (N, C, H, W) on 0..255, uint8 or float, to logits (N, classes).

    What is saved of it is abstract; all else is final. It is either whole, or the head of a whole one.
    """

    def __init__(
        self,
        network: Network,
        architecture: Choice,
        image_shape: Shape,
        classes: int,
        preprocessing: Preprocessing,
    ) -> None:
        super().__init__()
        self.network = network
        self.architecture = architecture
        self.image_shape = image_shape
        self.classes = classes
        self.preprocessing = preprocessing
        self.mean: Tensor
        self.deviation: Tensor
        # Not persistent: they are written once, in model.json, and not again with the weights.
        self.register_buffer("mean", _per_channel(preprocessing.mean), persistent=False)
        self.register_buffer("deviation", _per_channel(preprocessing.deviation), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes), float32 as the preprocessing is, of `images` (N, C, H, W) on 0..255."""
        return self.network((images.to(self.mean.dtype) - self.mean) / self.deviation).to(self.mean.dtype)

    def penalty(self) -> Tensor | None:
        """What the network adds to the loss, (), or None."""
        return self.network.penalty()

    @abstractmethod
    def parameter_counts(self) -> tuple[int, int]:
        """(trainable, total) numbers of what is saved, with batch norm's moving averages in the total as in Keras."""

    def parameter_groups(self) -> list[Any]:
        """What an optimizer is given: parameters, or the network's own groups with their `lr_scale`."""
        return self.network.parameter_groups()

    def initialise(self, images: Tensor) -> None:
        """Let a network that starts from what training images look like see some: (N, C, H, W) on 0..255."""
        self.network.initialise((images.to(self.mean.dtype) - self.mean) / self.deviation)

    def begin_epoch(self, epoch: int) -> None:
        """Tell the network which epoch begins (counted from 1)."""
        self.network.begin_epoch(epoch)

    def frozen_part(self) -> FrozenFeatures:
        """The network's part that never learns, and its head. Raises ValueError where it has none."""
        frozen = self.network.frozen
        if frozen is None:
            raise ValueError(f"{self.architecture.name}: all of this network is trained on images")
        return frozen

    @abstractmethod
    def complete(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """What to save for `weights` of this module, to rebuild what `describe` describes."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What `model.json` holds beside the class names; `build_model` makes the same classifier of it."""


@final
class WholeClassifier(Classifier):
    """A classifier that is saved as it is."""

    def parameter_counts(self) -> tuple[int, int]:
        """(trainable, total) numbers; the total counts batch norm's moving averages too, as Keras' does."""
        trainable = sum(p.numel() for p in self.parameters() if p.requires_grad)
        total = sum(p.numel() for p in self.parameters())
        total += sum(b.numel() for b in self.network.buffers() if b.is_floating_point())
        return trainable, total

    def complete(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same weights."""
        return weights

    def describe(self) -> dict[str, Any]:
        """Architecture, image shape (C, H, W) and preprocessing."""
        return {
            "architecture": self.architecture.model_dump(mode="json"),
            "image_shape": list(self.image_shape),
            "preprocessing": asdict(self.preprocessing),
        }


def build_model(
    choice: Choice,
    image_shape: Shape,
    classes: int,
    *,
    seed: int = 0,
    preprocessing: Preprocessing | None = None,
    pretrained: bool = False,
    own: OwnModel | None = None,
) -> Classifier:
    """Build the classifier that a recipe's `[model]` names, with initial weights drawn from `seed`.

    `image_shape` is (C, H, W). With `pretrained`, a network that starts from weights of its own gets them. Without
    `preprocessing`, the network's own is used. `own` is the user's model, where that is what the recipe names. The
    global random state is left as it was.
    Raises InputError where the images do not suit the model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if own is None:
            network: Network = components("model")[choice.name](image_shape, classes, **choice.options)
        else:
            network, choice = build_own(choice, own, image_shape, classes)
    if pretrained:
        network.load_pretrained()
    model = WholeClassifier(network, choice, image_shape, classes, preprocessing or network.preprocessing)
    return model.to(memory_format=torch.channels_last)  # pyright: ignore


@dataclass(frozen=True)
class Layer:
    """One line of the summary table: `output_shape` without the batch, `parameters` with moving averages."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int


def summarise(model: Classifier) -> list[Layer]:
    """One `Layer` for every module without children, in the order of the data, by running one blank image."""
    layers: dict[str, Layer] = {}

    def note(name: str, module: nn.Module) -> Any:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            tensors = [*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())]
            parameters = sum(t.numel() for t in tensors)
            # The first time only: a network that averages over views calls its layers once for each.
            layers.setdefault(name, Layer(name, type(module).__name__, tuple(output.shape[1:]), parameters))

        return module.register_forward_hook(hook)

    leaves = [(name, module) for name, module in model.network.named_modules() if not list(module.children())]
    handles = [note(name, module) for name, module in leaves]
    training = model.training
    try:
        device = next(model.parameters()).device
        with torch.inference_mode():
            model.eval()(torch.zeros(1, *model.image_shape, device=device))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return list(layers.values())


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)
