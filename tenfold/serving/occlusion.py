"""What the model looked at: cover a part of the picture, ask again, and see what it costs.

M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2. The cover is
the picture itself, blurred until its detail is gone (R. Fong, A. Vedaldi, ICCV 2017), since a gray square is a thing
of its own that a network reacts to. It needs only the model's answers, so it works for every network and every
exported folder.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

# The most that an explanation may take of the model, in seconds on an idle server; it decides how fine the map is.
SECONDS = 1.5
COARSEST, FINEST = 5, 12
# A cover's side, in cells of the map: they overlap, so that no edge between two cells hides what lies on it.
COVER = 2
# Below this drop of the probability no single part decided.
DECISIVE = 0.02


@dataclass(frozen=True)
class Occlusion:
    """`heat` (side, side): the fall of the class's log-probability where a cell is covered, over the largest: 0 to 1.

    `drop` is the largest fall of the probability itself; `decisive` says whether that is enough to mean anything.
    """

    heat: NDArray[np.float32]
    drop: float

    @property
    def decisive(self) -> bool:
        """Whether covering a part changes the answer noticeably."""
        return self.drop >= DECISIVE


def cells_for(seconds_an_image: float) -> int:
    """Cells on a side of the map, such that it takes about SECONDS at most."""
    affordable = int((SECONDS / max(seconds_an_image, 1e-6)) ** 0.5) - 1
    return int(np.clip(affordable, COARSEST, FINEST))


def covered(pixels: NDArray[np.uint8], cells: int) -> NDArray[np.uint8]:
    """`pixels` (H, W, C) with a blurred patch at each of (cells + 1) ** 2 places: (places, H, W, C), in rows.

    A place's patch is COVER cells wide, centred on the corner between four cells, and cut off at the border.
    """
    height, width, _ = pixels.shape
    cells = min(cells, height, width)
    blurred = _blurred(pixels, max(height, width) / cells * COVER)
    rows, columns = _edges(height, cells), _edges(width, cells)
    copies = np.repeat(pixels[None], (cells + 1) ** 2, axis=0)
    for place, copy in enumerate(copies):
        row, column = divmod(place, cells + 1)
        part = slice(*_reach(rows, row)), slice(*_reach(columns, column))
        copy[part] = blurred[part]
    return copies


def occlusion(whole: float, without: NDArray[np.float64]) -> Occlusion:
    """The map, of the class's probability `whole` and that at each covered place `without` (places,)."""
    tiny = np.finfo(np.float64).tiny
    fall = np.maximum(np.log(max(whole, tiny)) - np.log(np.maximum(without, tiny)), 0)
    side = round(len(without) ** 0.5)
    corners = fall.reshape(side, side)
    # A cell is covered by the patches at its four corners.
    heat = (corners[:-1, :-1] + corners[1:, :-1] + corners[:-1, 1:] + corners[1:, 1:]) / 4
    return Occlusion(
        (heat / max(float(heat.max()), 1e-12)).astype(np.float32), float(np.max(whole - without, initial=0.0))
    )


def _edges(length: int, cells: int) -> list[int]:
    return [round(length * k / cells) for k in range(cells + 1)]


def _reach(edges: list[int], corner: int) -> tuple[int, int]:
    half = COVER // 2
    return edges[max(corner - half, 0)], edges[min(corner + half, len(edges) - 1)]


def _blurred(pixels: NDArray[np.uint8], radius: float) -> NDArray[np.uint8]:
    gray = pixels.shape[2] == 1
    image = Image.fromarray(pixels[..., 0] if gray else pixels)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)))
    return soft[..., None] if gray else soft
