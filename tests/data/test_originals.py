"""What images were before, as columns."""

import math

from tenfold.data.decode import Original
from tenfold.data.originals import Originals


def test_columns_tell_the_usual_size_and_who_has_more_than_eight_bits():
    found = [
        Original(4, 3, "RGB", False, 1),
        Original(5, 3, "I;16", True, 2, low=0.0, high=900.0),
        Original(5, 3, "L", True, 3, more_frames=True),
        Original(4, 3, "L", True, 4),
    ]
    columns = Originals.of(found)
    assert len(columns) == 4
    assert columns.usual_size() == ((4, 3), 2), "of two as usual, the first met"
    assert Originals.of(found[1:]).usual_size() == ((5, 3), 2)
    assert columns.wide.tolist() == [False, True, False, False]
    assert columns.gray.tolist() == [False, True, True, True]
    assert columns.more_frames.tolist() == [False, False, True, False]
    assert math.isnan(columns.high[0])
    assert len(Originals.of([])) == 0
