"""Where images come from, as the user said it."""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tenfold.core.errors import InputError

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Moved:
    """Where a run's source is now: its images, its table of labels, or both; None for what stayed where it was."""

    data: str | None = None
    labels: str | None = None

    def __bool__(self) -> bool:
        return self != Moved()

    @property
    def said(self) -> str:
        """Its places, for messages."""
        return " with ".join(place for place in (self.data, self.labels) if place is not None)


@dataclass(frozen=True)
class Source:
    """Where images come from, as the user said it: `data` (a path or a name), or a tuple of paths for each split.

    `labels` is the path of a table that says the labels of the images in `data`, where their folders do not; `base`
    is the folder that relative paths were meant from.
    """

    data: str | None = None
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    base: str | None = None
    labels: str | None = None

    def meant_from_here(self) -> "Source":
        """The same, with the working directory as `base` where a path is relative."""
        paths = [*self.paths, *([] if self.labels is None else [self.labels])]
        return self if all(map(os.path.isabs, paths)) else replace(self, base=str(Path.cwd()))

    def to_json(self) -> dict[str, Any]:
        """As `data.json` has it."""
        lists = {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }
        late = ("base", "labels")  # which older versions do not know
        return {key: value for key, value in lists.items() if key not in late or value is not None}

    @property
    def words(self) -> list[str]:
        """The words of the command line that name it."""
        words = [] if self.data is None else ["--data", self.data]
        words += [] if self.labels is None else ["--labels", self.labels]
        return words + [word for split, path in self.folders for word in (f"--{split}", path)]

    @property
    def paths(self) -> list[str]:
        """Where the images are: every path, or the name, that was said."""
        return [path for _, path in self.folders] if self.data is None else [self.data]

    @property
    def folders(self) -> list[tuple[str, str]]:
        """(split, path) of every path that is named for a split, in the splits' order."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return [(split, path) for split in SPLIT_NAMES for path in named[split]]

    def located(self, path: str) -> Path:
        """Where one of its paths lies: below `base` if it is there, else below the working directory.

        `~` is the home folder where nothing is called so: no shell replaces it in Python and behind `--data=`.
        """
        if self.base is not None and self.base != str(Path.cwd()):
            based = Path(self.base) / path
            if based.exists():
                return based
        return Path(path) if Path(path).exists() else Path(os.path.expanduser(path))  # noqa: PTH111 (~nobody)

    def moved(self, now: Moved) -> "Source":
        """The same source where it is `now`.

        `now.data` is its folder or file, or the folder above the folders of its splits. Raises InputError for labels
        where it has no table of them.
        """
        if now.labels is not None and self.labels is None:
            raise InputError(
                f"--labels {now.labels}: the labels of this run's images came from no table that was named. Say "
                "where the images are with --data."
            )
        if now.data is None:
            return self if now.labels is None else replace(self, labels=str(Path(now.labels).absolute()))
        moved = self._at(now.data)
        return moved if now.labels is None else replace(moved, labels=now.labels).meant_from_here()

    def _at(self, place: str) -> "Source":
        if self.data is not None or not self.folders:
            return Source(place, labels=self._moved_labels(place)).meant_from_here()
        places = [(split, self.located(path).absolute()) for split, path in self.folders]
        above = os.path.commonpath([path.parent for _, path in places])
        moved = [(split, str(Path(place) / path.relative_to(above))) for split, path in places]
        train, validation, test = (
            tuple(path for split, path in moved if split == name) for name in SPLIT_NAMES
        )
        return Source(None, train, validation, test).meant_from_here()

    def _moved_labels(self, place: str) -> str | None:
        """The table of labels: it moves with the folder that holds it, and else stays where it is."""
        if self.labels is None or self.data is None:
            return None
        known, above = self.located(self.labels).absolute(), self.located(self.data).absolute()
        if not known.is_relative_to(above):
            return str(known)
        return str(Path(place) / known.relative_to(above))
