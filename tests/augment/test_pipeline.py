"""What every augmentation must keep, and what the pipeline promises about random numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tenfold.augment import AUGMENTATIONS, build_augmentations, picture_augmentations
from tenfold.augment.base import Geometric, Mixing
from tenfold.augment.geometry import RandomResizedCrop, Rotation, Translation, resample
from tenfold.augment.mix import symmetric_beta
from tenfold.augment.pipeline import Pipeline
from tenfold.core.errors import InputError
from tenfold.core.randomness import seed_for
from tenfold.recipe import load_recipe
from tenfold.recipe.components import Choice

CLASSES = 5

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


def images_of(
    count: int, channels: int = 3, height: int = 12, width: int = 16, seed: int = 0
) -> torch.Tensor:
    """Random uint8 images (N, C, H, W), as the data give them: channels last in memory."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def pipeline_of(*names: str, **options: object) -> Pipeline:
    return build_augmentations([Choice(name=name, **options) for name in names], CLASSES)


def run(pipeline: Pipeline, images: torch.Tensor, seed: int = 0, epoch: int = 0):
    positions = torch.arange(len(images))
    return pipeline.epoch(seed, epoch)(images, positions % CLASSES, positions)


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


# Geometry ---------------------------------------------------------------------------------------------------


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


# Mixing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 3.0])
def test_mixing_shares_follow_the_beta_distribution(alpha):
    u = torch.from_numpy(np.random.default_rng(0).random((20_000, 2), dtype=np.float32))
    shares = symmetric_beta(u.double(), alpha).numpy()
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_mixup_weighs_images_as_it_weighs_targets():
    images = torch.zeros(32, 1, 4, 4, dtype=torch.uint8)
    images[::2] = 200
    changed, targets = pipeline_of("mixup", alpha=1.0).epoch(0, 0)(
        images, torch.arange(32) % 2, torch.arange(32)
    )
    torch.testing.assert_close(changed[:, 0, 0, 0], 200 * targets[:, 0], rtol=0, atol=1e-3)


def test_cutmix_weighs_targets_by_the_area_that_it_pastes():
    images = torch.zeros(32, 1, 12, 16, dtype=torch.uint8)
    images[::2] = 100
    changed, targets = pipeline_of("cutmix").epoch(0, 0)(images, torch.arange(32) % 2, torch.arange(32))
    torch.testing.assert_close(changed.mean((1, 2, 3)), 100 * targets[:, 0], rtol=0, atol=1e-3)
    assert set(changed.unique().tolist()) == {0.0, 100.0}


def test_mixing_twice_still_gives_probabilities():
    _, targets = run(pipeline_of("mixup", "cutmix", alpha=1.0), images_of(32))
    torch.testing.assert_close(targets.sum(1), torch.ones(32))
    assert (targets.count_nonzero(1) > 2).any()


# Recipes and pictures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_recipe_can_name_every_augmentation(name):
    recipe = load_recipe("digits", [f'augment=[{{name="{name}"}}]'])
    assert build_augmentations(recipe.augment, CLASSES).augmentations == (AUGMENTATIONS[name](),)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('{name="rotate"}', "did you mean 'rotation'"),
        ('{name="rotation", factor=1.5}', "less than or equal to 1"),
        ('{name="random_erasing", scale=[0.5, 0.1]}', "swap them"),
        ('{name="crop", fill="white"}', "'reflect' or 'zero'"),
    ],
)
def test_options_that_cannot_be_are_refused_with_the_reason(table, reason):
    with pytest.raises(InputError, match=reason):
        load_recipe("digits", [f"augment=[{table}]"])


def test_pictures_show_the_original_each_augmentation_and_all():
    pixels = images_of(6).permute(0, 2, 3, 1).numpy()
    choices = [Choice(name="flip", horizontal=1.0), Choice(name="contrast", factor=0.5), Choice(name="mixup")]
    rows = picture_augmentations(choices, pixels)
    assert [title for title, _ in rows] == [
        "original",
        "flip horizontal=1",
        "contrast factor=0.5",
        "mixup",
        "all together",
    ]
    assert all(pictures.shape == pixels.shape and pictures.dtype == np.uint8 for _, pictures in rows)
    np.testing.assert_array_equal(rows[0][1], pixels)
    np.testing.assert_array_equal(rows[1][1], pixels[:, :, ::-1])


def test_pictures_of_one_augmentation_have_no_row_for_all():
    pixels = images_of(2).permute(0, 2, 3, 1).numpy()
    assert [
        title
        for title, _ in picture_augmentations(
            [Choice(name="random_resized_crop", ratio=(0.75, 4 / 3))], pixels
        )
    ] == [
        "original",
        "random_resized_crop ratio=0.75..1.33",
    ]
