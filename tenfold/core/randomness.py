"""Random numbers that depend only on what they are for, never on what was drawn before."""

import hashlib

import numpy as np

# The multiplier of PCG64's linear congruential generator (O'Neill 2014), and its modulus.
_MULTIPLIER, _MODULUS = 0x2360ED051FC65DA44385DF649FCCF645, 2**128
# A stream's states are reached in two jumps: so many single steps are tabled, and so long ones.
_JUMP = 512
_LOW = np.uint64(2**32 - 1)


def seed_for(*purpose: "int | str") -> int:
    """A seed (63 bits) that is a stable hash of `purpose`, for instance `seed_for(seed, "order", epoch)`.

    The same on every machine, in every process and in every version of Python; different purposes give
    unrelated seeds.
    """
    digest = hashlib.blake2b("/".join(str(part) for part in purpose).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


class Rows:
    """A table of float32 numbers uniform in [0, 1), however long, of which any rows can be drawn without the others.

    It is the table `numpy.random.default_rng(seed).random((count, draws), dtype=float32)`, number by number: a linear
    congruential generator can jump to any place of its stream (F. Brown, "Random number generation with arbitrary
    strides", 1994). It takes 16 KiB, and 32 bytes for every thousand numbers up to the last that is drawn.
    """

    def __init__(self, seed: int, draws: int) -> None:
        self.draws = draws
        words = np.random.PCG64(seed).state["state"]
        self._increment, state = words["inc"], words["state"]
        steps = [state]
        for _ in range(_JUMP - 1):
            steps.append((steps[-1] * _MULTIPLIER + self._increment) % _MODULUS)
        self._steps = _words(steps)
        self._factors, self._terms = [1], [0]
        factor, term = 1, 0
        for _ in range(_JUMP):
            factor, term = factor * _MULTIPLIER % _MODULUS, (term * _MULTIPLIER + self._increment) % _MODULUS
        self._long = (factor, term)
        self._tables = (_words(self._factors), _words(self._terms))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The numbers (n, draws) of `rows` (n,)."""
        rows = np.asarray(rows, np.int64)
        if not rows.size or not self.draws:
            return np.empty((len(rows), self.draws), np.float32)
        first = rows * self.draws  # each row's first number; a word of the generator makes two
        words = self._words_at(first[:, None] // 2 + 1 + np.arange(self.draws // 2 + 1))
        halves = np.stack([words & _LOW, words >> np.uint64(32)], -1).reshape(len(rows), -1)
        chosen = np.take_along_axis(halves, (first % 2)[:, None] + np.arange(self.draws), axis=1)
        return (chosen >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)

    def _words_at(self, places: np.ndarray) -> np.ndarray:
        """The generator's 64-bit words at `places`, counted from 1."""
        longs, steps = places // _JUMP, places % _JUMP
        self._reach(int(longs.max()))
        factors, terms = ((high[longs], low[longs]) for high, low in self._tables)
        high, low = _multiply(factors, (self._steps[0][steps], self._steps[1][steps]))
        low = low + terms[1]
        high = high + terms[0] + (low < terms[1])
        mixed, turn = high ^ low, high >> np.uint64(58)  # the permutation XSL RR
        return (mixed >> turn) | (mixed << ((np.uint64(64) - turn) & np.uint64(63)))

    def _reach(self, longs: int) -> None:
        """Make sure that so many long jumps are tabled."""
        if longs < len(self._factors):
            return
        factor, term = self._long
        while len(self._factors) <= 2 * longs:
            self._factors.append(self._factors[-1] * factor % _MODULUS)
            self._terms.append((self._terms[-1] * factor + term) % _MODULUS)
        self._tables = (_words(self._factors), _words(self._terms))


Words = tuple[np.ndarray, np.ndarray]


def _words(numbers: list[int]) -> Words:
    """Numbers of 128 bits as their upper and lower 64."""
    return (
        np.array([number >> 64 for number in numbers], np.uint64),
        np.array([number & (2**64 - 1) for number in numbers], np.uint64),
    )


def _multiply(one: Words, other: Words) -> Words:
    """Products of numbers of 128 bits, modulo 2 ** 128."""
    (high, a), (other_high, b) = one, other
    half = np.uint64(32)
    a0, a1, b0, b1 = a & _LOW, a >> half, b & _LOW, b >> half
    low, cross, turned = a0 * b0, a0 * b1, a1 * b0
    middle = (low >> half) + (cross & _LOW) + (turned & _LOW)
    upper = a1 * b1 + (cross >> half) + (turned >> half) + (middle >> half)
    return upper + high * b + a * other_high, (low & _LOW) | (middle << half)
