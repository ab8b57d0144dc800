"""Training, validation and test images of one source: assigned once, and named for good."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold import recipe
from tenfold.core.errors import InputError
from tenfold.core.text import class_name, listed, plural
from tenfold.data.assignment import assign, given_splits, groups_of
from tenfold.data.classes import training_order
from tenfold.data.decode import Target
from tenfold.data.names import taken
from tenfold.data.reading import BadFile, ImageTable, Reading
from tenfold.data.source import SPLIT_NAMES, Source
from tenfold.data.split import Split, chosen_of

if TYPE_CHECKING:
    from tenfold.data.shards.pixels import ShardPixels


@dataclass(frozen=True, eq=False)
class Splits:
    """The three splits of a source, with the order of the classes that all of them share.

    `together`: what was kept in one split where splits were drawn: "groups", "copies", or None for nothing.
    Of a cross-validation, the splits are those of the final model, with all images in `test`; `folds` are those of
    its folds. `whole` are the images that all of these are parts of. `not_looked` says why near copies were not
    looked for, where they could have been. `streamed`: whether images are decoded whenever they are
    wanted; `fed`: where there was a choice, what was chosen and why, in words.
    """

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    source: Source
    reading: Reading | None = None
    layout: str = ""
    bad_files: tuple[BadFile, ...] = ()
    together: str | None = None
    folds: tuple["Splits", ...] = ()
    whole: Split | None = None
    not_looked: str = ""
    streamed: bool = False
    fed: str = ""

    def __iter__(self) -> Iterator[Split]:
        return iter((self.train, self.validation, self.test))

    def __getitem__(self, name: str) -> Split:
        if name not in SPLIT_NAMES:
            raise KeyError(f"{name!r} is not a split; the splits are {', '.join(SPLIT_NAMES)}")
        return {split.name: split for split in self}[name]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        return self.train.image_shape

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Height, width and channels: what fingerprints and data.json have always held."""
        channels, height, width = self.image_shape
        return height, width, channels

    @property
    def fingerprint(self) -> str:
        """A hash of everything that training and testing see: splits, class names and image shape."""
        parts = [*(split.fingerprint for split in self), *self.class_names, str(self.stored_shape)]
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()

    def describe(self) -> dict[str, Any]:
        """What `data.json` of a run says: enough to load the same splits again, and to see that they are the same."""
        return {
            "source": self.source.to_json(),
            "fingerprint": self.fingerprint,
            "class_names": list(self.class_names),
            "image_shape": list(self.stored_shape),
            "splits": {split.name: self._describe(split) for split in self},
            "layout": self.layout,
            "together": self.together,
            **(self.reading or Reading(Target(*self.stored_shape))).to_json(),
            "notices": list(self.notices),
            "bad_files": [asdict(bad) for bad in self.bad_files],
            **({"folds": len(self.folds)} if self.folds else {}),
            **({"streamed": self.streamed} if self.fed else {}),
            "copies": {"test": self.copies("test", "train", "validation").tolist()},
            "near_copies": {"test": self.near_copies("test", "train", "validation").tolist()},
            "clusters": self._clusters(),
            "shared_groups": {"test": self.shared_groups("test", "train", "validation").tolist()},
        }

    @property
    def notices(self) -> tuple[str, ...]:
        """What should not be passed over in silence, a sentence each, the gravest first."""
        return tuple(chain(self._copied(), self._near(), self.sharing, self.lacking, self.remarks))

    @property
    def remarks(self) -> tuple[str, ...]:
        """Those notices that are no faults of the splits: how images are kept together, and how they were read."""
        return tuple(chain(self._kept(), self._ungrouped(), self.reading.notices if self.reading else ()))

    def copies(self, name: str, *others: str) -> np.ndarray:
        """Positions (n,) in the split `name` of images whose pixels are also those of an image in `others`."""
        if self.folds:
            return self._in_folds(lambda fold: fold.copies(name, *others), name)
        seen = np.concatenate([self[other].pictures for other in others])
        return np.flatnonzero(np.isin(self[name].pictures, seen))

    def near_copies(self, name: str, *others: str) -> np.ndarray:
        """Positions (n,) in the split `name` of images that have copies in `others`, but no exact ones."""
        if self.folds:
            return self._in_folds(lambda fold: fold.near_copies(name, *others), name)
        seen = np.concatenate([self[other].clusters for other in others])
        clusters = self[name].clusters
        return np.setdiff1d(
            np.flatnonzero((clusters >= 0) & np.isin(clusters, seen)), self.copies(name, *others)
        )

    def _in_folds(self, find: Callable[["Splits"], np.ndarray], name: str) -> np.ndarray:
        """What is found in any fold: the models of other folds test the final model's training images, too."""
        found = [fold[name].rows[find(fold)] for fold in self.folds]
        return np.flatnonzero(np.isin(self[name].rows, np.concatenate(found)))

    def _clusters(self) -> list[list[int]]:
        """The rows of the source that are copies of one picture, in lists."""
        parts = tuple(self) if self.whole is None else (self.whole,)
        clusters = np.concatenate([part.clusters for part in parts])
        several = np.flatnonzero(clusters >= 0)
        rows = np.concatenate([part.rows for part in parts])[several] if len(several) else several
        order = np.lexsort((rows, clusters[several]))
        edges = np.flatnonzero(np.diff(clusters[several][order])) + 1
        return [part.tolist() for part in np.split(rows[order], edges)] if len(several) else []

    def _near(self) -> Iterator[str]:
        for name, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
            found, size = self.near_copies(name, other), len(self[name])
            if len(found):
                cluster = self[name].clusters[found[0]]
                yield (
                    f"{len(found):,} of {size:,} {name} images ({len(found) / size:.1%}) are near copies of images "
                    f"in the {other} split, for instance {self[name].paths[found[0]]}"
                    f"{self._like(other, int(cluster))}: scores on them flatter the model"
                )

    def _like(self, name: str, cluster: int) -> str:
        places = np.flatnonzero(self[name].clusters == cluster)
        return f" of {self[name].paths[places[0]]}" if len(places) else ""  # of a fold's images

    def _kept(self) -> Iterator[str]:
        if self.not_looked:
            yield f"training does not look for near copies: {self.not_looked}"
        unequal = self._unequal_copies()
        if self.together == "copies" and len(unequal):
            apart = [name for name in ("validation", "train") if len(self.near_copies("test", name))]
            yield (
                f"{plural(len(unequal), 'image')} are near copies of others, or named as such, in "
                f"{plural(len(np.unique(unequal)), 'cluster')}: intervals are by cluster"
                f"{'' if apart else ', and each cluster is in one split'}"
            )

    def _unequal_copies(self) -> np.ndarray:
        """(n,) the clusters of those images whose clusters are not of equal pixels only."""
        parts = tuple(self) if self.whole is None else (self.whole,)
        found = [
            np.stack([part.clusters, part.pictures.view(np.int64)])[:, part.clusters >= 0]
            for part in parts
            if len(part.clusters)
        ]
        clusters, pictures = np.concatenate([np.empty((2, 0), np.int64), *found], axis=1)
        different = np.unique(np.stack([clusters, pictures]), axis=1)[0]
        return clusters[np.isin(clusters, different[1:][np.diff(different) == 0])]

    def _copied(self) -> Iterator[str]:
        for name, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
            found, size = len(self.copies(name, other)), len(self[name])
            if found:
                yield (
                    f"{found:,} of {size:,} {name} images ({found / size:.1%}) are also in the {other} split: "
                    "scores on them flatter the model"
                )

    def shared_groups(self, name: str, *others: str) -> np.ndarray:
        """Positions (n,) in the split `name` of images of a group that also has images in `others`."""
        if self.folds:  # they keep groups together, while the final model learns from what they test
            return np.empty(0, np.int64)
        groups, seen = self[name].groups, np.concatenate([self[other].groups for other in others])
        return np.flatnonzero((groups >= 0) & np.isin(groups, seen))

    @property
    def sharing(self) -> tuple[str, ...]:
        """Which splits share groups, a sentence for each two."""
        return tuple(self._shared())

    def _shared(self) -> Iterator[str]:
        for name, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
            found, size = self.shared_groups(name, other), len(self[name])
            if len(found):
                yield (
                    f"{len(found):,} of {size:,} {name} images ({len(found) / size:.1%}) are of groups that the "
                    f"{other} split has images of as well, for instance {self[name].paths[found[0]]}: scores on them "
                    "flatter the model"
                )

    def _ungrouped(self) -> Iterator[str]:
        splits = self if self.whole is None else (self.whole,)
        alone = [split.paths[i] for split in splits for i in np.flatnonzero(split.groups < 0).tolist()]
        if alone:
            yield (
                f"data.group names no group for {plural(len(alone), 'image')}, for instance {alone[0]}: each is "
                "taken for a group of its own"
            )

    @property
    def lacking(self) -> tuple[str, ...]:
        """Which classes have no validation or no test image, a sentence for each split."""
        return tuple(self._lacking())

    def _lacking(self) -> Iterator[str]:
        if self.folds:
            yield from self._lacking_in_folds()
            return
        for split in (self.validation, self.test):
            counts = np.bincount(split.labels, minlength=len(self.class_names))
            lacking = [name for name, count in zip(self.class_names, counts, strict=True) if not count]
            if lacking and len(split):
                yield (
                    f"the {split.name} split has no image of class {listed(lacking)}: "
                    "nothing can be said about it there"
                )

    def _lacking_in_folds(self) -> Iterator[str]:
        classes = len(self.class_names)
        counts = np.array([np.bincount(fold.validation.labels, minlength=classes) for fold in self.folds])
        lacking = [name for name, count in zip(self.class_names, counts.min(0), strict=True) if not count]
        if lacking:
            yield f"not every fold has a validation image of class {listed(lacking)} to choose its epoch by"

    def _describe(self, split: Split) -> dict[str, Any]:
        counts = np.bincount(split.labels, minlength=len(self.class_names)).tolist()
        return {
            "images": len(split),
            "hash": split.fingerprint,
            "folders": list(split.folders),
            "classes": dict(zip(self.class_names, counts, strict=True)),
        }


