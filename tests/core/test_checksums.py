"""Hashes find a changed byte, and say in which block."""

import pytest
from small import flip_byte

from tenfold.core.checksums import (
    BLOCK,
    block_hashes,
    damaged_blocks,
    hash_of,
    sealed,
    some_blocks,
    unsealed,
)


def test_a_hash_has_the_length_that_was_asked_for():
    assert len(hash_of(b"a")) == 16
    assert len(hash_of(b"a", 4)) == 8
    assert hash_of(b"a") != hash_of(b"b")


def test_a_seal_comes_off_what_has_not_changed_whatever_its_order():
    value = {"b": [1, 0.5, None], "a": {"größe": True}}
    saved = sealed(value)
    assert unsealed(saved) == value
    assert unsealed(dict(reversed(saved.items()))) == value
    assert unsealed(value) == value, "one of version 0.1 has no seal"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda saved: {**saved, "a": 2}, "has changed"),
        (lambda saved: {**saved, "more": 1}, "has changed"),
        (lambda saved: {"blake2b": saved["blake2b"]}, "has changed"),
        (lambda saved: {**saved, "blake2b": None}, "has changed"),
        (lambda saved: [saved], "no JSON object"),
        (lambda saved: None, "no JSON object"),
    ],
)
def test_what_has_changed_is_told(change, words):
    with pytest.raises(ValueError, match=words):
        unsealed(change(sealed({"a": 1})))


def test_a_changed_byte_is_found_in_its_block(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * BLOCK) + b"end")
    hashes = block_hashes(path)
    assert len(hashes) == 3
    assert damaged_blocks(path, hashes) == []
    flip_byte(path, BLOCK + 7)
    flip_byte(path, -1)
    assert damaged_blocks(path, hashes) == [1, 2]
    assert damaged_blocks(path, hashes, [0, 2]) == [2]


def test_an_empty_file_has_no_blocks(tmp_path):
    (tmp_path / "empty").touch()
    assert len(block_hashes(tmp_path / "empty")) == 0
    assert damaged_blocks(tmp_path / "empty", block_hashes(tmp_path / "empty")) == []


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_a_few_blocks_always_hold_the_first_and_the_last(count):
    chosen = some_blocks(count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= 4
    assert {0, count - 1} <= set(chosen) <= set(range(count)) if count else chosen == []
