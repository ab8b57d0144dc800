"""A timm backbone, its images resized on the way, and a head: one network, whether trained as a whole or not.

The backbone's own settings (size, interpolation, mean, deviation) come from timm's configuration. Its weights are put
in by `load_pretrained`, which only a new run calls: a finished run is rebuilt from its own folder alone.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from tenfold.core.errors import InputError
from tenfold.models.keras_cnns import Dense, Flatten
from tenfold.models.named import full_name
from tenfold.models.network import FrozenFeatures, Layers, Network, Preprocessing, Shape
from tenfold.models.timm_models import create, forget_head, gives_stages, stage_reductions, stages
from tenfold.models.weights import WeightsFile, find_weights, pretrained_configuration, put_weights
from tenfold.recipe.components import Count, Positive, Share

Stages = Annotated[int, Field(ge=0)]
# Regularisation of the logistic head, strong to weak, about sqrt(10) apart: lambda in `loss + lambda / 2 * sum(w^2)`.
# So wide that the best lies inside; `stop.patience` ends the path soon after it.
STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001, 0.00003, 0.00001, 0.000003, 0.000001)


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
) -> Network:
    """A pretrained timm model under a new head.

    `backbone`: timm's name, or small, medium or large (`tenfold.models.named`). `weights`: auto, none, a file, or
    `hf:OWNER/NAME`, a repository of the hub with weights for that backbone.
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
    tuning = Tuning(unfreeze, layer_decay, gradual, norm == "adapted")
    return Transfer(extractor, new_head, tuning, views, strengths if head == "logistic" else ())


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
        backbone = full_name(backbone)
        self.configuration = pretrained_configuration(backbone)
        self.backbone, self.weights, self.features, self.stages = backbone, weights, features, stages
        self.image_size = self._chosen_size(image_size)
        self.interpolation = self.configuration.get("interpolation", "bicubic")
        self.resize = Resize(*image_shape[1:], self.image_size, self.interpolation)
        fixed = self.image_size if self.configuration.get("fixed_input_size") else None
        self.network: Any = create(backbone, fixed)
        self._check_stride()
        if features == "map":
            forget_head(self.network)
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
        reductions = stage_reductions(self.network)
        stride = max(reductions, default=1)
        if self.image_size < stride:
            raise InputError(
                f"model.image_size={self.image_size}: {self.backbone} takes one feature from every {stride}x{stride} "
                f"pixels, so an image needs at least {stride} a side. Set a larger model.image_size."
            )
        offered = len(reductions) if gives_stages(self.network) else 0
        if self.stages > offered:
            raise InputError(
                f"model.stages={self.stages}: {self.backbone} has {offered} stages to take. Set fewer."
            )


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


@dataclass(frozen=True)
class Tuning:
    """Which of a backbone's stages learn, how fast and from when on: see `backbone`."""

    unfreeze: int | Literal["all"]
    layer_decay: float
    gradual: int
    adapt_norm: bool


class Transfer(Network):
    """Extractor and head; how the extractor's stages learn, or how the head of a frozen one does."""

    def __init__(
        self, extractor: Extractor, head: Network, tuning: Tuning, views: int, strengths: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.extractor, self.head, self.tuning = extractor, head, tuning
        self.views, self.strengths = views, strengths
        self.stages = stages(extractor.network)
        wanted = tuning.unfreeze
        self.unfrozen = len(self.stages) if wanted == "all" else min(wanted, len(self.stages))
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
    def frozen(self) -> FrozenFeatures | None:
        """Extractor and head, where no stage is unfrozen."""
        if self.unfrozen:
            return None
        shape, about = self.extractor.feature_shape, self.extractor.describe()
        return FrozenFeatures(self.extractor, self.head, shape, about, self.views, self.strengths)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised `images` (N, 3, H, W)."""
        return self.head(self.extractor(images))

    def load_pretrained(self) -> None:
        """Put in the backbone's pretrained weights."""
        self.extractor.load_pretrained()

    def train(self, mode: bool = True) -> "Transfer":
        """Training mode for what learns; a frozen stage, and batch norm that is not adapted, stay as they are."""
        super().train(mode)
        if mode and not (self.tuning.adapt_norm and self.unfrozen):
            self.extractor.eval()
        return self

    def begin_epoch(self, epoch: int) -> None:
        """Unfreeze the stages whose turn has come by `epoch` (counted from 1)."""
        if not self.unfrozen:
            return
        gradual = self.tuning.gradual
        learning = min(self.unfrozen, (epoch - 1) // gradual) if gradual else self.unfrozen
        for depth, parameters in enumerate(reversed(self.stages)):
            for parameter in parameters:
                parameter.requires_grad_(depth < learning)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All that ever learns, by stage: `lr_scale` is 1 for the head and falls towards the image."""
        groups: list[dict[str, Any]] = [{"params": list(self.head.parameters()), "lr_scale": 1.0}]
        for depth, parameters in enumerate(reversed(self.stages[len(self.stages) - self.unfrozen :])):
            groups.append({"params": parameters, "lr_scale": self.tuning.layer_decay ** (depth + 1)})
        return groups


def _resizing(length: int, size: int, interpolation: str) -> Tensor:
    """(size, length): the matrix of PyTorch's antialiased resizing along one axis."""
    mode = "bilinear" if interpolation == "bilinear" else "bicubic"
    unit = torch.eye(length)[None, None]
    return F.interpolate(unit, (size, length), mode=mode, antialias=True, align_corners=False)[0, 0]


def _logistic(shape: Shape, classes: int, standardise: bool, dense: int, dropout: float) -> Network:
    """A linear layer from zero: multinomial logistic regression."""
    features = shape[0] * shape[1] * shape[2]
    linear = nn.Linear(features, classes)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return Layers(Flatten(), *_standardise(features, standardise), linear)


def _mlp(shape: Shape, classes: int, standardise: bool, dense: int, dropout: float) -> Network:
    """The homework's head: one hidden ReLU layer with Keras' initial values."""
    features = shape[0] * shape[1] * shape[2]
    return Layers(
        Flatten(),
        *_standardise(features, standardise),
        Dense(features, dense),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        Dense(dense, classes),
    )


def _standardise(features: int, wanted: bool) -> list[nn.Module]:
    return [Standardise(features)] if wanted else []


HEADS = {"logistic": _logistic, "mlp": _mlp}
