"""Models: Keras' parameter counts, shapes and starting values; the summary table; the penalty."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.errors import InputError
from tenfold.models import MODELS, Preprocessing, build_model, summarise
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


def test_the_summary_lists_the_layers_of_notebook_01_in_the_order_of_the_data():
    layers = summarise(model_of("model-s"))
    assert [(layer.kind, layer.output_shape, layer.parameters) for layer in layers] == [
        ("Convolution", (16, 32, 32), 448),
        ("MaxPool2d", (16, 16, 16), 0),
        ("ReLU", (16, 16, 16), 0),
        ("Convolution", (32, 16, 16), 4_640),
        ("MaxPool2d", (32, 8, 8), 0),
        ("ReLU", (32, 8, 8), 0),
        ("Convolution", (64, 8, 8), 18_496),
        ("MaxPool2d", (64, 4, 4), 0),
        ("ReLU", (64, 4, 4), 0),
        ("Flatten", (1024,), 0),
        ("Dense", (128,), 131_200),
        ("ReLU", (128,), 0),
        ("Dense", (10,), 1_290),
    ]


def test_the_summary_counts_moving_averages_and_leaves_the_model_as_it_was():
    model = model_of("model-s-deep").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = summarise(model)
    assert sum(layer.parameters for layer in layers) == 815_914
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("views", [1, 2, 6])
def test_the_summary_lists_a_layer_once_however_many_views_are_averaged(views):
    model = model_of("swift", views=views)
    layers = summarise(model)
    assert len({layer.name for layer in layers}) == len(layers) == 15
    assert sum(layer.parameters for layer in layers) == model.parameter_counts()[1]


# Options under which a model takes images of 8x8 and computes little.
SMALL_OPTIONS = {
    "single-conv": {},
    "model-s": {"filters": (4, 6, 8)},
    "model-s-deep": {"filters": (4, 6, 8)},
    "three-conv-gap": {"filters": (4, 6, 8)},
    "swift": {"widths": (4, 6), "depths": (1, 2), "views": 6},
}


def test_every_model_but_the_pretrained_has_small_options():
    assert set(SMALL_OPTIONS) == set(MODELS) - {"backbone", "own"}


@given(
    st.sampled_from(sorted(SMALL_OPTIONS)),
    st.integers(1, 4),
    st.integers(8, 20),
    st.integers(8, 20),
    st.integers(2, 5),
)
def test_every_model_maps_uint8_images_of_any_shape_to_finite_logits(name, channels, height, width, classes):
    model = model_of(name, (channels, height, width), classes, **SMALL_OPTIONS[name]).eval()
    images = torch.randint(0, 256, (3, channels, height, width), dtype=torch.uint8)
    with torch.inference_mode():
        logits = model(images)
        assert logits.shape == (3, classes)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert torch.equal(logits, model(images.float()))
        assert torch.equal(model(images.contiguous(memory_format=torch.channels_last)), logits)


@pytest.mark.parametrize("name", sorted(SMALL_OPTIONS))
def test_images_too_small_for_a_models_poolings_are_refused_with_the_remedy(name):
    with pytest.raises(InputError, match=r"images of 3x40 are too small .* data\.image_size"):
        model_of(name, (1, 3, 40), 2)


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


def test_starting_weights_depend_on_the_seed_alone():
    choice = Choice(name="model-s")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (build_model(choice, (1, 8, 8), 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    kernel = "network.0.weight"
    assert torch.equal(first.state_dict()[kernel], again.state_dict()[kernel])
    assert not torch.equal(first.state_dict()[kernel], other.state_dict()[kernel])


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


def test_preprocessing_is_applied_to_the_images_and_described():
    choice = Choice(name="model-s", filters=(2,), dense=2)
    plain = build_model(choice, (2, 4, 4), 2)
    shifted = build_model(choice, (2, 4, 4), 2, preprocessing=Preprocessing((10.0, 20.0), (50.0, 100.0)))
    images = torch.randint(0, 256, (5, 2, 4, 4), dtype=torch.uint8)
    by_hand = (images.float() - torch.tensor([10.0, 20.0]).view(1, 2, 1, 1)) / torch.tensor(
        [50.0, 100.0]
    ).view(1, 2, 1, 1)
    assert torch.allclose(shifted(images), plain.network(by_hand))
    assert torch.allclose(plain(images), plain.network(images / 255))
    assert shifted.describe() == {
        "architecture": {"name": "model-s", "filters": [2], "dense": 2},
        "image_shape": [2, 4, 4],
        "preprocessing": {"mean": (10.0, 20.0), "deviation": (50.0, 100.0)},
    }
    assert not {"mean", "deviation"} & shifted.state_dict().keys()
