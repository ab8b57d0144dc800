"""What tenfold asks of timm's models, which share no base class: each question has its one place here.

Not every model offers everything. What one offers is written down as a protocol, and a model is asked whether it
keeps it; nothing else of tenfold looks into timm's objects.
"""

from collections import defaultdict
from typing import Any, Protocol, cast, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class _KnowsStages(Protocol):
    """Says for each stage its channels and its reduction: the side of the square that a place stands for."""

    feature_info: Any


@runtime_checkable
class _GivesStages(Protocol):
    """Gives the feature maps of its stages beside the last one."""

    def forward_intermediates(self, x: Tensor, indices: int) -> tuple[Tensor, list[Tensor]]: ...


@runtime_checkable
class _CanBePruned(Protocol):
    """Can drop the layers after a stage."""

    def prune_intermediate_layers(self, indices: int, prune_norm: bool, prune_head: bool) -> Any: ...


def create(name: str, fixed_size: int | None = None) -> nn.Module:
    """timm's model of that name without classifier, with random weights; `fixed_size`: for one that needs to know."""
    import timm

    options: dict[str, Any] = {} if fixed_size is None else {"img_size": fixed_size}
    return timm.create_model(name, pretrained=False, num_classes=0, **options)


def stage_reductions(network: nn.Module) -> list[int]:
    """How many pixels along a side one place of each stage stands for; empty where the model does not say."""
    if not isinstance(network, _KnowsStages):
        return []
    return [int(stage["reduction"]) for stage in network.feature_info]


def gives_stages(network: nn.Module) -> bool:
    """Whether the model gives the feature maps of its stages."""
    return isinstance(network, _GivesStages)


def forget_head(network: nn.Module) -> None:
    """Drop the layers after the last feature map, which would only be stored and never used, where that can be."""
    if isinstance(network, _CanBePruned):
        network.prune_intermediate_layers(1, prune_norm=False, prune_head=True)


def stages(network: nn.Module) -> list[list[nn.Parameter]]:
    """The model's parameters by coarse stage, as timm's group matcher cuts it, from the image to the features."""
    from timm.models import group_parameters

    matcher = cast(Any, network).group_matcher(coarse=True)
    numbers: Any = group_parameters(network, matcher, reverse=True)
    found: dict[int, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in network.named_parameters():
        found[numbers[name]].append(parameter)
    return [found[number] for number in sorted(found)]
