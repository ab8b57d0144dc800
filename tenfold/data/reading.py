"""What reading a source gave: a table of its images, how they were read, and the files that gave none."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tenfold.data.decode import Target


@dataclass(frozen=True)
class BadFile:
    """An image file that could not be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class LeftOut:
    """Files below a source that gave no images: their ending, why, how many, and one of them."""

    ending: str
    reason: str
    files: int
    example: str


@dataclass(frozen=True)
class Reading:
    """How a source was read.

    target: what its images were brought to; cropped: the median share of an image's area that cropping to that
    shape cuts away; notices: what training should not pass over in silence, a sentence each.
    """

    target: Target
    cropped: float = 0.0
    left_out: tuple[LeftOut, ...] = ()
    notices: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `data.json` has it."""
        return {
            "decoding": self.target.to_json(),
            "median_cropped": round(self.cropped, 4),
            "left_out": [asdict(entry) for entry in self.left_out],
            "notices": list(self.notices),
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> "Reading":
        """What `to_json` gave."""
        left_out = tuple(LeftOut(**entry) for entry in facts["left_out"])
        target = Target.from_json(facts["decoding"])
        return cls(target, facts["median_cropped"], left_out, tuple(facts["notices"]))


@dataclass(frozen=True)
class ImageTable:
    """Every readable image of a source, in a fixed order: what the splits are made from.

    `rows` says where in the pixels each image lies; `labels` index `classes`; `parts` index `part_splits` and
    `part_folders`, which name the split that the source assigns (None: none) and the folder. `keys` are 64-bit
    hashes of the identities in `paths`, `contents` of the encoded images, `pictures` of their decoded pixels.
    `groups` are numbers of what a table of labels calls groups, -1 for none; empty where it does not. `clusters` are
    numbers of the pictures of which there are several copies, -1 for others; empty where none were looked for, and
    `not_looked` says why near ones were not.
    """

    rows: np.ndarray
    labels: np.ndarray
    parts: np.ndarray
    keys: np.ndarray
    contents: np.ndarray
    pictures: np.ndarray
    paths: Sequence[str]
    classes: tuple[str, ...]
    part_splits: tuple[str | None, ...]
    part_folders: tuple[str, ...]
    groups: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    clusters: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    not_looked: str = ""
