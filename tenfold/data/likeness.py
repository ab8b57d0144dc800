"""Near copies: pictures that show the same, also mirrored, turned by a few degrees, brightened, compressed or noisy.

1. Every picture becomes a short descriptor: an 8x8 thumbnail of its inner disc, projected onto the principal
   components of all thumbnails and whitened, so that a smooth sky or a white background, which many pictures share,
   counts for no more than any other trait. Pairs are candidates where the cosine of some view of one (mirrored or
   not, turned or not) and of the other is large; block against block, so that memory grows with the number of
   pictures and not with its square.
2. Candidates are compared by the correlation of their details (the luminance without its local mean, and without
   what the details of all pictures have in common), over small shifts and further turns.
3. Simple shapes resemble each other without being copies: two strokes of a pen correlate as two photographs never
   do. What is usual is measured on pictures that are certainly no copies, those of the others turned upside down,
   and a pair has to stand out from what its own pictures reach with them. Copies do not change that measure, however
   many there are.

`bench/near_copies.py` measures how many copies of each kind are found, and how many pairs of others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.fft import irfft2, rfft2

from tenfold.core.progress import Progress
from tenfold.core.randomness import seed_for

THUMBNAIL = 8  # pixels a side of the thumbnails that are described
COMPONENTS = 48
SHRINKAGE = 0.1  # of the mean variance, added to each component's: noise is not blown up to content
FIT_PICTURES = 10_000  # enough to estimate 48 components
TURNS = (0, -8, 8)  # degrees by which views are turned
FINE_TURNS = (-12, -8, -4, 0, 4, 8, 12)  # at which promising candidates are compared
CANDIDATE = 0.5  # cosine of descriptors
CANDIDATES_PER_PICTURE = 5
DETAIL = 32  # pixels a side at which details are compared
DETAIL_WINDOW = 7
COMMON = 0.3  # correlation with the mean detail that nine of ten pictures must have for it to say nothing
PROMISING = 0.3  # correlation from which on the fine turns are tried
SIMILAR = 0.77  # correlation of details of near copies, whatever is usual
# How near to 1 a correlation must be: a factor and a power of how far from it the usual one is. Either will do.
# The first is for strokes and shapes, among which much is alike (of MNIST's digits, none are copies); the second for
# photographs (of CIFAR-10's test images, nearly the share that ciFAIR's authors found by eye).
STANDS_OUT = ((0.5, 2), (0.78, 2.5))
USUAL_PICTURES = 1000  # whose median likeness to others upside down is usual for the source
BLOCK = 1024


def near_copies(
    pixels: np.ndarray, rows: np.ndarray, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P, 2) of positions among `rows` of nearly the same picture, smaller first; their correlations (P,).

    pixels: (rows of the whole source, H, W, C) uint8. Each picture has at most CANDIDATES_PER_PICTURE later partners,
    so that of many copies of one picture not every pair is given, but enough to connect all. `progress` is called
    with (pictures compared, pictures in all).
    """
    if len(rows) < 2:
        return np.empty((0, 2), np.int64), np.empty(0, np.float32)
    album = _Album(pixels, rows)
    every = np.arange(len(rows))
    pairs, views = album.candidates(every, progress=progress)
    likeness = album.likeness(pairs, views)
    alike = likeness >= SIMILAR
    pairs, likeness = pairs[alike], likeness[alike]
    usual = album.usual_likeness(np.unique(pairs))
    apart = 1 - usual[pairs].max(1, initial=0)
    near = 1 - likeness <= np.max([factor * apart**power for factor, power in STANDS_OUT], axis=0)
    return pairs[near], likeness[near]


@dataclass(frozen=True)
class _View:
    """A way to look at a picture: turned by degrees, then mirrored, then upside down."""

    degrees: float
    mirrored: bool = False
    upside_down: bool = False

    def of(self, images: np.ndarray) -> np.ndarray:
        """(n, H, W, ...) images as they are seen."""
        seen = _turned(images, self.degrees)
        return seen[:, :: -1 if self.upside_down else 1, :: -1 if self.mirrored else 1]


PLAIN = _View(0)
# Turns in both directions, so that it suffices to look at the first picture of a pair.
VIEWS = tuple(_View(degrees, mirrored) for mirrored in (False, True) for degrees in TURNS)
DECOYS = tuple(_View(view.degrees, view.mirrored, True) for view in VIEWS)


