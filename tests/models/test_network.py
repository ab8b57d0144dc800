"""The contract of a network: every optional behaviour has a default, and a network's own is kept."""

import own_models
import pytest
import torch
from networks import SHAPE, built
from torch import Tensor, nn

from tenfold.models import (
    MODELS,
    Network,
    Preprocessing,
    build_model,
    wrap,
)
from tenfold.recipe.components import Choice


def test_every_built_in_model_is_a_network():
    for name in MODELS:
        if name != "own":
            choice = Choice(
                name=name, **({"backbone": "test_vit", "weights": "none"} if name == "backbone" else {})
            )
            assert isinstance(build_model(choice, (3, 32, 32), 4).network, Network), name


def test_every_optional_behaviour_has_a_default():
    network = wrap(own_models.make(SHAPE, 10))
    assert network.penalty() is None
    assert network.frozen is None
    assert network.preprocessing == Preprocessing()
    assert len(network.parameter_groups()) == 6
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_pretrained()
    network.initialise(torch.zeros(2, *SHAPE))
    network.begin_epoch(1)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_network_of_the_users_own_keeps_its_behaviour():
    class Behaved(Network):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.layer(images.flatten(1))

        def penalty(self) -> Tensor:
            return self.layer.weight.square().sum()

    model = built(Behaved())
    penalty = model.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(float(model.network.layer.weight.detach().square().sum()))  # pyright: ignore
