"""What every augmentation must keep, and what the pipeline promises about random numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pipelines import CLASSES, images_of, pipeline_of, run

from tenfold.augment import AUGMENTATIONS
from tenfold.augment.base import Mixing
from tenfold.augment.geometry import Rotation, Translation, resample
from tenfold.core.randomness import seed_for

# Options under which an augmentation must leave images as they are.
WITHOUT_STRENGTH = {
    "flip": {"horizontal": 0.0},
    "rotation": {"factor": 0.0},
    "zoom": {"factor": 0.0},
    "translation": {"factor": 0.0},
    "random_resized_crop": {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)},
    "crop": {"padding": 0},
    "contrast": {"factor": 0.0},
    "brightness": {"factor": 0.0},
    "saturation": {"factor": 0.0},
    "hue": {"factor": 0.0},
    "cutout": {"size": 0.0},
    "random_erasing": {"probability": 0.0},
    "mixup": {"probability": 0.0},
    "cutmix": {"probability": 0.0},
}
NOTEBOOK_03 = ("flip", "rotation", "zoom", "contrast", "brightness")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_keeps_shape_type_range_and_layout(name, channels):
    images = images_of(16, channels)
    before = images.clone()
    changed, targets = run(pipeline_of(name), images)
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert changed.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= changed.min() <= changed.max() <= 255
    assert torch.equal(images, before)
    if issubclass(AUGMENTATIONS[name], Mixing):
        torch.testing.assert_close(targets.sum(1), torch.ones(16))
    else:
        assert torch.equal(targets, torch.arange(16) % CLASSES)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_leaves_float_images_unchanged_in_place(name):
    images = images_of(16).float().contiguous()
    before = images.clone()
    changed, _ = run(pipeline_of(name), images)
    assert torch.equal(images, before)
    assert changed.is_contiguous()
    assert not torch.equal(changed, before), "at its defaults an augmentation does something"


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_random_numbers_belong_to_seed_epoch_and_sample(name):
    images, pipeline = images_of(24), pipeline_of(name)
    labels = torch.arange(24) % CLASSES
    epoch = pipeline.epoch(3, 5)
    whole, _ = epoch(images, labels, torch.arange(24))
    again, _ = pipeline.epoch(3, 5)(images, labels, torch.arange(24))
    assert torch.equal(whole, again)
    assert not torch.equal(whole, run(pipeline, images, seed=4, epoch=5)[0])
    assert not torch.equal(whole, run(pipeline, images, seed=3, epoch=6)[0])
    numbers = epoch.numbers(np.arange(1000))
    assert np.array_equal(epoch.numbers(np.array([999, 3, 24])), numbers[[999, 3, 24]]), (
        "each image has its own"
    )
    table = np.random.default_rng(seed_for(3, "augment", 5, 0)).random(numbers.shape, dtype=np.float32)
    assert np.array_equal(numbers, table)
    if not issubclass(AUGMENTATIONS[name], Mixing):
        order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
        for part in (order[:7], order[7:]):
            some, _ = epoch(images[part], labels[part], part)
            torch.testing.assert_close(some, whole[part], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", WITHOUT_STRENGTH)
def test_without_strength_nothing_changes(name):
    images = images_of(16)
    changed, targets = run(pipeline_of(name, **WITHOUT_STRENGTH[name]), images)
    torch.testing.assert_close(changed, images.float(), rtol=0, atol=2e-3)
    if issubclass(AUGMENTATIONS[name], Mixing):
        assert torch.equal(targets.argmax(1), torch.arange(16) % CLASSES)
        assert torch.equal(targets.amax(1), torch.ones(16))


def test_every_augmentation_but_the_policies_has_a_setting_without_strength():
    assert set(WITHOUT_STRENGTH) == set(AUGMENTATIONS) - {"trivial_augment", "rand_augment"}


def test_no_augmentation_gives_the_images_as_floats():
    images = images_of(4)
    changed, targets = run(pipeline_of(), images)
    assert torch.equal(changed, images.float())
    assert torch.equal(targets, torch.arange(4) % CLASSES)


def test_number_of_threads_does_not_matter():
    images, threads = images_of(64), torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(run(pipeline_of(*NOTEBOOK_03), images)[0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_gpu_and_cpu_agree(name):
    images, positions = images_of(32), torch.arange(32)
    pipeline = pipeline_of(name)
    here, targets = run(pipeline, images)
    there, there_targets = pipeline.epoch(0, 0)(images.cuda(), positions.cuda() % CLASSES, positions.cuda())
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=0.02)
    torch.testing.assert_close(there_targets.cpu(), targets)


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_composition_applies_the_first_augmentation_first(seed):
    """Maps of whole pixels resample exactly, so one composed resampling must equal one after the other."""
    images = images_of(6, height=8, width=8, seed=seed)
    u = (
        torch.from_numpy(np.random.default_rng(seed).random((6, 2), dtype=np.float32))
        .mul_(4)
        .round_()
        .div_(4)
    )
    shift = Translation(factor=0.5).matrix(u, 8, 8)
    turn = Rotation(factor=0.5).matrix(u.round(), 8, 8)
    shift[:, :2, 2] = shift[:, :2, 2].round()
    in_turn = resample(resample(images.float(), shift), turn)
    # Turning by half a turn about the centre: exact on whole pixels, and it does not commute with the shift.
    torch.testing.assert_close(resample(images.float(), shift @ turn), in_turn, rtol=0, atol=0.02)


def test_the_pipeline_resamples_consecutive_geometry_once():
    epoch = pipeline_of("flip", "rotation", "zoom", "contrast", "translation").epoch(0, 0)
    assert [len(draws) for draws, _ in epoch.stages] == [3, 1, 1]
