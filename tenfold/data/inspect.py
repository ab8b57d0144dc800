"""A look at the data before anything is trained: counts, balance, sizes, unreadable files, duplicates and leaks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tenfold import recipe
from tenfold.core.progress import Progress
from tenfold.core.text import plural
from tenfold.data.assignment import TooSmallError
from tenfold.data.copies import Copies, find_copies, with_copies
from tenfold.data.pack import Pack, open_pack
from tenfold.data.reading import BadFile
from tenfold.data.source import Source
from tenfold.data.split import Split
from tenfold.data.splits import Splits, left_out_lines, make_splits

MILD_IMBALANCE = 1.5  # the largest class over the smallest
STRONG_IMBALANCE = 10.0
BLOCK = 4096
LISTED = 10


@dataclass(frozen=True)
class Place:
    """One image: its path, its split, and the class that it is labelled with."""

    path: str
    split: str
    label: str


@dataclass(frozen=True)
class Duplicates:
    """Images of equal pixels ("exact"), of names that say so ("name"), or a pair that shows the same ("near")."""

    kind: str
    images: tuple[Place, ...]
    similarity: float = 1.0

    @property
    def leaks(self) -> bool:
        """Whether the images lie in different splits: then scores on them flatter the model."""
        return len({image.split for image in self.images}) > 1

    @property
    def disagrees(self) -> bool:
        """Whether the images are labelled with different classes."""
        return len({image.label for image in self.images}) > 1


@dataclass(frozen=True)
class Inspection:
    """What `inspect_source` found; `splits` has the images themselves.

    counts: images of each class in each split; sizes ("32x32") and modes: how many of the original files have each;
    channel_mean, channel_std: over the training images, on 0..255; balance: the largest training class over the
    smallest; bad_files: unreadable, not in `splits`; not_looked: why near duplicates were not looked for, or "";
    undrawn: why no splits could be drawn, so that all images count as training ones; bad_files_limit: the share of
    unreadable files beyond which training refuses.
    """

    splits: Splits
    counts: dict[str, dict[str, int]]
    sizes: dict[str, int]
    modes: dict[str, int]
    channel_mean: tuple[float, ...]
    channel_std: tuple[float, ...]
    bad_files: tuple[BadFile, ...]
    duplicates: tuple[Duplicates, ...]
    not_looked: str
    undrawn: str = ""
    bad_files_limit: float = recipe.Data().bad_files_limit

    @property
    def balance(self) -> float:
        """The number of images of the largest training class over that of the smallest."""
        counts = self.counts["train"].values()
        return max(counts) / min(counts)

    @property
    def balance_verdict(self) -> str:
        """One sentence on whether the balance of the classes is a problem."""
        if self.balance <= MILD_IMBALANCE:
            return "The classes are balanced: accuracy says what it seems to say."
        counts = self.counts["train"]
        largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
        said = f"{largest} has {self.balance:.1f} times as many training images as {smallest}"
        if self.balance < STRONG_IMBALANCE:
            return (
                f"The classes are mildly imbalanced ({said}): read macro-averaged scores beside the accuracy."
            )
        return (
            f"The classes are strongly imbalanced ({said}): the accuracy is mostly the large classes'; read "
            "macro-averaged scores, and collect images of the small classes."
        )

    @property
    def leaks(self) -> tuple[Duplicates, ...]:
        """Duplicates that lie in different splits."""
        return tuple(found for found in self.duplicates if found.leaks)

    @property
    def disagreements(self) -> tuple[Duplicates, ...]:
        """Duplicates that are labelled with different classes."""
        return tuple(found for found in self.duplicates if found.disagrees)

    def leaked(self, split: str, other: str, kind: str | None = None) -> set[str]:
        """The paths of the images of `split` that have a duplicate (of `kind`) in the split `other`."""
        return {
            image.path
            for found in self.duplicates
            if kind in {None, found.kind} and any(image.split == other for image in found.images)
            for image in found.images
            if image.split == split
        }

    @property
    def attention(self) -> tuple[str, ...]:
        """What needs attention, a sentence each; empty when the data are fine."""
        return tuple(self._attention())

    @property
    def needs_attention(self) -> bool:
        """Whether anything needs attention."""
        return bool(self.attention)

    def _attention(self) -> Iterator[str]:
        if self.bad_files:
            share = len(self.bad_files) / (len(self.bad_files) + sum(map(len, self.splits)))
            then = (
                f"more than data.bad_files_limit={self.bad_files_limit:g}, so training refuses"
                if share > self.bad_files_limit
                else "training leaves them out"
            )
            yield f"{plural(len(self.bad_files), 'file')} cannot be read; {then}."
        if self.undrawn:
            yield f"Training refuses: {self.undrawn}"
        if self.balance >= STRONG_IMBALANCE:
            yield self.balance_verdict
        for sentence in (*self.splits.lacking, *self.splits.sharing):
            yield f"{sentence}."
        for split, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
            found = self.leaked(split, other)
            if found:
                exact, size = len(self.leaked(split, other, "exact")), len(self.splits[split])
                yield (
                    f"{len(found)} of {size:,} {split} images ({len(found) / size:.2%}) have a duplicate in the "
                    f"{other} split, {exact} of them an exact one: scores on them flatter the model."
                )
        if self.disagreements:
            yield f"{plural(len(self.disagreements), 'group')} of duplicates with labels of different classes."

    def to_json(self) -> dict[str, Any]:
        """Everything but the images, for machines."""
        return {
            "source": self.splits.source.to_json(),
            "fingerprint": self.splits.fingerprint,
            "class_names": list(self.splits.class_names),
            "image_shape": list(self.splits.stored_shape),
            "counts": self.counts,
            "balance": {"largest_over_smallest": round(self.balance, 4), "verdict": self.balance_verdict},
            "sizes": self.sizes,
            "modes": self.modes,
            "channel_mean": [round(value, 4) for value in self.channel_mean],
            "channel_std": [round(value, 4) for value in self.channel_std],
            "bad_files": [asdict(bad) for bad in self.bad_files],
            "duplicates": [
                {**asdict(found), "leaks": found.leaks, "disagrees": found.disagrees}
                for found in self.duplicates
            ],
            "not_looked": self.not_looked,
            **{
                key: value
                for key, value in self.splits.describe().items()
                if key in {"layout", "decoding", "median_cropped", "left_out"}
            },
            "notices": list(self.splits.remarks),
            "attention": list(self.attention),
            "needs_attention": self.needs_attention,
        }


def inspect_source(data: recipe.Data, source: Source, progress: Progress | None = None) -> Inspection:
    """Look at a source as training with `data` would see it, unreadable files included.

    `progress` is called with (images decoded, images in all) where they are not in the cache yet. Raises
    InputError where the source cannot be split at all.
    """
    pack = open_pack(data, source, progress)
    copies = find_copies(pack, progress=progress)
    table = with_copies(pack, data)
    if copies.not_looked:  # said for the inspection itself
        table = replace(table, not_looked="")
    make = partial(make_splits, source=source, reading=pack.reading, bad_files=pack.bad_files)
    undrawn = ""
    try:
        splits = make(table, pack.pixels, data)
    except TooSmallError as error:
        whole = data.model_copy(update={"folds": None})
        splits, undrawn = make(table, pack.pixels, whole, drawn=False), str(error)
    mean, std = channel_statistics(splits.train)
    return Inspection(
        splits=splits,
        counts={name: facts["classes"] for name, facts in splits.describe()["splits"].items()},
        sizes=_sizes(pack),
        modes=_most_common([pack.modes[mode] for mode in pack.originals["mode"].tolist()]),
        channel_mean=mean,
        channel_std=std,
        bad_files=pack.bad_files,
        duplicates=_duplicates(splits, copies, table.rows),
        not_looked=copies.not_looked,
        undrawn=undrawn,
        bad_files_limit=data.bad_files_limit,
    )


def channel_statistics(split: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of the split's images, on 0..255."""
    sums = squares = np.zeros(split.pixels.shape[3])
    for start in range(0, len(split), BLOCK):
        values = split.images(slice(start, start + BLOCK)).reshape(-1, split.pixels.shape[3])
        counts = np.stack([np.bincount(channel, minlength=256) for channel in values.T])
        sums = sums + counts @ np.arange(256)
        squares = squares + counts @ np.arange(256) ** 2
    size = len(split) * split.image_shape[1] * split.image_shape[2]
    mean = sums / size
    std = np.sqrt(np.maximum(squares / size - mean**2, 0))
    return tuple(mean.tolist()), tuple(std.tolist())