class _Album:
    """Pictures, reduced to what they are compared by."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray) -> None:
        self._pixels, self._rows = pixels, rows
        self._describer = _Describer.fitted(self._small(rows[:: max(1, len(rows) // FIT_PICTURES)]))
        plain, luminance = [], []
        for small in self._small(rows):
            plain.append(self._describer(small))
            luminance.append(np.rint(small.mean(1)).astype(np.uint8))
        self._plain, self._luminance = np.concatenate(plain), np.concatenate(luminance)
        self._details = _Details.fitted(self._luminance[:: max(1, len(rows) // FIT_PICTURES)])

    def candidates(
        self, chosen: np.ndarray, views: Sequence[_View] = VIEWS, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (P, 2) of one of the `chosen` positions and another with a large cosine, and whose view (P,) has it.

        Of upside-down views every pair counts, also with itself; of others, pairs with later positions only.
        """
        decoys = views[0].upside_down
        found, seen = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
        for start in range(0, len(chosen), BLOCK):
            block = chosen[start : start + BLOCK]
            small = next(self._small(self._rows[block]))
            described = [self._describer(small, view) for view in views]
            best = _Best(block)
            for other in range(0 if decoys else int(block[0]), len(self._rows), BLOCK):
                best.add(described, self._plain[other : other + BLOCK], other, later=not decoys)
            found.append(best.pairs)
            seen.append(best.views)
            if progress:
                progress(min(start + BLOCK, len(chosen)), len(chosen))
        return np.concatenate(found), np.concatenate(seen)

    def likeness(self, pairs: np.ndarray, seen: np.ndarray, views: Sequence[_View] = VIEWS) -> np.ndarray:
        """(P,) float32 largest correlation of the details of each pair, its first picture seen by `views[seen]`."""
        found = np.zeros(len(pairs), np.float32)
        for number, view in enumerate(views):
            places = np.flatnonzero(seen == number)
            for start in range(0, len(places), BLOCK):
                part = places[start : start + BLOCK]
                found[part] = self._correlation(pairs[part], view)
        return found

    def usual_likeness(self, chosen: np.ndarray) -> np.ndarray:
        """(N,) for the `chosen` positions their likeness to pictures upside down, at least what is usual; else 0."""
        every = np.arange(len(self._rows))
        drawn = np.random.default_rng(seed_for("usual likeness")).permutation(len(every))[:USUAL_PICTURES]
        asked = np.union1d(chosen, drawn)
        best = np.zeros(len(every), np.float32)
        pairs, seen = self.candidates(asked, DECOYS)
        np.maximum.at(best, pairs[:, 0], self.likeness(pairs, seen, DECOYS))
        usual = np.zeros(len(every), np.float32)
        usual[chosen] = np.maximum(best[chosen], np.median(best[drawn]))
        return usual

    def _correlation(self, pairs: np.ndarray, view: _View) -> np.ndarray:
        first, second = (self._luminance[pairs[:, side]].astype(np.float32) for side in (0, 1))
        spectra = rfft2(self._details(second))
        best = self._details.correlation(view.of(first), spectra)
        again = np.flatnonzero(best >= PROMISING)
        for degrees in FINE_TURNS if len(again) else ():
            turned = replace(view, degrees=degrees).of(first[again])
            best[again] = np.maximum(best[again], self._details.correlation(turned, spectra[again]))
        return best

    def _small(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """(n, C, at most 32, at most 32) float32, block after block."""
        for start in range(0, len(rows), BLOCK):
            block = self._pixels[rows[start : start + BLOCK]]
            yield _shrink(np.ascontiguousarray(block.transpose(0, 3, 1, 2), np.float32), DETAIL)


# Descriptors -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Describer:
    """Thumbnails to descriptors."""

    mean: np.ndarray
    whiten: np.ndarray

    @classmethod
    def fitted(cls, blocks: Iterator[np.ndarray]) -> "_Describer":
        """By the principal components of these pictures."""
        sample = np.concatenate([_traits(block) for block in blocks])
        mean = sample.mean(0)
        variances, components = np.linalg.eigh(np.cov((sample - mean).T))
        variances, components = variances[-COMPONENTS:], components[:, -COMPONENTS:]
        # The fewer pictures, the less their components are to be trusted, and the less is whitened.
        shrinkage = (SHRINKAGE + COMPONENTS / len(sample)) * variances.mean() + 1e-12
        return cls(mean, (components / np.sqrt(variances + shrinkage)).astype(np.float32))

    def __call__(self, images: np.ndarray, view: _View = PLAIN) -> np.ndarray:
        """(n, components) float32 of unit length, of images (n, C, H, W) seen so."""
        projected = (_traits(images, view) - self.mean) @ self.whiten
        return projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6)


