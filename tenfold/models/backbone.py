"""A timm backbone, its images resized on the way, and a head: one network, whether trained as a whole or not.

The backbone's own settings (size, interpolation, mean, deviation) come from timm's configuration. Its weights are put
in by `load_pretrained`, which only a new run calls: a finished run is rebuilt from its own folder alone.
"""

from collections import defaultdict
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from tenfold.core.errors import InputError
from tenfold.models.keras_cnns import Dense, Flatten
from tenfold.models.network import Classifier, Preprocessing
from tenfold.models.weights import WeightsFile, find_weights, pretrained_configuration, put_weights
from tenfold.recipe.components import Count, Positive, Share

Shape = tuple[int, int, int]
Stages = Annotated[int, Field(ge=0)]
# Regularisation of the logistic head, strong to weak, about sqrt(10) apart: lambda in `loss + lambda / 2 * sum(w^2)`.
STRENGTHS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)


def backbone(
    image_shape: Shape,
    classes: int,
    *,
    backbone: str = "tf_efficientnet_lite0",
    weights: str = "auto",
    image_size: Annotated[int, Field(ge=0)] = 0,
    features: Literal["average", "map"] = "average",
    stages: Stages = 0,
    head: Literal["logistic", "mlp"] = "logistic",
    standardise: bool = True,
    dense: Count = 2048,
    dropout: Share = 0.0,
    strengths: tuple[Positive, ...] = STRENGTHS,
    views: Count = 1,
    unfreeze: Stages | Literal["all"] = 0,
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.7,
    gradual: Stages = 0,
    norm: Literal["frozen", "adapted"] = "frozen",
) -> nn.Module:
    """A pretrained timm model under a new head.

    `image_size`: what images are resized to (0: the backbone's own). `features`: the backbone's own pooled
    features, or its last feature map, flattened; `stages` adds the averages of that many last stages. `head`: a
    logistic regression whose strength is chosen among `strengths` on validation data, or a layer of `dense` units;
    `standardise` centres and scales features by the training images'. `views`: versions of each training image in the
    feature cache, the first as it is and the others augmented. `unfreeze`: how many of the last stages are trained
    (0: features are cached), each earlier one with `layer_decay` times the rate of the next; with `gradual`, one more
    stage every so many epochs. `norm`: batch norm keeps its averages, or adapts them while it trains.
    """
    extractor = Extractor(image_shape, backbone, weights, image_size, features, stages)
    new_head = HEADS[head](extractor.feature_shape, classes, standardise, dense, dropout)
    return Transfer(extractor, new_head, unfreeze, layer_decay, gradual, norm == "adapted")


