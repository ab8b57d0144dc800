"""What the images of a source were before they were brought to one shape, a column for each fact."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tenfold.data.decode import Original


@dataclass(frozen=True, eq=False)
class Originals:
    """Columns (N,) of the facts in `Original`: sizes in pixels, whether gray, extremes (nan up to 8 bits), frames."""

    width: np.ndarray
    height: np.ndarray
    gray: np.ndarray
    low: np.ndarray
    high: np.ndarray
    more_frames: np.ndarray

    @classmethod
    def of(cls, originals: Sequence[Original]) -> "Originals":
        """The columns of those images."""
        return cls(
            np.array([one.width for one in originals], np.int32),
            np.array([one.height for one in originals], np.int32),
            np.array([one.gray for one in originals], bool),
            np.array([one.low for one in originals], np.float64),
            np.array([one.high for one in originals], np.float64),
            np.array([one.more_frames for one in originals], bool),
        )

    def __len__(self) -> int:
        return len(self.width)

    @property
    def wide(self) -> np.ndarray:
        """(N,) which have more than 8 bits."""
        return ~np.isnan(self.low)

    def usual_size(self) -> tuple[tuple[int, int], int]:
        """The (width, height) that most images have, the first met of several; and how many have it."""
        sizes, first, counts = np.unique(
            self.width.astype(np.int64) << 32 | self.height, return_index=True, return_counts=True
        )
        best = max(range(len(sizes)), key=lambda place: (counts[place], -first[place]))
        return (int(sizes[best]) >> 32, int(sizes[best]) & 0xFFFFFFFF), int(counts[best])