def _traits(images: np.ndarray, view: _View = PLAIN) -> np.ndarray:
    """(n, C, H, W) to (n, traits) float32: the thumbnail's inner disc without brightness and contrast."""
    count, channels, height, width = images.shape
    thumbnails = images.reshape(count * channels, height * width) @ _thumbnail_seen(height, width, view)
    thumbnails = thumbnails.reshape(count, channels, -1)
    thumbnails -= thumbnails.mean((1, 2), keepdims=True)
    thumbnails *= _disc(min(height, THUMBNAIL), min(width, THUMBNAIL), 1.1).ravel()
    traits = thumbnails.reshape(count, -1)
    return traits / np.maximum(np.linalg.norm(traits, axis=1, keepdims=True), 1e-6)


@lru_cache(maxsize=32)
def _thumbnail_seen(height: int, width: int, view: _View) -> np.ndarray:
    """(H * W, thumbnail's pixels) float32: the weight of each pixel in each of the thumbnail of the picture so seen.

    One product with it takes a tenth of the time of turning the pictures and shrinking them.
    """
    weights = np.kron(_means(height, THUMBNAIL), _means(width, THUMBNAIL)).reshape(-1, height, width)
    # What is mirrored after turning is weighted by mirrored weights.
    weights = weights[:, :: -1 if view.upside_down else 1, :: -1 if view.mirrored else 1]
    weights = weights.reshape(len(weights), -1).T
    return np.ascontiguousarray(
        _turning(height, width, view.degrees).T @ weights if view.degrees else weights
    )


class _Best:
    """The largest cosines of each picture of a block."""

    def __init__(self, block: np.ndarray) -> None:
        self._block = block
        self._found = np.empty((0, 4))  # place in the block, other position, cosine, view

    @property
    def pairs(self) -> np.ndarray:
        """(P, 2) positions."""
        return np.column_stack([self._block[self._found[:, 0].astype(int)], self._found[:, 1].astype(int)])

    @property
    def views(self) -> np.ndarray:
        """(P,) by which view of the first."""
        return self._found[:, 3].astype(np.int64)

    def add(self, described: Sequence[np.ndarray], others: np.ndarray, start: int, later: bool) -> None:
        """Compare with `others`, the descriptors of the positions from `start` on."""
        cosines = described[0] @ others.T
        for view in described[1:]:
            np.maximum(cosines, view @ others.T, out=cosines)
        first, second = np.divmod(np.flatnonzero(cosines.ravel() > CANDIDATE), len(others))
        if later:
            after = self._block[first] < second + start
            first, second = first[after], second[after]
        each = np.stack([np.einsum("nd,nd->n", view[first], others[second]) for view in described])
        new = np.column_stack([first, second + start, each.max(0), each.argmax(0)])
        found = np.concatenate([self._found, new])
        found = found[np.lexsort((-found[:, 2], found[:, 0]))]
        places = np.arange(len(found)) - np.searchsorted(found[:, 0], found[:, 0])
        self._found = found[places < CANDIDATES_PER_PICTURE]


