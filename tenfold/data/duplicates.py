"""Images that are there twice: exact duplicates by a hash of their pixels, near duplicates by what they show.

Near duplicates are found in two steps. Every image becomes a short descriptor: its 16x16 thumbnail, projected onto
the principal components of all thumbnails and whitened, so that a smooth sky or a white background, which many
pictures share, counts for no more than any other trait. Pairs of descriptors with a large cosine are candidates,
computed block against block, so that memory grows with the number of images and not with its square. Candidates are
compared by the correlation of their detail (the luminance without its local mean) over small shifts, which colour,
brightness and compression hardly touch. docs/results.md has what this finds in CIFAR-10 (Barz & Denzler 2020,
arXiv:1902.00423, list such pairs by hand).
"""

from collections.abc import Iterator

import numpy as np
from scipy.ndimage import uniform_filter

from tenfold.core.progress import Progress

DESCRIPTOR_SIZE = 16  # pixels a side of the thumbnails that are described
COMPONENTS = 64
SHRINKAGE = 0.1  # of the mean variance, added to each component's: noise is not blown up to content
CANDIDATE = 0.6  # cosine of descriptors
CANDIDATES_PER_IMAGE = 8
DETAIL_SIZE = 32  # pixels a side at which details are compared
DETAIL_WINDOW = 7
SIMILAR = 0.75  # correlation of details of near duplicates, where pictures usually differ
BLOCK = 2048
FIT_IMAGES = 20_000  # enough to estimate 64 components


