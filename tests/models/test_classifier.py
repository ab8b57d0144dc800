"""The classifier: any images in, logits out, described as a table of its layers."""

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


def test_starting_weights_depend_on_the_seed_alone():
    choice = Choice(name="model-s")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (build_model(choice, (1, 8, 8), 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    kernel = "network.0.weight"
    assert torch.equal(first.state_dict()[kernel], again.state_dict()[kernel])
    assert not torch.equal(first.state_dict()[kernel], other.state_dict()[kernel])


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
