"""What moves pixels: constant images stay, crops stay inside, flips alternate."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import CLASSES, images_of, pipeline_of, run

from tenfold.augment import AUGMENTATIONS, build_augmentations
from tenfold.augment.base import Geometric
from tenfold.augment.geometry import RandomResizedCrop
from tenfold.core.errors import InputError
from tenfold.recipe.components import Choice


def test_flips_alone_are_exact():
    images = images_of(64)
    changed, _ = run(pipeline_of("flip", horizontal=0.5, vertical=0.5), images)
    choices = [images.float(), images.float().flip(3), images.float().flip(2), images.float().flip(2, 3)]
    which = torch.stack([(changed == choice).flatten(1).all(1) for choice in choices])
    assert which.any(0).all()
    assert which.any(1).all(), "all four occur among 64 images"


@given(st.integers(0, 2**31), st.sampled_from([(12, 16), (16, 12), (32, 32), (7, 9)]))
@settings(max_examples=20, deadline=None)
def test_a_flip_within_a_composition_mirrors_the_same_images(seed, size):
    images = images_of(8, height=size[0], width=size[1], seed=seed)
    exact, _ = run(pipeline_of("flip", vertical=0.5), images, seed=seed)
    still = [Choice(name="flip", vertical=0.5), Choice(name="zoom", factor=0.0)]
    resampled, _ = run(build_augmentations(still, CLASSES), images, seed=seed)
    torch.testing.assert_close(resampled, exact, rtol=0, atol=5e-3)


@given(
    st.sampled_from([name for name, kind in AUGMENTATIONS.items() if issubclass(kind, Geometric)]),
    st.integers(0, 2**31),
    st.sampled_from([(8, 8), (8, 20), (31, 5)]),
)
@settings(max_examples=40, deadline=None)
def test_geometry_of_a_constant_image_is_that_image(name, seed, size):
    images = torch.full((4, 3, *size), 77, dtype=torch.uint8)
    changed, _ = run(pipeline_of(name), images, seed=seed)
    torch.testing.assert_close(changed, images.float(), rtol=0, atol=1e-3)


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_resized_crop_stays_inside_the_image(seed):
    u = torch.from_numpy(np.random.default_rng(seed).random((50, 4), dtype=np.float32))
    matrix = RandomResizedCrop(scale=(0.1, 1.0), ratio=(0.3, 3.0)).matrix(u, 20, 30)
    borders = torch.tensor([[-15.0, -10.0, 1.0], [15.0, 10.0, 1.0]])
    places = torch.einsum("nij,kj->nki", matrix, borders)[..., :2]
    assert (places.abs() <= torch.tensor([15.0, 10.0]) + 1e-4).all()


@pytest.mark.parametrize(("fill", "mode"), [("reflect", "reflect"), ("zero", "constant")])
def test_a_crop_cuts_whole_pixels_out_of_the_padded_image(fill, mode):
    images = images_of(40)
    changed, _ = run(pipeline_of("crop", padding=2, fill=fill), images)
    padded = torch.nn.functional.pad(images.float(), (2,) * 4, mode=mode)
    windows = [padded[:, :, y : y + 12, x : x + 16] for y in range(5) for x in range(5)]
    matches = torch.stack([(changed == window).flatten(1).all(1) for window in windows])
    assert matches.any(0).all()
    assert matches.any(1).sum() > 10, "many of the 25 places occur among 40 images"


def test_a_crop_too_wide_to_reflect_is_refused():
    with pytest.raises(InputError, match=r"augment\.crop\.padding=12.*at most 11"):
        run(pipeline_of("crop", padding=12), images_of(2))


@given(st.integers(0, 1000), st.integers(1, 50), st.sampled_from([(), ("contrast",)]))
def test_an_alternating_flip_shows_both_sides_in_two_successive_epochs(seed, epoch, before):
    images = images_of(32)
    choices = [*(Choice(name=name, factor=0.0) for name in before), Choice(name="flip", alternate=True)]
    pipeline = build_augmentations(choices, CLASSES)
    one, other, third = (run(pipeline, images, seed, epoch + later)[0] for later in range(3))
    mirrored = (one != images).flatten(1).any(1)
    assert 0 < mirrored.sum() < 32, "half of them, by chance"
    assert torch.equal(one[mirrored], images.float().flip(3)[mirrored])
    assert torch.equal(other, one.flip(3))
    assert torch.equal(third, one)


def test_an_alternating_flip_is_the_same_in_any_order_of_the_batch():
    images = images_of(32)
    for epoch in (1, 2):
        augment = pipeline_of("flip", alternate=True).epoch(0, epoch)
        whole, _ = augment(images, torch.zeros(32), torch.arange(32))
        order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
        for part in (order[:7], order[7:]):
            assert torch.equal(augment(images[part], torch.zeros(len(part)), part)[0], whole[part])