def exact_duplicates(pictures: np.ndarray) -> list[np.ndarray]:
    """Groups of at least two positions of equal hashes (N,), in order of their first image."""
    _, first, inverse, counts = np.unique(
        pictures, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    repeated = np.flatnonzero(counts > 1)
    return [groups[place] for place in repeated[np.argsort(first[repeated])].tolist()]


def near_duplicates(
    pixels: np.ndarray, rows: np.ndarray, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Pairs (P, 2) of positions among `rows` of nearly the same picture, their similarity (P,), and the usual one.

    The usual similarity is the median over all images of that to the most similar other one, 0 where nothing comes
    near. Where pictures resemble each other anyway, as handwritten digits do, only a pair that stands out from that
    counts: the threshold lies as far towards 1. At most CANDIDATES_PER_IMAGE pairs of an image are looked at.
    """
    pairs = _candidates(_descriptors(pixels, rows), progress or (lambda done, total: None))
    blocks = [rows[pairs[start : start + BLOCK]] for start in range(0, len(pairs), BLOCK)]
    similarity = np.concatenate([np.empty(0), *(_similarity(pixels, block) for block in blocks)])
    best = np.zeros(len(rows))
    for column in (0, 1):
        np.maximum.at(best, pairs[:, column], similarity)
    usual = float(np.median(best)) if len(best) else 0.0
    near = similarity >= 1 - (1 - SIMILAR) * (1 - usual)
    return pairs[near], similarity[near], usual


# Candidates --------------------------------------------------------------------------------------------------


def _descriptors(pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N, components) float32 of unit length."""
    fitted = rows[:: max(1, len(rows) // FIT_IMAGES)]
    sample = np.concatenate(list(_traits(pixels, fitted)))
    mean = sample.mean(0)
    variances, components = np.linalg.eigh(np.cov((sample - mean).T))
    variances, components = variances[-COMPONENTS:], components[:, -COMPONENTS:]
    # The fewer images, the less their components are to be trusted, and the less is whitened.
    shrinkage = (SHRINKAGE + COMPONENTS / len(sample)) * variances.mean() + 1e-12
    whiten = (components / np.sqrt(variances + shrinkage)).astype(np.float32)
    projected = np.concatenate([(traits - mean) @ whiten for traits in _traits(pixels, rows)])
    return projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6)


def _traits(pixels: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Thumbnails (n, 16 * 16 * C) float32 without brightness and contrast, block after block."""
    for start in range(0, len(rows), BLOCK):
        thumbnails = _shrink(pixels[rows[start : start + BLOCK]], DESCRIPTOR_SIZE)
        traits = thumbnails.reshape(len(thumbnails), -1)
        traits = traits - traits.mean(1, keepdims=True)
        yield traits / np.maximum(np.linalg.norm(traits, axis=1, keepdims=True), 1e-6)


def _shrink(images: np.ndarray, size: int) -> np.ndarray:
    """(n, H, W, C) to at most (n, size, size, C) float32, every pixel the mean of the area that it covers."""
    images = images.astype(np.float32)
    for _ in range(2):  # rows, then columns
        count, length, other, channels = images.shape
        if length > size:
            images = _means(length, size) @ images.reshape(count, length, other * channels)
        images = images.reshape(count, -1, other, channels).swapaxes(1, 2)
    return images


def _means(length: int, size: int) -> np.ndarray:
    """(size, length): row i averages the part from i to i + 1 of `size` equal parts of `length` pixels."""
    edges = np.linspace(0, length, size + 1)[:, None]
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel)
    return (np.maximum(overlap, 0) * (size / length)).astype(np.float32)


def _candidates(descriptors: np.ndarray, progress: Progress) -> np.ndarray:
    """(P, 2) positions of pairs, smaller first, with a large cosine; the best few of each image."""
    found, count = [np.empty((0, 2), np.int64)], len(descriptors)
    for start in range(0, count, BLOCK):
        left = descriptors[start : start + BLOCK]
        best = np.empty((0, 3))
        for other in range(start, count, BLOCK):
            cosines = left @ descriptors[other : other + BLOCK].T
            first, second = np.nonzero(cosines > CANDIDATE)
            later = first + start < second + other
            first, second = first[later], second[later]
            new = np.column_stack([first + start, second + other, cosines[first, second]])
            best = _best_of_each(np.concatenate([best, new]))
        found.append(best[:, :2].astype(np.int64))
        progress(min(start + BLOCK, count), count)
    return np.concatenate(found)


def _best_of_each(pairs: np.ndarray) -> np.ndarray:
    """Of (P, 3) rows of first, second and cosine, the few with the largest cosine for each first."""
    pairs = pairs[np.lexsort((-pairs[:, 2], pairs[:, 0]))]
    places = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    return pairs[places < CANDIDATES_PER_IMAGE]


# Details -----------------------------------------------------------------------------------------------------


def _similarity(pixels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) largest correlation of the details of each pair (P, 2) of rows, over shifts of up to a sixteenth."""
    left, right = _detail(pixels[pairs[:, 0]]), _detail(pixels[pairs[:, 1]])
    height, width = left.shape[1:]
    down, across = height // 16, width // 16
    centre = left[:, down : height - down, across : width - across]
    centre = centre - centre.mean((1, 2), keepdims=True)
    size = centre[0].size
    spread = _variance(centre, size)
    best = np.full(len(pairs), -1.0, np.float32)
    for y in range(2 * down + 1):
        for x in range(2 * across + 1):
            window = right[:, y : y + centre.shape[1], x : x + centre.shape[2]]
            product = np.einsum("nij,nij->n", centre, window) / size
            best = np.maximum(best, product / np.sqrt(spread * _variance(window, size)))
    return best


def _variance(images: np.ndarray, size: int) -> np.ndarray:
    """Variance of each image plus one squared gray level, so that the noise of blank pictures does not correlate."""
    return np.einsum("nij,nij->n", images, images) / size - images.mean((1, 2)) ** 2 + 1


def _detail(images: np.ndarray) -> np.ndarray:
    """(n, H, W, C) uint8 to (n, at most 32, at most 32): the luminance without its local mean."""
    luminance = _shrink(images, DETAIL_SIZE).mean(3)
    return luminance - uniform_filter(luminance, DETAIL_WINDOW, mode="nearest", axes=(1, 2))