def class_counts(split: Split, classes: int) -> list[int]:
    """How many images of each class a split has."""
    return np.bincount(split.labels, minlength=classes).tolist()


def left_out_lines(splits: Splits, most: int = 5) -> list[str]:
    """What gave no images, for reading: the first unreadable files, then the counts of all others."""
    bad = splits.bad_files
    lines = [f"{file.path}: {file.reason}" for file in bad[:most]]
    if len(bad) > most:
        lines.append(f"{len(bad) - most:,} more unreadable files; all are in data.json")
    entries = splits.reading.left_out if splits.reading else ()
    if entries:
        kinds = [f"{entry.files:,} {entry.ending or 'without ending'} ({entry.reason})" for entry in entries]
        total = sum(entry.files for entry in entries)
        lines.append(f"{total:,} file{'' if total == 1 else 's'} that gave no image: {_joined(kinds, 8)}")
    return lines


def make_splits(
    table: ImageTable,
    pixels: "np.ndarray | ShardPixels",
    data: recipe.Data,
    source: Source,
    reading: Reading | None = None,
    bad_files: tuple[BadFile, ...] = (),
    class_names: tuple[str, ...] | None = None,
    drawn: bool = True,
) -> Splits:
    """Assign each image of `table` to one split, and map every split onto the training classes.

    What the source does not say is drawn: test and validation from an unsplit source, and a missing one of the two
    from the training images, unless nothing is to be `drawn`. `class_names` is the order of the classes where a run
    has one already. Raises InputError for a class that cannot be learned or split.
    """
    assigned = assign(table, data) if drawn else given_splits(table)
    order, mapping = training_order(table, assigned, class_names)
    labels = mapping[table.labels]
    groups = groups_of(table, data)

    def split(name: str, chosen: np.ndarray) -> Split:
        return _make_split(name, table, pixels, chosen, labels[chosen], groups)

    train, validation, test = (
        split(name, np.flatnonzero(assigned == number)) for number, name in enumerate(SPLIT_NAMES)
    )
    whole, folds = None, ()
    if data.folds is not None:
        whole = split("test", np.arange(len(labels)))
    if data.folds is not None and data.fold is None:
        test = whole or test
        parts = [data.model_copy(update={"fold": number}) for number in range(1, data.folds + 1)]
        folds = tuple(make_splits(table, pixels, part, source, reading, bad_files, order) for part in parts)
    return Splits(
        train,
        validation,
        test,
        class_names=order,
        source=source,
        reading=reading,
        layout=_layout(table, data, order, drawn),
        bad_files=bad_files,
        together="groups" if len(groups) else "copies" if data.copies != "apart" else None,
        folds=folds,
        whole=whole,
        not_looked=table.not_looked,
    )