# Details -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Details:
    """Luminance to details, without what the details of all pictures have in common."""

    common: np.ndarray  # (h, w), of length 1, or 0

    @classmethod
    def fitted(cls, luminance: np.ndarray) -> "_Details":
        """By the mean detail of these pictures (n, h, w), where nearly all have it, as before a camera on a stand."""
        plain = cls(np.zeros(luminance.shape[1:], np.float32))
        blocks = [
            luminance[start : start + BLOCK].astype(np.float32) for start in range(0, len(luminance), BLOCK)
        ]
        mean = np.sum([plain(block).sum(0) for block in blocks], axis=0)
        mean = mean / max(float(np.linalg.norm(mean)), 1e-6)
        shares = np.concatenate([np.einsum("nij,ij->n", plain(block), mean) for block in blocks])
        return cls(mean) if np.quantile(shares, 0.1) > COMMON else plain

    def __call__(self, luminance: np.ndarray) -> np.ndarray:
        """(n, h, w) of length 1, or less where there is hardly more than the noise of a blank picture."""
        from scipy.ndimage import uniform_filter

        details = luminance - uniform_filter(luminance, DETAIL_WINDOW, mode="nearest", axes=(1, 2))
        details = details * _disc(details.shape[1], details.shape[2], 1.0)
        details = details - details.mean((1, 2), keepdims=True)
        details -= np.einsum("nij,ij->n", details, self.common)[:, None, None] * self.common
        energy = np.einsum("nij,nij->n", details, details) + self.common.size
        return details / np.sqrt(energy)[:, None, None]

    def correlation(self, luminance: np.ndarray, spectra: np.ndarray) -> np.ndarray:
        """(n,) largest correlation over shifts of up to a sixteenth, with details whose `spectra` are given."""
        height, width = luminance.shape[1:]
        products = irfft2(rfft2(self(luminance)) * spectra.conj(), (height, width))
        down, across = (np.arange(-(side // 16), side // 16 + 1) for side in (height, width))
        return products[:, down][:, :, across].max((1, 2))


# Pictures ----------------------------------------------------------------------------------------------------


def _disc(height: int, width: int, reach: float) -> np.ndarray:
    """(height, width) float32: 1 well inside the ellipse that fills a picture, 0 outside, which turning changes."""
    y, x = ((2 * np.arange(side) + 1) / side - 1 for side in (height, width))
    return np.clip((reach - np.hypot(y[:, None], x[None])) / 0.3, 0, 1).astype(np.float32)


def _turned(images: np.ndarray, degrees: float) -> np.ndarray:
    """(n, H, W, ...) float32 turned about the centre: bilinear, and beyond the edge what is at the edge."""
    if not degrees:
        return images
    height, width = images.shape[1:3]
    flat = images.reshape(len(images), height * width, -1)
    turned = _turning(height, width, degrees) @ flat.swapaxes(0, 1).reshape(height * width, -1)
    return turned.reshape(height * width, len(images), -1).swapaxes(0, 1).reshape(images.shape)


@lru_cache(maxsize=32)
def _turning(height: int, width: int, degrees: float) -> Any:
    """(H * W, H * W), sparse: the weight of each pixel in each pixel of the turned picture."""
    from scipy.sparse import csr_array

    y, x = (np.arange(side) - (side - 1) / 2 for side in (height, width))
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    down = np.clip(cos * y[:, None] - sin * x + (height - 1) / 2, 0, height - 1).ravel()
    across = np.clip(sin * y[:, None] + cos * x + (width - 1) / 2, 0, width - 1).ravel()
    above, left = np.minimum(down.astype(int), height - 2), np.minimum(across.astype(int), width - 2)
    corners = [(below, right) for below in (0, 1) for right in (0, 1)]
    shares = [np.abs(1 - b - (down - above)) * np.abs(1 - r - (across - left)) for b, r in corners]
    pixels = [(above + b) * width + left + r for b, r in corners]
    into = np.tile(np.arange(height * width), 4)
    weights = np.concatenate(shares).astype(np.float32)
    return csr_array((weights, (into, np.concatenate(pixels))), shape=(height * width, height * width))


def _shrink(images: np.ndarray, size: int) -> np.ndarray:
    """(n, C, H, W) to at most (n, C, size, size) float32, every pixel the mean of the area that it covers."""
    height, width = images.shape[2:]
    if width > size:
        images = images @ _means(width, size).T
    return _means(height, size) @ images if height > size else images


def _means(length: int, size: int) -> np.ndarray:
    """(size, length): row i averages the part from i to i + 1 of `size` equal parts of `length` pixels.

    Where there are no more pixels than parts, each stays as it is.
    """
    if length <= size:
        return np.eye(length, dtype=np.float32)
    edges = np.linspace(0, length, size + 1)[:, None]
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel)
    return (np.maximum(overlap, 0) * (size / length)).astype(np.float32)
