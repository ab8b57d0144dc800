"""What tenfold asks of timm's models, of a convolutional network and of a transformer."""

import pytest
import torch
from torch import nn

from tenfold.models.timm_models import create, forget_head, gives_stages, stage_reductions, stages


@pytest.mark.parametrize(
    ("name", "reductions"), [("test_efficientnet", [2, 4, 8, 16, 32]), ("test_vit", [16] * 6)]
)
def test_a_models_stages_are_its_own_and_hold_every_parameter_once(name, reductions):
    network = create(name, 64 if name == "test_vit" else None)
    assert stage_reductions(network) == reductions
    assert gives_stages(network)
    found = [parameter for stage in stages(network) for parameter in stage]
    assert len(found) == len({id(parameter) for parameter in found}) == len(list(network.parameters()))
    assert len(stages(network)) > 2


def test_a_module_that_offers_nothing_is_asked_for_nothing():
    plain = nn.Linear(2, 2)
    assert stage_reductions(plain) == []
    assert not gives_stages(plain)
    forget_head(plain)


def test_layers_behind_the_last_map_are_forgotten_and_its_values_stay():
    network = create("test_efficientnet").eval()
    before = sum(parameter.numel() for parameter in network.parameters())
    forget_head(network)
    assert sum(parameter.numel() for parameter in network.parameters()) <= before
    assert network(torch.zeros(1, 3, 64, 64)).isfinite().all()
