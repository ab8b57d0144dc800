"""A norm of a batch that nobody else shares is PyTorch's, with its gradients and averages."""

import pytest
import torch
from torch import nn

from tenfold.core.world import ALONE, World
from tenfold.models.layers import BatchNorm2dReLU, ReLUBatchNorm2d
from tenfold.models.shared_norm import SharedNorm, Sharing, norm_averages, share_norms


def passed(layer: nn.Module, images: torch.Tensor):
    images = images.clone().requires_grad_()
    result = layer(images)
    (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    return result, images.grad, *(parameter.grad for parameter in layer.parameters())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (nn.BatchNorm2d, (5, 3, 4, 2)),
        (ReLUBatchNorm2d, (5, 3, 4, 2)),
        (BatchNorm2dReLU, (5, 3, 4, 2)),
        (nn.BatchNorm1d, (6, 3)),
    ],
)
def test_it_is_the_norm_whose_place_it_takes(kind, shape, training):
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3 + 1
    plain, shared = (kind(3).train(training) for _ in range(2))
    for norm in (plain, shared):
        norm.weight.data = torch.tensor([1.0, -0.5, 2.0])
    shared = SharedNorm(shared, Sharing(ALONE))
    for found, expected in zip(passed(shared, images), passed(plain, images), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for name, average in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], average)


def test_every_norm_is_replaced_and_names_stay():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(ReLUBatchNorm2d(2)))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    share_norms(network, Sharing(ALONE))
    assert isinstance(network[1], SharedNorm)
    assert isinstance(network[2][0], SharedNorm)
    assert network.state_dict().keys() == before.keys()
    assert len(norm_averages(network)) == 4


def test_without_a_momentum_averages_are_those_of_all_batches():
    norm = SharedNorm(nn.BatchNorm1d(1, momentum=None), Sharing(ALONE))
    for value in (1.0, 3.0):
        norm(torch.tensor([[value], [value + 2]]))
    assert norm.running_mean.item() == pytest.approx(3.0)


def test_who_shares_is_said_for_a_while():
    sharing, other = Sharing(ALONE), World(0, 2)
    with sharing.of(other):
        assert sharing.world is other
    assert sharing.world is ALONE
