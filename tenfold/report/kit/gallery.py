"""Small pictures for a page: many images in one sheet, and the galleries that refer to its tiles."""

import base64
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from tenfold.data import Split
    from tenfold.runs.predictions import Predictions

# What the pictures of one page may weigh, before base64 adds a third; a page stays below 3 MB.
SHEET_BYTES = 1_000_000
TILES = 1500
LARGEST_TILE = 96
TOP = 3


class Album:
    """The images of a split that a page shows, each once: `add` gives the number of its tile."""

    def __init__(self, predictions: "Predictions", limit: int = TILES) -> None:
        self.predictions = predictions
        self.limit = limit
        self.tiles: dict[int, int] = {}

    def add(self, position: int) -> int | None:
        """The tile of the image at `position`; None when the album is full."""
        if position not in self.tiles and len(self.tiles) >= self.limit:
            return None
        return self.tiles.setdefault(int(position), len(self.tiles))

    def add_all(self, positions: Iterable[int]) -> list[int]:
        """The tiles of those images that fit."""
        return [tile for position in positions if (tile := self.add(position)) is not None]

    def entry(self, position: int) -> dict[str, Any]:
        """What a page says of one image: path, label, and the most probable classes with their probabilities."""
        answers = self.predictions
        probabilities = answers.probabilities[position]
        best = np.argsort(-probabilities, kind="stable")[:TOP]
        return {
            "path": str(answers.paths[position]),
            "label": int(answers.labels[position]),
            "classes": best.tolist(),
            "probabilities": [round(float(probabilities[k]), 4) for k in best],
        }

    def entries(self) -> list[dict[str, Any]]:
        """The entries of all tiles, in the order of the tiles."""
        return [self.entry(position) for position in self.tiles]

    def images(self, split: "Split") -> NDArray[np.uint8]:
        """The images of all tiles (n, H, W, C), in the order of the tiles."""
        return split.images(np.array(list(self.tiles), dtype=np.int64))


def by_cell(predictions: "Predictions", count: int) -> dict[tuple[int, int], list[int]]:
    """Up to `count` test images of each cell of the confusion matrix, the most confident first."""
    confidence = predictions.probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    cells: dict[tuple[int, int], list[int]] = {}
    for position in order.tolist():
        cell = int(predictions.labels[position]), int(predictions.predicted[position])
        found = cells.setdefault(cell, [])
        if len(found) < count:
            found.append(position)
    return cells


def fill(album: Album, cells: dict[tuple[int, int], list[int]]) -> dict[tuple[int, int], list[int]]:
    """The tiles of each cell. Where not all fit, every mistake's first image goes before any second one."""
    queue = [
        (rank, cell[0] == cell[1], -len(positions), cell, position)
        for cell, positions in cells.items()
        for rank, position in enumerate(positions)
    ]
    tiles: dict[tuple[int, int], list[int]] = {cell: [] for cell in cells}
    for *_, cell, position in sorted(queue):
        tiles[cell] += album.add_all([position])
    return tiles


def tile_limit(image_shape: Sequence[int]) -> int:
    """How many pictures of that shape (C, H, W) a page affords, at about half a byte a pixel."""
    return int(min(TILES, SHEET_BYTES / (0.5 * tile_side(image_shape) ** 2)))


def tile_side(image_shape: Sequence[int]) -> int:
    """The side of a tile: small images as they are, others in whole blocks of 16 pixels, up to 96."""
    side = max(image_shape[1:])
    return side if side < 32 else min(side // 16 * 16, LARGEST_TILE)


def sheet_css(images: NDArray[np.uint8], name: str) -> str:
    """Style rules that show tile `i` on an element with the classes `name` and `name-i`.

    images: (n, H, W, C) uint8, gray, RGB or with alpha; they are put on one WebP picture inside the rules.
    """
    if not len(images):
        return ""
    side = tile_side((images.shape[3], *images.shape[1:3]))
    columns = int(np.ceil(np.sqrt(len(images))))
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (columns * side, rows * side))
    for number, image in enumerate(images):
        sheet.paste(_tile(image, side), (number % columns * side, number // columns * side))
    rules = [
        f".{name}{{background-image:url({_webp_uri(sheet, lossless=side < 32)});"
        f"background-size:{100 * columns}% {100 * rows}%;"
        f"image-rendering:{'pixelated' if side < 64 else 'auto'}}}"
    ]
    for number in range(len(images)):
        x, y = _part(number % columns, columns), _part(number // columns, rows)
        rules.append(f".{name}-{number}{{background-position:{x} {y}}}")
    return "\n".join(rules)


def _part(number: int, count: int) -> str:
    return f"{100 * number / (count - 1):.4g}%" if count > 1 else "0"


def _tile(image: NDArray[np.uint8], side: int) -> Image.Image:
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
    if max(picture.size) != side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (side, side), "#808080")
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def _webp_uri(sheet: Image.Image, *, lossless: bool) -> str:
    for quality in (82, 60, 35, 10):
        data = io.BytesIO()
        sheet.save(data, "WEBP", quality=quality, lossless=lossless and quality == 82, method=4)
        if data.tell() <= SHEET_BYTES:
            break
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
