"""Results of other threads and processes come in order, and only what is waited for is begun."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from images import save, scene

from tenfold.data.decode import Target
from tenfold.inference import decoding
from tenfold.inference.decoding import in_order
from tenfold.inference.pictures import Picture


def test_results_come_in_order_and_what_nobody_waits_for_is_not_begun():
    begun = []

    def slow_first(number: int) -> int:
        begun.append(number)
        time.sleep(0.05 if number == 0 else 0)
        return -number

    with ThreadPoolExecutor(2) as pool:
        results = in_order(lambda number: pool.submit(slow_first, number), iter(range(1000)), 3)
        assert [next(results) for _ in range(3)] == [(0, 0), (1, -1), (2, -2)]
        results.close()
    assert len(begun) <= 7


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