class Resize(nn.Module):
    """(N, C, H, W) -> (N, C, size, size) as two matrix products.

    Resizing is linear along each axis, so its matrices are what PyTorch's own antialiased interpolation makes of an
    identity; as products they are several times as fast on small images, and every runtime has them.
    """

    def __init__(self, height: int, width: int, size: int, interpolation: str) -> None:
        super().__init__()
        self.rows: Tensor
        self.columns: Tensor
        self.register_buffer("rows", _resizing(height, size, interpolation), persistent=False)
        self.register_buffer("columns", _resizing(width, size, interpolation).T, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Resize float `images` (N, C, H, W)."""
        return self.rows @ images @ self.columns


class Extractor(nn.Module):
    """Normalised images (N, C, H, W) -> features (N, F, h, w): resizing and a timm model without its classifier."""

    def __init__(
        self,
        image_shape: Shape,
        backbone: str,
        weights: str,
        image_size: int,
        features: str,
        stages: int,
    ) -> None:
        super().__init__()
        import timm

        self.configuration = pretrained_configuration(backbone)
        self.backbone, self.weights, self.features, self.stages = backbone, weights, features, stages
        self.image_size = self._chosen_size(image_size)
        self.interpolation = self.configuration.get("interpolation", "bicubic")
        self.resize = Resize(*image_shape[1:], self.image_size, self.interpolation)
        fixed: dict[str, Any] = (
            {"img_size": self.image_size} if self.configuration.get("fixed_input_size") else {}
        )
        self.network: Any = timm.create_model(backbone, pretrained=False, num_classes=0, **fixed)
        self._check_stride()
        if features == "map":
            self._forget_head()
        with torch.no_grad():
            blank = torch.zeros(1, 3, *image_shape[1:])
            self.feature_shape = cast(Shape, tuple(self.eval()(blank).shape[1:]))

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, F, h, w); averages have h = w = 1."""
        images = self.resize(images.expand(-1, 3, -1, -1)).contiguous(memory_format=torch.channels_last)
        if self.features == "map":
            return self.network.forward_features(images)
        if not self.stages:
            return self.network(images)[:, :, None, None]
        last, maps = self.network.forward_intermediates(images, indices=self.stages)
        pooled = [m.mean((2, 3)) for m in maps] + [self.network.forward_head(last, pre_logits=True)]
        return torch.cat(pooled, 1)[:, :, None, None]

    def load_pretrained(self) -> WeightsFile | None:
        """Put in the weights that the recipe names; give their file (None: random weights)."""
        file = find_weights(self.backbone, self.weights)
        if file is not None:
            names = self.configuration.get("classifier") or ()
            put_weights(self.network, file, (names,) if isinstance(names, str) else tuple(names))
        return file

    def describe(self) -> dict[str, Any]:
        """What decides the features, weights apart."""
        return {
            "backbone": self.backbone,
            "image_size": self.image_size,
            "interpolation": self.interpolation,
            "features": self.features,
            "stages": self.stages,
        }

    def _chosen_size(self, wanted: int) -> int:
        own = int(self.configuration.get("input_size", (3, 224, 224))[-1])
        if wanted not in (0, own) and self.configuration.get("fixed_input_size"):
            raise InputError(
                f"model.image_size={wanted}: {self.backbone} takes images of {own}x{own} only. Leave it out."
            )
        return wanted or own

    def _check_stride(self) -> None:
        info = getattr(self.network, "feature_info", None) or [{"reduction": 1}]
        stride = max(int(stage["reduction"]) for stage in info)
        if self.image_size < stride:
            raise InputError(
                f"model.image_size={self.image_size}: {self.backbone} takes one feature from every {stride}x{stride} "
                f"pixels, so an image needs at least {stride} a side. Set a larger model.image_size."
            )
        if self.stages > len(info) or (self.stages and not hasattr(self.network, "forward_intermediates")):
            raise InputError(
                f"model.stages={self.stages}: {self.backbone} has {len(info)} stages to take. Set fewer."
            )

    def _forget_head(self) -> None:
        """Drop the layers after the last feature map, which would only be stored and never used."""
        if hasattr(self.network, "prune_intermediate_layers"):
            self.network.prune_intermediate_layers(1, prune_norm=False, prune_head=True)


class Standardise(nn.Module):
    """(N, F) -> (N, F): features minus their mean, over their deviation; as it is until `measure` is given some."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    def forward(self, features: Tensor) -> Tensor:
        """Centre and scale `features` (N, F)."""
        return (features - self.mean) / self.deviation


class Transfer(nn.Module):
    """Extractor and head; which of the extractor's stages learn, how fast and from when on."""

    def __init__(
        self,
        extractor: Extractor,
        head: nn.Module,
        unfreeze: int | str,
        layer_decay: float,
        gradual: int,
        adapt_norm: bool,
    ) -> None:
        super().__init__()
        self.extractor, self.head = extractor, head
        self.layer_decay, self.gradual, self.adapt_norm = layer_decay, gradual, adapt_norm
        self.stages = _stages(extractor.network)
        self.unfrozen = len(self.stages) if unfreeze == "all" else min(int(unfreeze), len(self.stages))
        if self.unfrozen == 0:
            extractor.requires_grad_(False)
        else:
            self.begin_epoch(1)

    @property
    def preprocessing(self) -> Preprocessing:
        """The backbone's own mean and deviation, on 0..255."""
        mean, deviation = (self.extractor.configuration.get(key, (0.5,) * 3) for key in ("mean", "std"))
        return Preprocessing(tuple(255 * m for m in mean), tuple(255 * d for d in deviation))

    @property
    def frozen(self) -> bool:
        """Whether the extractor never learns, so that its features can be computed once."""
        return self.unfrozen == 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised `images` (N, 3, H, W)."""
        return self.head(self.extractor(images))

    def load_pretrained(self) -> WeightsFile | None:
        """Put in the backbone's pretrained weights."""
        return self.extractor.load_pretrained()

    def train(self, mode: bool = True) -> "Transfer":
        """Training mode for what learns; a frozen stage, and batch norm that is not adapted, stay as they are."""
        super().train(mode)
        if mode and not (self.adapt_norm and not self.frozen):
            self.extractor.eval()
        return self

    def begin_epoch(self, epoch: int) -> None:
        """Unfreeze the stages whose turn has come by `epoch` (counted from 1)."""
        if self.frozen:
            return
        learning = min(self.unfrozen, (epoch - 1) // self.gradual) if self.gradual else self.unfrozen
        for depth, parameters in enumerate(reversed(self.stages)):
            for parameter in parameters:
                parameter.requires_grad_(depth < learning)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All that ever learns, by stage: `lr_scale` is 1 for the head and falls towards the image."""
        groups: list[dict[str, Any]] = [{"params": list(self.head.parameters()), "lr_scale": 1.0}]
        for depth, parameters in enumerate(reversed(self.stages[len(self.stages) - self.unfrozen :])):
            groups.append({"params": parameters, "lr_scale": self.layer_decay ** (depth + 1)})
        return groups


def _stages(network: Any) -> list[list[nn.Parameter]]:
    """The network's parameters by coarse stage, as timm's group matcher cuts it, from the image to the features."""
    from timm.models import group_parameters

    numbers: Any = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    stages: dict[int, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        stages[numbers[name]].append(parameter)
    return [stages[number] for number in sorted(stages)]


def _resizing(length: int, size: int, interpolation: str) -> Tensor:
    """(size, length): the matrix of PyTorch's antialiased resizing along one axis."""
    mode = "bilinear" if interpolation == "bilinear" else "bicubic"
    unit = torch.eye(length)[None, None]
    return F.interpolate(unit, (size, length), mode=mode, antialias=True, align_corners=False)[0, 0]


def _logistic(shape: Shape, classes: int, standardise: bool, dense: int, dropout: float) -> nn.Module:
    """A linear layer from zero: multinomial logistic regression."""
    features = shape[0] * shape[1] * shape[2]
    linear = nn.Linear(features, classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(Flatten(), *_standardise(features, standardise), linear)


def _mlp(shape: Shape, classes: int, standardise: bool, dense: int, dropout: float) -> nn.Module:
    """The homework's head: one hidden ReLU layer with Keras' initial values."""
    features = shape[0] * shape[1] * shape[2]
    return nn.Sequential(
        Flatten(),
        *_standardise(features, standardise),
        Dense(features, dense),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        Dense(dense, classes),
    )


def _standardise(features: int, wanted: bool) -> list[nn.Module]:
    return [Standardise(features)] if wanted else []


def transfer_network(model: Classifier) -> Transfer:
    """The network of a classifier that was built as a backbone and a head."""
    return cast(Transfer, model.network)


HEADS = {"logistic": _logistic, "mlp": _mlp}