def sample_images(splits: Splits, each: int = 8) -> tuple[list[np.ndarray], list[str]]:
    """The first `each` training images (H, W, C) of every class, and the class's name for each: for a figure."""
    labels = splits.train.labels
    positions = np.concatenate(
        [np.flatnonzero(labels == label)[:each] for label in range(len(splits.class_names))]
    )
    names = [splits.class_names[label] for label in labels[positions]]
    return list(splits.train.images(positions)), names


def summary(inspection: Inspection) -> list[str]:
    """The inspection as lines of plain text."""
    splits = inspection.splits
    width = max(len(name) for name in ("class", *splits.class_names))
    lines = [f"understood as {splits.layout}"]
    lines += ["".join([f"{'class':{width}}", *(f"{split.name:>12}" for split in splits)])]
    for name in splits.class_names:
        lines.append(
            f"{name:{width}}" + "".join(f"{inspection.counts[split.name][name]:12,}" for split in splits)
        )
    lines += [
        f"{'all':{width}}" + "".join(f"{len(split):12,}" for split in splits),
        # What needs attention is said last, and once.
        *([inspection.balance_verdict] if inspection.balance < STRONG_IMBALANCE else []),
        f"original sizes: {_size_range(inspection.sizes)}; modes: {_shares(inspection.modes)}",
        f"channel means {_numbers(inspection.channel_mean)}, standard deviations {_numbers(inspection.channel_std)}",
        *_duplicate_lines(inspection),
        *(f"cannot be read: {bad.path}: {bad.reason}" for bad in inspection.bad_files[:LISTED]),
        *(f"left out: {line}" for line in left_out_lines(replace(splits, bad_files=()))),
        *(f"note: {notice}" for notice in splits.remarks),
    ]
    return [*lines, *(f"attention: {sentence}" for sentence in inspection.attention)]