def _layout(table: ImageTable, data: recipe.Data, class_names: Sequence[str], draw: bool) -> str:
    """The source as it was understood, on one line."""
    counts = np.bincount(table.parts, minlength=len(table.part_folders)).tolist()
    parts = [
        f"{folder}{f' ({split})' if split else ''}: {count:,} images"
        for folder, split, count in zip(table.part_folders, table.part_splits, counts, strict=True)
    ]
    text = f"{len(class_names)} classes ({listed(class_names)}) in {_joined(parts)}"
    drawn = [name for name in ("validation", "test") if name not in table.part_splits]
    if not drawn or not draw:
        return text
    kept = (
        f", in whole groups{f' by {data.group}' if data.group else ''}" if len(groups_of(table, data)) else ""
    )
    if data.folds and data.fold is None:
        return f"{text}; dealt to {data.folds} folds{kept}"
    if data.folds:
        return f"{text}; fold {data.fold} of {data.folds} is the test split, validation drawn from the others{kept}"
    return f"{text}; {' and '.join(drawn)} drawn from training{kept}"


def _joined(parts: Sequence[str], most: int = 6) -> str:
    return (
        ", ".join(parts) if len(parts) <= most else f"{', '.join(parts[:most])} and {len(parts) - most} more"
    )


def make_test_split(
    table: ImageTable, pixels: "np.ndarray | ShardPixels", class_names: tuple[str, ...]
) -> Split:
    """The source's test images, or all of its images where it has no splits, labelled by `class_names`' order.

    Raises InputError for a class that is not among `class_names`.
    """
    chosen = np.arange(len(table.rows))
    if "test" in table.part_splits:
        chosen = chosen[np.array([split == "test" for split in table.part_splits])[table.parts]]
    present = [table.classes[label] for label in np.unique(table.labels[chosen]).tolist()]
    known = [class_name(name) for name in class_names]
    strange = [name for name in present if name not in known]
    if strange:
        raise InputError(
            f"the model does not know {plural(len(strange), 'class')}: {listed(strange)}; it knows "
            f"{listed(class_names)}. Rename the folders to the model's names, or remove them."
        )
    mapping = np.array([known.index(name) if name in known else -1 for name in table.classes])
    return _make_split("test", table, pixels, chosen, mapping[table.labels[chosen]], table.groups)


def _make_split(
    name: str,
    table: ImageTable,
    pixels: "np.ndarray | ShardPixels",
    chosen: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
) -> Split:
    digest = hashlib.blake2b(digest_size=16)
    for column in (table.keys[chosen], table.contents[chosen], labels.astype(np.int64)):
        digest.update(column.tobytes())
    counts = np.bincount(table.parts[chosen], minlength=len(table.part_folders))
    return Split(
        name=name,
        pixels=pixels,
        rows=table.rows[chosen].astype(np.int64),
        labels=labels.astype(np.int64),
        paths=taken(table.paths, chosen),
        folders=tuple(int(count) for count in counts if count),
        fingerprint=digest.hexdigest(),
        pictures=table.pictures[chosen],
        groups=chosen_of(groups, chosen),
        clusters=chosen_of(table.clusters, chosen),
    )
