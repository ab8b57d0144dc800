import pytest

from tenfold.data.siblings import siblings


def groups(*names: str) -> list[list[str]]:
    return [[names[place] for place in group.tolist()] for group in siblings(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("a/img_0001.png", "a/img_0001_flip.png", "a/img_0001_rot10.png", "a/img_0001_bright.png"),
        ("a/img_0001_rot10.png", "a/img_0001_rot-10.png", "a/img_0001_h_flip.jpg"),
        ("cat.png", "cat copy.png", "cat copy 2.png"),
        ("cat.png", "cat - Copy.png"),
        ("IMG_12.jpg", "IMG_12 (1).jpg", "IMG_12(2).JPG"),
        ("x7_aug_0.png", "x7_aug_1.png", "x7-augmented-2.png", "X7.png"),
        ("x7_flip_rot15.png", "x7.png", "x7_brightness_1.2.png"),
        ("5_jpg.rf.0123456789abcdef0123456789abcdef.jpg", "5_jpg.rf.fedcba9876543210fedcba9876543210.jpg"),
    ],
)
def test_changes_of_one_stem_are_siblings(names):
    assert groups(*names) == [list(names)]


@pytest.mark.parametrize(
    "names",
    [
        ("img_0001.png", "img_0002.png", "img_00010.png"),
        ("cat (1).png", "cat (2).png", "cat (3).png"),
        ("wood_blur_1.png", "wood_blur_2.png"),
        ("a/1.png", "b/1_flip.png"),
        ("train/cat/0001.png", "train/cat/0001_1.png"),
        ("flip_1.png", "flip_2.png", "rotated.png", "copy.png"),
        ("red_brick.png", "red_brighton.png", "red.png"),
        ("IMG_12.jpg", "IMG_12 (99).jpg"),
        ("1.png", "1.jpg"),
    ],
)
def test_other_names_say_nothing(names):
    assert groups(*names) == []
