"""The order in which an epoch takes a split's images: a function of seed and epoch, whoever asks."""

from itertools import pairwise

import numpy as np

from tenfold.core.randomness import seed_for
from tenfold.data import Split


def epoch_order(
    split: Split, batch_size: int, batches: str, seed: int, epoch: int, kept: np.ndarray | None = None
) -> list[np.ndarray]:
    """Positions (n,) int64 of each of an epoch's training batches, shuffled by (seed, epoch) alone.

    With `kept`, (images,) bool, only those positions take part.

    With `batches` "split" the whole split is shuffled and cut. With "folder" each source folder is shuffled and
    cut by itself and then the batches are shuffled, which is what the notebooks' concatenated Keras data sets do
    (one short batch a folder: 628 batches of 64 for four folders of 10,000 images).
    """
    generator = np.random.default_rng(seed_for(seed, "order", epoch))

    def shuffled(start: int, stop: int) -> list[np.ndarray]:
        positions = start + generator.permutation(stop - start)
        return chunked(positions if kept is None else positions[kept[positions]], batch_size)

    if batches == "split":
        return shuffled(0, len(split))
    bounds = np.cumsum([0, *split.folders])
    chunks = [chunk for start, stop in pairwise(bounds) for chunk in shuffled(start, stop)]
    return [chunks[i] for i in generator.permutation(len(chunks))]


def balanced_order(split: Split, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """As `epoch_order`, with as many images of every class: those of a small one several times.

    Every image of a class is drawn before any is drawn again.
    """
    generator = np.random.default_rng(seed_for(seed, "order", epoch))
    classes = np.unique(split.labels)
    quotas = np.full(len(classes), len(split) // len(classes))
    quotas[generator.permutation(len(classes))[: len(split) % len(classes)]] += 1
    drawn = []
    for label, quota in zip(classes.tolist(), quotas.tolist(), strict=True):
        members = np.flatnonzero(split.labels == label)
        rounds = [generator.permutation(members) for _ in range(-(-quota // len(members)))]
        drawn.append(np.concatenate(rounds)[:quota])
    return chunked(generator.permutation(np.concatenate(drawn)), batch_size)


def hardest(losses: np.ndarray, share: float, seed: int, epoch: int) -> np.ndarray:
    """Which images (n,) bool are the `share` of largest `losses` (n,); a tie is broken by (seed, epoch)."""
    count = max(1, round(share * len(losses)))
    order = np.random.default_rng(seed_for(seed, "hardest", epoch)).permutation(len(losses))
    kept = np.zeros(len(losses), bool)
    kept[order[np.argsort(-losses[order], kind="stable")[:count]]] = True
    return kept


def chunked(positions: np.ndarray, size: int) -> list[np.ndarray]:
    """`positions` cut into batches, of which the last may be smaller."""
    return [positions[start : start + size] for start in range(0, len(positions), size)]
