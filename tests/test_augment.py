"""Every augmentation by its name, and pictures of before and after."""

import numpy as np
import pytest
from pipelines import CLASSES, images_of

from tenfold.augment import AUGMENTATIONS, build_augmentations, picture_augmentations
from tenfold.core.errors import InputError
from tenfold.recipe import load_recipe
from tenfold.recipe.components import Choice


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