def duplicates_sentence(inspection: Inspection) -> str:
    """How many duplicates there are of each kind."""
    kinds = Counter(found.kind for found in inspection.duplicates)
    near = f"{plural(kinds['near'], 'pair')} of near duplicates"
    if inspection.not_looked:
        near = f"near duplicates not looked for: {inspection.not_looked}"
    named = f"{plural(kinds['name'], 'group')} of names that say so; " if kinds["name"] else ""
    return f"{plural(kinds['exact'], 'group')} of exact duplicates; {named}{near}"


def _duplicate_lines(inspection: Inspection) -> Iterator[str]:
    yield duplicates_sentence(inspection)
    for title, found in (("leak", inspection.leaks), ("labels disagree", inspection.disagreements)):
        for group in found[:LISTED]:
            places = " = ".join(f"{image.path} ({image.split}, {image.label})" for image in group.images[:4])
            yield f"{title}, {group.kind} ({group.similarity:.2f}): {places}"
        if len(found) > LISTED:
            yield f"{title}: {len(found) - LISTED} more; --json lists all"


# Parts -------------------------------------------------------------------------------------------------------


def _duplicates(splits: Splits, copies: Copies, rows: np.ndarray) -> tuple[Duplicates, ...]:
    """Exact duplicates first, then those by name, then near ones by falling similarity; `rows` are the table's."""
    parts = tuple(splits) if splits.whole is None else (splits.whole,)
    places = {
        row: Place(path, part.name, splits.class_names[label])
        for part in parts
        for row, path, label in zip(part.rows.tolist(), part.paths, part.labels.tolist(), strict=True)
    }
    same = {int(group[0]): group for group in copies.exact}

    def images(positions: Sequence[int]) -> tuple[Place, ...]:
        return tuple(places[int(rows[position])] for position in positions)

    found = [Duplicates("exact", images(group.tolist())) for group in copies.exact]
    found += [Duplicates("name", images(group.tolist())) for group in copies.named]
    for index in np.argsort(-copies.likeness, kind="stable").tolist():
        both = [int(i) for one in copies.near[index].tolist() for i in same.get(one, [one])]
        found.append(Duplicates("near", images(both), round(float(copies.likeness[index]), 4)))
    return tuple(found)


def _sizes(pack: Pack) -> dict[str, int]:
    sizes = np.stack([pack.originals["width"], pack.originals["height"]], 1)
    values, counts = np.unique(sizes, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return {f"{values[i, 0]}x{values[i, 1]}": int(counts[i]) for i in order}


def _most_common(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _size_range(sizes: dict[str, int]) -> str:
    """The few sizes that there are, or the range and the median of many."""
    if len(sizes) <= 4:
        return _shares(sizes)
    each = np.array([[int(side) for side in size.split("x")] for size in sizes])
    counts = np.array(list(sizes.values()))
    low, high = each.min(0), each.max(0)
    middle = [int(np.median(np.repeat(each[:, side], counts))) for side in (0, 1)]
    return (
        f"{len(sizes):,} different, {low[0]} to {high[0]} wide and {low[1]} to {high[1]} high, "
        f"median {middle[0]}x{middle[1]}"
    )


def _shares(counts: dict[str, int], most: int = 4) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:most])
    return shown if len(counts) <= most else f"{shown} and {len(counts) - most} others"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)
