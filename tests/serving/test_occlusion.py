"""What the model looked at."""

import numpy as np
import pytest
from served import encoded

from tenfold.serving.occlusion import COARSEST, FINEST, SECONDS, cells_for, covered, occlusion


def test_the_explanation_finds_what_decides(client, digits):
    """Covering the whole of a digit's strokes costs more than covering the empty border."""
    picture = digits.test.images(slice(0, 1))[0, ..., 0]
    reply = client.predict(encoded(picture), path="/explain")
    assert reply.status == 200
    heat = np.array(reply.json["heat"])
    assert heat.shape[0] == heat.shape[1]
    assert heat.max() == pytest.approx(1, abs=1e-3)
    assert heat.min() >= 0
    assert reply.json["predicted"] == client.predict(encoded(picture)).json["predicted"]
    assert reply.json["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(("seconds", "cells"), [(10.0, COARSEST), (0.0, FINEST), (SECONDS / 81, 8)])
def test_a_map_is_as_fine_as_there_is_time_for(seconds, cells):
    assert cells_for(seconds) == cells


@pytest.mark.parametrize("shape", [(12, 12, 1), (20, 33, 3), (3, 8, 3)])
def test_each_place_covers_its_own_part_and_nothing_else(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    cells = min(4, *shape[:2])
    copies = covered(pixels, 4)
    assert copies.shape == ((cells + 1) ** 2, *shape)
    changed = (copies != pixels).any(-1)
    assert changed.any(0).mean() > 0.9, "together the patches cover the picture"
    rows, columns = ([round(side * k / cells) for k in range(cells + 1)] for side in shape[:2])
    for place, outside in enumerate(changed):
        row, column = divmod(place, cells + 1)
        down = slice(rows[max(row - 1, 0)], rows[min(row + 1, cells)])
        across = slice(columns[max(column - 1, 0)], columns[min(column + 1, cells)])
        assert outside[down, across].any()
        outside[down, across] = False
        assert not outside.any(), "a patch reaches from one corner's neighbours to the other's"


def test_where_covering_costs_most_the_map_is_one():
    without = np.full(9, 0.9)
    without[0] = 0.3
    found = occlusion(0.9, without)
    assert found.heat.tolist() == [[1, 0], [0, 0]]
    assert found.drop == pytest.approx(0.6)
    assert found.decisive
    nothing = occlusion(0.9, np.full(9, 0.95))
    assert not nothing.heat.any()
    assert (nothing.drop, nothing.decisive) == (0, False)
    assert np.isfinite(occlusion(0.0, np.zeros(9)).heat).all()
