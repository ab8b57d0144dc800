"""Hashes that tell a changed byte: of large files block by block, of a JSON object in one of its own entries."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 1 << 20
# The entry of a JSON object that holds the hash of the others.
SEAL = "blake2b"


def hash_of(content: bytes, size: int = 8) -> str:
    """BLAKE2b in hexadecimal digits, of so many bytes."""
    return hashlib.blake2b(content, digest_size=size).hexdigest()


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the hash of its entries as one more."""
    return {**value, SEAL: _seal(value)}


def unsealed(value: Any) -> dict[str, Any]:
    """A JSON object without its seal. Raises ValueError where it is none, or where its entries are others.

    One without seal, of version 0.1 or written by hand, is taken as it is.
    """
    if not isinstance(value, dict):
        raise ValueError("is damaged: it holds no JSON object")
    rest = {key: entry for key, entry in value.items() if key != SEAL}
    if value.get(SEAL, expected := _seal(rest)) != expected:
        raise ValueError("is damaged: it has changed since it was written")
    return rest


def _seal(value: Mapping[str, Any]) -> str:
    return hash_of(json.dumps(value, sort_keys=True).encode())


def block_hashes(path: Path) -> np.ndarray:
    """A hash (blocks,) uint64 of each MiB of a file."""
    blocks = range(-(-path.stat().st_size // BLOCK))
    return np.fromiter(_hashes(path, blocks), np.uint64, len(blocks))


def damaged_blocks(path: Path, hashes: np.ndarray, chosen: Iterable[int] | None = None) -> list[int]:
    """The blocks whose hash is another than `hashes` (blocks,) says: of those `chosen`, or of all."""
    blocks = list(range(len(hashes)) if chosen is None else chosen)
    found = zip(blocks, _hashes(path, blocks), strict=True)
    return [block for block, value in found if value != int(hashes[block])]


def some_blocks(count: int) -> list[int]:
    """A few blocks of so many: the first, the last, and two between them that chance draws anew each time."""
    between = np.random.default_rng().integers(0, max(count, 1), 2).tolist()
    return sorted({0, count - 1, *between}) if count else []


def _hashes(path: Path, blocks: Iterable[int]) -> Iterable[int]:
    with path.open("rb") as file:
        for block in blocks:
            file.seek(block * BLOCK)
            digest = hashlib.blake2b(file.read(BLOCK), digest_size=8).digest()
            yield int.from_bytes(digest, "little")
