"""The notebooks' networks: Keras' parameter counts, starting values, flattening order and penalty."""

import pytest
import torch

from tenfold.models import build_model, summarise
from tenfold.recipe.components import Choice

CIFAR = (3, 32, 32)


def model_of(name: str, image_shape=CIFAR, classes: int = 10, **options):
    """A model with its own defaults and `options`."""
    return build_model(Choice(name=name, **options), image_shape, classes)


def test_notebook_01_has_its_156_074_parameters():
    assert model_of("model-s").parameter_counts() == (156_074, 156_074)


def test_notebook_03_has_its_815_018_of_815_914_parameters():
    assert model_of("model-s-deep").parameter_counts() == (815_018, 815_914)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        # Counted by hand: kernels + biases of each layer in turn.
        ("single-conv", {}, 3 * 9 * 32 + 32 + 15 * 15 * 32 * 128 + 128 + 128 * 10 + 10),
        (
            "single-conv",
            {"filters": 64, "dense": 64},
            3 * 9 * 64 + 64 + 15 * 15 * 64 * 64 + 64 + 64 * 10 + 10,
        ),
        ("three-conv-gap", {}, 896 + 18_496 + 73_856 + 128 * 2048 + 2048 + 2048 * 10 + 10),
    ],
)
def test_the_homeworks_have_the_parameters_counted_by_hand(name, options, expected):
    assert model_of(name, **options).parameter_counts() == (expected, expected)


def test_kernels_start_glorot_uniform_and_biases_at_zero():
    model = model_of("model-s-deep")
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(parameter, torch.full_like(parameter, parameter[0].item())), name
        else:
            fan_out, fan_in = parameter.shape[:2]
            area = parameter[0, 0].numel()
            limit = (6 / (area * (fan_in + fan_out))) ** 0.5
            assert 0.95 * limit < parameter.abs().max() <= limit, name
            assert parameter.std().item() == pytest.approx(limit / 3**0.5, rel=0.1), name


def test_batch_norm_follows_the_relu_with_keras_momentum_and_epsilon():
    norms = [m for m in model_of("model-s-deep").modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 6
    assert all(norm.momentum == pytest.approx(0.01) and norm.eps == 1e-3 for norm in norms)
    kinds = [layer.kind for layer in summarise(model_of("model-s-deep"))]
    assert kinds[:5] == ["Convolution", "ReLUBatchNorm2d"] * 2 + ["MaxPool2d"]


def test_features_are_flattened_in_keras_order():
    model = model_of("model-s", (1, 4, 4), 2, filters=(2,), dense=3).eval()
    seen = []
    model.network[4].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.network[3].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.rand(1, 1, 4, 4) * 255)
    maps, flat = seen
    assert torch.equal(flat[0], maps[0].permute(1, 2, 0).reshape(-1))


def test_the_penalty_is_keras_l2_on_kernels_only():
    model = model_of("model-s-deep", conv_l2=1e-5, dense_l2=1e-4)
    expected = sum(
        (1e-5 if parameter.dim() == 4 else 1e-4) * parameter.double().square().sum().item()
        for parameter in model.parameters()
        if parameter.dim() > 1
    )
    penalty = model.penalty()
    assert penalty is not None
    assert penalty.item() == pytest.approx(expected, rel=1e-5)
    penalty.backward()
    kernel = model.network[0].weight
    assert torch.allclose(kernel.grad, 2e-5 * kernel)
    assert model.network[0].bias.grad is None
    assert model_of("model-s-deep").penalty() is None
