"""Many pictures into one file of pixels: in chunks, each in its row, whatever becomes of single ones."""

import os

import joblib
import numpy as np
import pytest
from images import random_pixels, save

from tenfold.core.errors import TenfoldError
from tenfold.data.decode import Target
from tenfold.data.decode_pool import CHUNK_BYTES, CHUNK_IMAGES, chunks, decode_into, in_processes, measure


def test_chunks_are_limited_in_number_and_in_bytes():
    many = list(chunks((i, "path") for i in range(CHUNK_IMAGES + 3)))
    assert [len(chunk.rows) for chunk in many] == [CHUNK_IMAGES, 3]
    large = list(chunks((i, bytes(CHUNK_BYTES // 2)) for i in range(5)))
    assert [chunk.rows for chunk in large] == [[0, 1], [2, 3], [4]]
    arrays = list(chunks((i, np.zeros(CHUNK_BYTES, np.uint8)) for i in range(2)))
    assert [chunk.rows for chunk in arrays] == [[0], [1]]
    assert list(chunks([])) == []


def test_each_picture_goes_to_its_row_and_a_bad_one_leaves_it_black(tmp_path):
    pixels = [random_pixels(i) for i in range(4)]
    work = [(row, str(save(tmp_path / f"{row}.png", pixels[row]))) for row in (2, 0, 3)]
    path, offset = tmp_path / "pixels", 5
    path.write_bytes(bytes(offset + 4 * 8 * 8 * 3))
    found = decode_into(path, offset, chunks([*work, (1, b"no picture")]), Target(8, 8, 3))
    outcomes = dict(outcome for part in found for outcome in part)
    written = np.frombuffer(path.read_bytes()[offset:], np.uint8).reshape(4, 8, 8, 3)
    for row in (0, 2, 3):
        np.testing.assert_array_equal(written[row], pixels[row])
        assert (outcomes[row].width, outcomes[row].height) == (8, 8)
    assert not written[1].any()
    assert isinstance(outcomes[1], str)


def test_only_pictures_of_more_than_8_bits_have_a_range(tmp_path):
    deep = np.array([[100, 900], [300, 500]], np.uint16)
    plain = str(save(tmp_path / "plain.png", random_pixels(0)))
    found = list(measure(chunks([(0, plain), (1, str(save(tmp_path / "deep.png", deep)))])))
    assert [(low, high) for _, low, high in found] == [(100, 900)]


def test_processes_of_scikit_learn_go_on_beside_those_that_decode():
    """scikit-learn keeps one set of processes for all that it does, and so must not be handed tenfold's."""
    numbers = range(8)
    for _ in range(2):
        assert list(in_processes(abs, numbers)) == [(number, number) for number in numbers]
        parallel = joblib.Parallel(n_jobs=2, idle_worker_timeout=1)
        assert parallel(joblib.delayed(abs)(-number) for number in numbers) == list(numbers)


def test_after_a_process_was_killed_others_take_new_work():
    with pytest.raises(TenfoldError, match="memory"):
        list(in_processes(os._exit, [1]))
    assert list(in_processes(abs, [-1])) == [(-1, 1)]
