"""Texts by the million: a column of them in one piece of memory, or in a file that is mapped, seen as a sequence."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np

_BLOCK = 1 << 16  # texts that are gone through at a time


class Names(Sequence[str]):
    """A sequence of texts over their bytes: some 40 of them a path, where a list of Python's takes over 100.

    texts: (n,) uint8, in UTF-8; bounds: (N + 1,) int64, where each begins and the last one ends, as Arrow has it.
    """

    def __init__(self, texts: np.ndarray, bounds: np.ndarray) -> None:
        self.texts, self.bounds = texts, bounds

    @classmethod
    def of_bytes(cls, joined: np.ndarray) -> "Names":
        """The texts that NUL bytes part in `joined` (n,) uint8. Raises ValueError where they are not in UTF-8."""
        joined.tobytes().decode()
        ends = np.append(np.flatnonzero(joined == 0), len(joined))
        bounds = np.append(0, ends + 1) - np.arange(len(ends) + 1)
        bounds[-1] = len(joined) - len(ends) + 1
        return cls(joined[joined != 0], bounds)

    def taken(self, positions: np.ndarray) -> "Names":
        """Those at `positions` (n,)."""
        parts = [
            self._gathered(positions[start : start + _BLOCK]) for start in range(0, len(positions), _BLOCK)
        ]
        lengths = (self.bounds[1:] - self.bounds[:-1])[positions]
        return Names(np.concatenate([np.empty(0, np.uint8), *parts]), np.append(0, np.cumsum(lengths)))

    def _gathered(self, positions: np.ndarray) -> np.ndarray:
        """The bytes of the texts at `positions` (n,), one after the other."""
        starts = self.bounds[positions]
        lengths = self.bounds[positions + 1] - starts
        ends = np.cumsum(lengths)
        places = np.repeat(starts - (ends - lengths), lengths) + np.arange(int(lengths.sum()))
        return self.texts[places]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, position: int) -> str: ...

    @overload
    def __getitem__(self, position: slice) -> "Names": ...

    def __getitem__(self, position: Any) -> "str | Names":
        if isinstance(position, slice):
            return self.taken(np.arange(len(self))[position])
        place = int(position)
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        start, stop = self.bounds[place % len(self) :][:2].tolist()
        return self.texts[start:stop].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _BLOCK):
            bounds = self.bounds[first : first + _BLOCK + 1].tolist()
            block = self.texts[bounds[0] : bounds[-1]].tobytes()
            for start, stop in pairwise(bounds):
                yield block[start - bounds[0] : stop - bounds[0]].decode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Names({list(self[:3])}, {len(self):,} in all)"


def taken(names: Sequence[str], positions: np.ndarray) -> Sequence[str]:
    """The texts at `positions` (n,), kept as the others are."""
    if isinstance(names, Names):
        return names.taken(positions)
    return [str(names[place]) for place in positions.tolist()]
