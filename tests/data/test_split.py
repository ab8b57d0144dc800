"""The images of one split, and what of them is one piece of evidence."""

import numpy as np
import pytest

from tenfold.data.split import Split, chosen_of


def split(groups=(), clusters=()) -> Split:
    pixels = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)
    numbers = [np.array(each, np.int64) for each in (groups, clusters)]
    return Split(
        "test", pixels, np.arange(6), np.arange(6) % 2, list("abcdef"), (6,), "", np.arange(6), *numbers
    )


@pytest.mark.parametrize(
    ("groups", "clusters", "evidence"),
    [
        ([], [], []),
        ([], [-1, 0, 1, -1, 2, -1], []),  # each copy is in another split
        ([], [-1, 0, 1, 0, -1, -1], [-1, 0, 1, 0, -1, -1]),
        ([3, 3, 4, 4, -1, -1], [0, -1, 0, -1, -1, -1], [3, 3, 4, 4, -1, -1]),
    ],
)
def test_groups_are_one_piece_of_evidence_each_and_else_copies(groups, clusters, evidence):
    assert split(groups, clusters).evidence.tolist() == evidence


def test_a_part_has_everything_of_its_images():
    part = split([3, 3, 4, 4, -1, -1], [0, -1, 0, -1, -1, -1]).part(np.array([4, 0]))
    assert list(part.paths) == ["e", "a"]
    assert part.groups.tolist() == [-1, 3]
    assert part.clusters.tolist() == [-1, 0]
    assert part.images(slice(None))[:, 0, 0, 0].tolist() == [16, 0]
    assert split().places_of(part).tolist() == [4, 0]


def test_numbers_are_chosen_where_there_are_any():
    assert chosen_of(np.array([1, 2, 3]), np.array([2])).tolist() == [3]
    assert chosen_of(np.empty(0), np.array([2])).tolist() == []
