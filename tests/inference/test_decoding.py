"""Pictures come in order, from whichever threads and processes decode them."""

import numpy as np
import pytest
from images import save, scene

from tenfold.data.decode import Target
from tenfold.inference import decoding
from tenfold.inference.pictures import Picture


@pytest.mark.slow
@pytest.mark.parametrize("libspng", [True, False])
def test_what_libspng_decodes_and_what_pillow_does_come_in_order(tmp_path, libspng, monkeypatch):
    """PNG files, and then, from the same threads, others; at last so many others that processes take over."""
    if not libspng:
        monkeypatch.setattr(decoding, "png_decoder", lambda: None)
    target, pictures = Target(12, 12, 3), []
    for number in range(1500):
        plain = number < 800 and number % 5
        path = save(tmp_path / f"{number:04}.{'png' if plain else 'bmp'}", scene(number, 12))
        if number in {0, 255, 300, 900}:
            path.write_bytes(b"no picture")
        pictures.append(Picture(str(number), str(path), "2"))
    found = list(decoding.blocks(pictures, target, 100))
    expected, faults = decoding.decode_all([picture.encoded for picture in pictures], target)
    np.testing.assert_array_equal(np.concatenate([block.pixels for block in found]), expected)
    assert [len(block.names) for block in found] == [100] * 14 + [96]
    names = [name for block in found for name in block.names]
    assert names == [str(number) for number in range(1500) if faults[number] is None]
    unreadable = [fault for block in found for fault in block.unreadable]
    assert unreadable == [(str(number), faults[number]) for number in (0, 255, 300, 900)]
