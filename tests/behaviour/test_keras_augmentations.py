"""The notebooks' augmentations give the pixels of Keras' layers from the same random values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_notebooks import keras, layers

from tenfold.augment.color import Brightness, Contrast
from tenfold.augment.geometry import Flip, Rotation, Translation, Zoom, resample

SIZES = st.sampled_from([(32, 32), (9, 14), (14, 9), (1, 5)])
# Levels out of 255. Both sides interpolate in float32, from coordinates rounded differently in the last bits.
ROUNDING = 0.02


def images_of(size: tuple[int, int], seed: int, channels: int = 3, count: int = 6) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, channels, *size))
    return torch.from_numpy(pixels).float()


def random_rows(count: int, draws: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 1).random((count, draws), dtype=np.float32))


def by_keras(layer, images: torch.Tensor, transformation: dict) -> torch.Tensor:
    """`layer` with its random values replaced by `transformation`, on images (N, C, H, W)."""
    pixels = images.permute(0, 2, 3, 1).clone()
    changed = layer.transform_images(pixels, transformation, training=True)
    return keras.ops.convert_to_tensor(changed).detach().permute(0, 3, 1, 2)


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING)


@given(SIZES, st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_rotation(size, seed, factor):
    images, u = images_of(size, seed), random_rows(6, 1, seed)
    layer = layers.RandomRotation(factor)
    low, high = layer.factor
    degrees = 360 * (low + (high - low) * u[:, 0])
    zero, one = torch.zeros(6), torch.ones(6)
    matrix = layer._compute_affine_matrix(0.5, 0.5, degrees, zero, zero, one, zero, zero, *size)
    ours = resample(images, Rotation(factor=factor).matrix(u, *size))
    assert_same(ours, by_keras(layer, images, {"rotation_matrix": matrix}))


@given(SIZES, st.integers(0, 10**6), st.floats(0, 0.9))
@settings(max_examples=25, deadline=None)
def test_zoom(size, seed, factor):
    images, u = images_of(size, seed), random_rows(6, 1, seed)
    layer = layers.RandomZoom(factor)
    zoom = 1 + layer.height_lower + (layer.height_upper - layer.height_lower) * u
    ours = resample(images, Zoom(factor=factor).matrix(u, *size))
    assert_same(ours, by_keras(layer, images, {"height_zoom": zoom, "width_zoom": zoom}))


@given(SIZES, st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_translation(size, seed, factor):
    images, u = images_of(size, seed), random_rows(6, 2, seed)
    layer = layers.RandomTranslation(factor, factor)
    moves = (layer.width_lower + (layer.width_upper - layer.width_lower) * u) * torch.tensor(
        [size[1], size[0]]
    )
    ours = resample(images, Translation(factor=factor).matrix(u, *size))
    assert_same(ours, by_keras(layer, images, {"translations": moves}))


@given(SIZES, st.integers(0, 10**6), st.sampled_from(["horizontal", "vertical"]))
@settings(max_examples=25, deadline=None)
def test_flip(size, seed, axis):
    images, u = images_of(size, seed), random_rows(6, 2, seed)
    options = {"horizontal": 0.0, "vertical": 0.0, axis: 0.5}
    flips = (u[:, 0 if axis == "horizontal" else 1] < 0.5).view(-1, 1, 1, 1)
    theirs = by_keras(layers.RandomFlip(axis), images, {"flips": flips})
    assert torch.equal(Flip(**options).exactly(images, u), theirs)
    assert_same(resample(images, Flip(**options).matrix(u, *size)), theirs)


@given(SIZES, st.integers(0, 10**6), st.floats(0, 1), st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None)
def test_contrast(size, seed, factor, channels):
    images, u = images_of(size, seed, channels), random_rows(6, 1, seed)
    value = (1 - factor + 2 * factor * u).view(-1, 1, 1, 1)
    theirs = by_keras(layers.RandomContrast(factor), images, {"contrast_factor": value})
    assert_same(Contrast(factor=factor).apply(images, u), theirs)


@given(SIZES, st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_brightness(size, seed, factor):
    images, u = images_of(size, seed), random_rows(6, 1, seed)
    layer = layers.RandomBrightness(factor)
    low, high = layer.factor
    delta = (255 * (low + (high - low) * u)).view(-1, 1, 1, 1)
    assert_same(Brightness(factor=factor).apply(images, u), by_keras(layer, images, {"rgb_delta": delta}))


@pytest.mark.parametrize(
    ("layer", "name", "low", "high"),
    [
        (layers.RandomRotation(0.05), "angle", -18.0, 18.0),
        (layers.RandomZoom(0.05), "height_zoom", 0.95, 1.05),
        (layers.RandomTranslation(0.2, 0.2), "translations", -6.4, 6.4),
        # Keras 3 takes a single factor of contrast for (0, factor); the notebook's Keras 2.15 drew on both
        # sides of 1, as Keras' documentation still says, and so does tenfold.
        (layers.RandomContrast((0.05, 0.05)), "contrast_factor", 0.95, 1.05),
        (layers.RandomBrightness(0.05), "rgb_delta", -12.75, 12.75),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, keras.Layer) else None,
)
def test_keras_layers_draw_from_the_ranges_that_tenfold_documents(layer, name, low, high):
    drawn = layer.get_random_transformation(np.zeros((4000, 32, 32, 3), np.float32), training=True)
    values = drawn[name].cpu().numpy()
    width = high - low
    assert low <= values.min() < low + 0.01 * width
    assert high - 0.01 * width < values.max() <= high


def test_one_resampling_of_the_composition_is_close_to_keras_layer_by_layer():
    """tenfold interpolates once; on a smooth image, twice as in Keras makes little difference."""
    ramp = torch.linspace(0, 2 * torch.pi, 32)
    smooth = 127.5 + 60 * ramp.sin()[:, None] + 60 * ramp.cos()
    images = smooth.expand(6, 3, 32, 32).contiguous()
    u = random_rows(6, 1, 0)
    turn, zoom = Rotation(factor=0.05).matrix(u, 32, 32), Zoom(factor=0.05).matrix(1 - u, 32, 32)
    composed, one_by_one = resample(images, turn @ zoom), resample(resample(images, turn), zoom)
    inner = (..., slice(6, -6), slice(6, -6))
    torch.testing.assert_close(composed[inner], one_by_one[inner], rtol=0, atol=1.5)
