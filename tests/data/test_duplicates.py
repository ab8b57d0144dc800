import numpy as np

from tenfold.data.duplicates import exact_duplicates


def test_exact_duplicates_are_groups_of_equal_hashes():
    pictures = np.arange(600, dtype=np.uint64)[::-1].copy()
    pictures[[100, 500]] = pictures[3]
    pictures[7] = pictures[599]
    assert [group.tolist() for group in exact_duplicates(pictures)] == [[3, 100, 500], [7, 599]]
    assert exact_duplicates(pictures[4:500]) == []
    assert exact_duplicates(pictures[:0]) == []
