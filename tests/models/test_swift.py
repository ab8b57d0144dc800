"""The network that learns fast: whitening, identity starts, views."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tenfold.core.errors import InputError
from tenfold.models import build_model
from tenfold.models.swift import Convolution, _largest
from tenfold.recipe.components import Choice
from tenfold.runs.folder import Run

CPU = torch.device("cpu")
SMALL = {"widths": (4, 6), "depths": (1, 2)}


def swift(image_shape=(3, 12, 10), classes=5, **options):
    return build_model(Choice(name="swift", **{**SMALL, **options}), image_shape, classes)


def images_of(count: int, channels: int = 3, height: int = 12, width: int = 10) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, channels, height, width), generator=generator, dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last)


# The network -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("patch", "stride", "directions"), [(2, 1, 99), (2, 2, 3), (3, 2, 5)])
def test_whitened_patches_have_the_identity_for_their_covariance(channels, patch, stride, directions):
    images = images_of(200, channels)
    images[:, :, :, 1:] = images[:, :, :, 1:] // 2 + images[:, :, :, :-1] // 2  # neighbours go together
    model = swift((channels, 12, 10), patch=patch, stride=stride, directions=directions)
    model.initialise(images)
    whitened = model.network.whitening((images.float() - 127.5) / 64)
    half = min(directions, channels * patch * patch)
    features = whitened.transpose(0, 1).flatten(1).double()
    assert features.shape[0] == 2 * half
    assert torch.equal(features[half:], -features[:half])
    assert torch.allclose(features.mean(1), torch.zeros(2 * half, dtype=torch.float64), atol=1e-4)
    covariance = features[:half].cov(correction=0)
    assert torch.allclose(covariance, torch.eye(half, dtype=torch.float64), atol=0.02)
    norms = model.network.whitening.weight[:half].flatten(1).norm(dim=1)
    assert (norms.diff() >= 0).all(), (
        "the directions of largest variance come first, and need the least scaling"
    )


def test_directions_without_variance_are_not_blown_up():
    images = images_of(50)
    images[:] = images[:, :1, :1, :1]  # each of one colour: one direction varies, eleven do not
    model = swift()
    model.initialise(images)
    whitened = model.network.whitening((images.float() - 127.5) / 64)
    spread = whitened.transpose(0, 1).flatten(1).std(1)
    assert spread.isfinite().all()
    assert spread[0].item() == pytest.approx(1, abs=0.02)
    assert spread[1:12].max() < 0.01


def test_whitening_is_no_parameter_that_learns():
    model = swift()
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert {"network.whitening.weight", "network.whitening.bias"} < frozen
    assert all(name.endswith("weight") for name in frozen - {"network.whitening.bias"})


def test_convolutions_start_as_the_identity():
    model = swift(directions=3, widths=(8, 5), depths=(2, 1))
    kernels = [
        module for block in model.network.blocks for module in block if isinstance(module, torch.nn.Conv2d)
    ]
    assert [(kernel.in_channels, kernel.out_channels) for kernel in kernels] == [(6, 8), (8, 8), (8, 5)]
    for kernel in kernels:
        features = torch.rand(2, kernel.in_channels, 7, 7)
        same = min(kernel.in_channels, kernel.out_channels)
        expected = F.max_pool2d(features, 2) if kernel.pool else features
        assert torch.allclose(kernel(features)[:, :same], expected[:, :same], atol=1e-6)


def test_the_largest_of_a_channel_on_another_device_has_the_same_shape():
    features = torch.rand(5, 8, 3, 2)
    assert torch.equal(_largest(features), features.amax((2, 3)))
    assert _largest(features.to("meta")).shape == (5, 8)


def test_logits_are_the_mean_of_the_features_by_default_and_so_start_near_zero():
    by_mean, by_sum = swift(widths=(4, 64)), swift(widths=(4, 64), scale=1.0)
    images = images_of(16)
    for model in (by_mean, by_sum):
        model.initialise(images)
    assert torch.allclose(by_mean(images), by_sum(images) / 64, atol=1e-6)


def test_blocks_pool_after_their_first_convolution_only_the_last_ones():
    model = swift((3, 33, 33), widths=(4, 4, 4), depths=(2, 2, 2), pooled=2)
    model.eval()
    sizes = []
    for block in model.network.blocks:
        block.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    model(images_of(1, 3, 33, 33))
    assert sizes == [(4, 32, 32), (4, 16, 16), (4, 8, 8)]
    kinds = [type(layer).__name__ for layer in model.network.blocks[1]]
    assert kinds == ["Convolution", "BatchNorm2dReLU"] * 2
    assert [layer.pool for layer in model.network.blocks[1] if isinstance(layer, Convolution)] == [
        True,
        False,
    ]


def whitened(model, images):
    kept = []
    model.network.whitening.register_forward_hook(lambda _, __, output: kept.append(output))
    model(images)
    return kept[0]


@pytest.mark.parametrize(("patch", "stride", "places"), [(2, 1, 12), (4, 2, 6), (3, 1, 12)])
def test_padding_keeps_as_many_places_as_the_stride_leaves_of_the_image(patch, stride, places):
    images, options = images_of(3, 3, 12, 12), {"patch": patch, "stride": stride}
    models = [swift((3, 12, 12), padded=padded, **options) for padded in (False, True)]
    for model in models:
        model.eval().initialise(images)
    bare, padded = (whitened(model, images) for model in models)
    assert padded.shape[2:] == (places, places)
    inside = bare.shape[2]
    assert inside < places
    assert torch.allclose(padded[:, :, :inside, :inside], bare, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 4, 40), (1, 2, 2), (3, 1, 9)])
def test_images_that_poolings_leave_nothing_of_are_refused(shape):
    with pytest.raises(
        InputError, match=rf"images of {shape[1]}x{shape[2]} are too small .* data\.image_size"
    ):
        swift(shape, widths=(4, 4), depths=(1, 1))


@pytest.mark.parametrize("shape", [(3, 5, 40), (1, 5, 5)])
def test_the_smallest_images_that_it_takes(shape):
    assert swift(shape, widths=(4, 4), depths=(1, 1)).eval()(images_of(2, *shape)).shape == (2, 5)


def test_widths_and_depths_that_do_not_match_are_refused():
    with pytest.raises(InputError, match=r"model\.widths=\[4, 6\] and model\.depths=\[1\]: each block"):
        swift(depths=(1,))


# Views -------------------------------------------------------------------------------------------------------


def by_hand(model, images: torch.Tensor, views: int) -> torch.Tensor:
    """The mean over views, each made with NumPy and shown to a network with a single view."""
    pixels = images.numpy()
    padded = np.pad(pixels, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    plain = [pixels] if views == 2 else [pixels, pixels, padded[:, :, :-2, :-2], padded[:, :, 2:, 2:]]
    shown = [view[..., ::side] for view in plain for side in (1, -1)]
    return torch.stack([model(torch.from_numpy(view.copy())) for view in shown]).mean(0)


@pytest.mark.parametrize("views", [2, 6])
def test_views_are_averaged_when_not_training_and_only_then(views):
    images = images_of(8)
    one, several = swift(views=1), swift(views=views)
    for model in (one, several):
        model.initialise(images)
    assert torch.equal(one.train()(images), several.train()(images))
    expected = by_hand(one.eval(), images, views)
    assert torch.allclose(several.eval()(images), expected, atol=1e-5)
    assert not torch.allclose(one(images), expected, atol=1e-3)


def test_a_saved_and_loaded_model_predicts_the_same(tmp_path):
    images = images_of(8)
    model = swift(views=6)
    model.initialise(images)
    model.train()(images)  # moves the averages of batch norm
    Run(tmp_path).save_model(model, model.state_dict(), tuple("abcde"))
    assert torch.equal(Run(tmp_path).model()(images), model.eval()(images))
