"""Folders that can be read in two ways are refused, with both ways to say which is meant."""

import pytest

from tenfold.core.errors import InputError
from tenfold.data.sources.ambiguity import check_beside, check_classes
from tenfold.data.sources.scanning import open_folder


def names(**folders: int) -> list[str]:
    """So many pictures in each folder; `__` stands for a slash."""
    return [f"{name.replace('__', '/')}/{i}.png" for name, count in folders.items() for i in range(count)]


@pytest.mark.parametrize(
    "images",
    [
        names(cat=3, dog=2),
        names(cat=3, cat__kittens=2, dog=2),
        names(cat__a=2, cat__b=2, dog__c=2, dog__d=2),
        names(cat__a=2, dog__a=2),
        ["a.png"],
    ],
)
def test_what_can_be_read_in_one_way_only_passes(tmp_path, images):
    check_classes(open_folder(tmp_path), images, "")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (
            names(opetus__cat=4, opetus__dog=4, testaus__cat=2, testaus__dog=2),
            r"opetus/ and testaus/ hold folders of the same names \(cat, dog\)(.|\n)*--train \S+opetus --test",
        ),
        (
            names(Animals__cat=3, Animals__dog=3, Examples=2),
            r"Animals/ holds folders of images, and Examples/ only",
        ),
        (
            names(rose=3, tulip=3, flowers__rose=3, flowers__tulip=3),
            r"flowers/ holds folders that are called as those beside it \(rose, tulip\)(.|\n)*move that folder",
        ),
        (
            names(cat__train=3, cat__test=1, cow=5),
            r"cat/ holds folders of splits \(test/, train/\)(.|\n)*data\.nested",
        ),
    ],
)
def test_what_can_be_read_in_two_ways_is_asked_for(tmp_path, images, words):
    with pytest.raises(InputError, match=words):
        check_classes(open_folder(tmp_path), images, "")


def test_folders_of_a_split_are_named_for_it(tmp_path):
    images = names(test__a__cat=1, test__a__dog=1, test__b__cat=1, test__b__dog=1)
    with pytest.raises(InputError, match=r"--test \S+a --test \S+b and the like for other splits"):
        check_classes(open_folder(tmp_path), images, "test/", "test")


def test_only_what_lies_below_the_root_counts_and_many_folders_are_cut_short(tmp_path):
    images = [f"data/up{n}/{name}/0.png" for n in range(9) for name in ("cat", "dog")]
    with pytest.raises(InputError, match=r"up0/  cat/ \(1\), dog/ \(1\)\n(.*\n){5}  3 more\n"):
        check_classes(open_folder(tmp_path), images, "data/")


@pytest.mark.parametrize("beside", ["masks", "Labels", "annotations"])
def test_masks_beside_images_say_no_classes(tmp_path, beside):
    tree = open_folder(tmp_path)
    with pytest.raises(InputError, match=rf"{beside}/ holds pictures beside Images/.*--data \S+Images"):
        check_beside(tree, "", {"Images", beside})
    check_beside(tree, "", {"images", "cat"})
    check_beside(tree, "", {"masks", "cat"})
