"""Images that are there twice, by a hash of their pixels."""

import numpy as np


def exact_duplicates(pictures: np.ndarray) -> list[np.ndarray]:
    """Groups of at least two positions of equal hashes (N,), in order of their first image."""
    _, first, inverse, counts = np.unique(
        pictures, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(inverse, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    repeated = np.flatnonzero(counts > 1)
    return [groups[place] for place in repeated[np.argsort(first[repeated])].tolist()]
