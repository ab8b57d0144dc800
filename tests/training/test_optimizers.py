"""Optimizers: Keras' formulas by hand, Muon."""

import math

import pytest
import torch

from tenfold.recipe.components import Choice
from tenfold.training.optimizers import OPTIMIZERS, build_optimizer, orthogonalised

GRADIENTS = (0.5, -0.25, 0.125, 0.5)


def moved(name: str, rates: tuple[float, ...] = (0.1,) * 4, **options) -> list[float]:
    """Where one weight that starts at 1 is after each step with the gradients above."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = build_optimizer(Choice(name=name, **options), [weight])
    places = []
    for rate, gradient in zip(rates, GRADIENTS, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        places.append(weight.item())
    return places


def test_plain_sgd():
    assert moved("sgd") == pytest.approx([0.95, 0.975, 0.9625, 0.9125])


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_keeps_the_old_rates_velocity_after_a_drop(nesterov):
    rates = (0.1, 0.1, 0.01, 0.01)
    weight, velocity, expected = 1.0, 0.0, []
    for rate, gradient in zip(rates, GRADIENTS, strict=True):
        velocity = 0.9 * velocity - rate * gradient
        weight += 0.9 * velocity - rate * gradient if nesterov else velocity
        expected.append(weight)
    assert moved("sgd", rates, momentum=0.9, nesterov=nesterov) == pytest.approx(expected)


def test_rmsprop_has_epsilon_inside_the_root():
    weight, square, expected = 1.0, 0.0, []
    for gradient in GRADIENTS:
        square = 0.9 * square + 0.1 * gradient**2
        weight -= 0.1 * gradient / math.sqrt(square + 0.01)
        expected.append(weight)
    assert moved("rmsprop", epsilon=0.01) == pytest.approx(expected)


@pytest.mark.parametrize(("name", "decay"), [("adam", 0.0), ("adamw", 0.2)])
def test_adam_has_keras_epsilon_outside_the_corrected_root_and_decoupled_decay(name, decay):
    weight, mean, square, expected = 1.0, 0.0, 0.0, []
    for step, gradient in enumerate(GRADIENTS, start=1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = 0.1 * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        weight -= 0.1 * decay * weight
        weight -= rate * mean / (math.sqrt(square) + 0.01)
        expected.append(weight)
    options = {"weight_decay": decay} if decay else {}
    assert moved(name, epsilon=0.01, **options) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_lowers_a_bowl_and_leaves_frozen_parameters_alone(name):
    weights = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = build_optimizer(Choice(name=name, lr=0.05), [weights, frozen])
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 1
    start = weights.square().sum().item()
    for _ in range(100):
        optimizer.zero_grad()
        weights.square().sum().backward()
        optimizer.step()
    assert weights.square().sum().item() < start / 10
    assert torch.equal(frozen, torch.ones(2))


# Muon --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (5, 5), (1, 30)])
def test_orthogonalising_keeps_the_singular_vectors_and_drives_the_values_to_about_one(shape):
    generator = torch.Generator().manual_seed(0)
    u, values, vh = torch.linalg.svd(torch.randn(shape, generator=generator).double(), full_matrices=False)
    values = torch.linspace(1, 0.1, len(values), dtype=torch.float64)
    matrix = u @ values.diag() @ vh
    core = u.T @ orthogonalised(matrix, 5) @ vh.T
    driven = core.diagonal()
    assert torch.allclose(core, driven.diag(), atol=1e-9)
    assert 0.65 < driven.min() <= driven.max() < 1.25
    polar = u @ vh
    assert (orthogonalised(matrix, 5) - polar).norm() < 0.35 * polar.norm()
    assert torch.allclose(orthogonalised(1000 * matrix, 5), orthogonalised(matrix, 5), atol=1e-5)


@pytest.mark.parametrize(("iterations", "near"), [(1, 1e-5), (3, 1e-5), (5, 1e-3)])
def test_orthogonalising_is_newton_schulz_and_needs_no_double_precision(iterations, near):
    u, _ = torch.linalg.qr(torch.randn(32, 32, dtype=torch.float64))
    v, _ = torch.linalg.qr(torch.randn(90, 32, dtype=torch.float64))
    matrix = u @ torch.logspace(0, -6, 32, dtype=torch.float64).diag() @ v.T
    expected = matrix / matrix.norm()
    for _ in range(iterations):
        square = expected @ expected.T
        expected = 3.4445 * expected + (-4.7750 * square + 2.0315 * square @ square) @ expected
    assert (orthogonalised(matrix, iterations) - expected).norm() < 1e-6 * expected.norm()
    assert (orthogonalised(matrix.float(), iterations) - expected).norm() < near * expected.norm()


def test_orthogonalising_nothing_gives_nothing():
    assert torch.equal(orthogonalised(torch.zeros(3, 4), 3), torch.zeros(3, 4))


@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_muon_moves_vectors_and_matrices_as_pytorchs_sgd_with_nesterovs_momentum(shape):
    start = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    options = {"other_lr": 0.1, "head_lr": 0.1, "other_momentum": 0.85, "weight_decay": 0.0}
    muon = build_optimizer(Choice(name="muon", **options), [ours])
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.85, nesterov=True)
    for seed, rate in enumerate((0.1, 0.1, 0.02, 0.02, 0.3)):
        gradient = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        for optimizer, parameter in ((muon, ours), (sgd, theirs)):
            optimizer.param_groups[0]["lr"] = rate
            parameter.grad = gradient.clone()
            optimizer.step()
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)


def test_muons_decay_is_what_one_step_takes_at_the_full_rate_and_spares_kernels():
    kernel, matrix, vector = (torch.nn.Parameter(torch.ones(1, 1, 1, 1)[(0,) * n]) for n in (0, 2, 3))
    for parameter in (kernel, matrix, vector):
        parameter.grad = torch.zeros_like(parameter)
    optimizer = build_optimizer(Choice(name="muon", weight_decay=0.01), [vector, matrix, kernel])
    assert [group["lr"] for group in optimizer.param_groups] == [0.24, 0.67, 0.05]
    optimizer.step()
    for group in optimizer.param_groups:
        group["lr"] /= 2
    optimizer.step()
    places = [parameter.item() for parameter in (kernel, matrix, vector)]
    assert places == pytest.approx([1, 0.99 * 0.995, 0.99 * 0.995])


def test_muon_brings_a_kernel_to_the_root_of_its_outputs_and_steps_by_the_orthogonalised_gradient():
    generator = torch.Generator().manual_seed(2)
    kernel = torch.nn.Parameter(3 * torch.randn(6, 2, 3, 3, generator=generator))
    optimizer = build_optimizer(Choice(name="muon", lr=0.2, momentum=0.5, iterations=4), [kernel])
    velocity = torch.zeros(6, 18)
    for _ in range(3):
        gradient = torch.randn(6, 2, 3, 3, generator=generator)
        velocity = 0.5 * velocity + gradient.flatten(1)
        step = orthogonalised(gradient.flatten(1) + 0.5 * velocity, 4).view(6, 2, 3, 3)
        expected = kernel.detach() * (math.sqrt(6) / kernel.detach().norm()) - 0.2 * step
        kernel.grad = gradient
        optimizer.step()
        assert torch.allclose(kernel, expected, atol=1e-6)
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert kernel.norm().item() == pytest.approx(math.sqrt(6))


def test_muon_keeps_the_scale_of_each_of_a_networks_own_groups():
    head, bias, kernel, frozen = (
        torch.nn.Parameter(torch.ones(shape)) for shape in ((2, 3), 2, (4, 1, 3, 3), 5)
    )
    frozen.requires_grad_(False)
    groups = [{"params": [head, bias], "lr_scale": 1.0}, {"params": [kernel, frozen], "lr_scale": 0.5}]
    optimizer = build_optimizer(Choice(name="muon"), groups)
    found = [(len(group["params"]), group["lr"], group["lr_scale"]) for group in optimizer.param_groups]
    assert found == [(1, 0.67, 1.0), (1, 0.05, 1.0), (1, 0.24, 0.5), (1, 0.05, 0.5)]
    assert optimizer.param_groups[2]["params"][0] is kernel
