"""What an account of a source says: files used and left out, and the pixels of one."""

from pathlib import Path

import numpy as np

from tenfold.data import Splits


def accounted(splits: Splits) -> int:
    """The files that the account names: used, unreadable, and left out."""
    assert splits.reading is not None
    left_out = sum(entry.files for entry in splits.reading.left_out)
    return sum(map(len, splits)) + len(splits.bad_files) + left_out


def files_below(root: Path) -> int:
    return sum(path.is_file() or path.is_symlink() for path in root.rglob("*"))


def left_out(splits: Splits) -> dict[tuple[str, str], int]:
    assert splits.reading is not None
    return {(entry.ending, entry.reason): entry.files for entry in splits.reading.left_out}


def pixels_of(splits: Splits, path: str) -> np.ndarray:
    """The image of `path` as training sees it: (H, W, C)."""
    for split in splits:
        if path in list(split.paths):
            position = list(split.paths).index(path)
            return split.images(slice(position, position + 1))[0]
    raise AssertionError(f"{path} is in no split")
