"""Real photographs for `make demo`: tiles of the pictures that scikit-image, scikit-learn and Matplotlib bring along.

    python examples/photographs.py FOLDER

Writes `FOLDER/data` with a class for each of 14 pictures, and `FOLDER/new` with pictures that no split has. Each
picture is divided into 16 fields. A field belongs to one split and its tiles are cut within it, so that no pixel is
in two splits. The licences of the pictures are CC0, CC BY 2.0 (china.jpg, flower.jpg) or the public domain.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
WHOLE = (0.0, 0.0, 1.0, 1.0)
SKIMAGE, SKLEARN = ("skimage", "data"), ("sklearn", "datasets/images")
# Class: where the picture is, its file, and the part (left, top, right, bottom) that shows what the class is called.
PICTURES: dict[str, tuple[tuple[str, str], str, Box]] = {
    "astronaut": (SKIMAGE, "astronaut.png", (0.1, 0.0, 0.9, 1.0)),
    "bricks": (SKIMAGE, "brick.png", WHOLE),
    "cat": (SKIMAGE, "chelsea.png", (0.1, 0.0, 0.8, 1.0)),
    "coffee": (SKIMAGE, "coffee.png", (0.1, 0.0, 0.9, 1.0)),
    "coins": (SKIMAGE, "coins.png", WHOLE),
    "flower": (SKLEARN, "flower.jpg", (0.25, 0.05, 0.75, 0.85)),
    "galaxies": (SKIMAGE, "hubble_deep_field.jpg", WHOLE),
    "grass": (SKIMAGE, "grass.png", WHOLE),
    "gravel": (SKIMAGE, "gravel.png", WHOLE),
    "moon": (SKIMAGE, "moon.png", WHOLE),
    "motorcycle": (SKIMAGE, "motorcycle_left.png", (0.05, 0.25, 0.85, 1.0)),
    "palace": (SKLEARN, "china.jpg", (0.1, 0.3, 0.8, 1.0)),
    "retina": (SKIMAGE, "retina.jpg", (0.1, 0.1, 0.9, 0.9)),
    "tissue": (SKIMAGE, "ihc.png", WHOLE),
}
PORTRAIT = (("matplotlib", "mpl-data/sample_data"), "grace_hopper.jpg", (0.0, 0.0, 1.0, 0.85))
GRID = 4  # fields across and down
FIELDS = ("train",) * 8 + ("validation",) * 3 + ("test",) * 4 + ("new",)
TILES = 4  # of each field
SMALLEST = 0.7  # tile, as a share of its field
STORED = 128  # pixels a side
NEW = ("cat", "coins", "flower")  # whose last field is kept apart


def write_photographs(folder: Path, seed: int = 0) -> Path:
    """Write the tiles as JPEG files below `folder`, and give it. The same seed gives the same files."""
    generator = np.random.default_rng(seed)
    for name, (place, file, part) in PICTURES.items():
        picture = opened(place, file)
        for field, split in zip(generator.permutation(GRID**2).tolist(), FIELDS, strict=True):
            for number in range(TILES):
                box = tile(picture.size, part, field, generator)
                if split != "new":
                    keep(picture, box, folder / "data" / split / name / f"{field:02}-{number}.jpg")
                elif name in NEW and number == 0:
                    keep(picture, box, folder / "new" / f"{name}.jpg")
    portrait = opened(*PORTRAIT[:2])
    keep(portrait, within(portrait.size, PORTRAIT[2]), folder / "new" / "portrait.jpg")
    return folder


def tile(size: tuple[int, int], part: Box, field: int, generator: np.random.Generator) -> Box:
    """A square of random size and place within a field of a picture of `size` (width, height), in pixels."""
    left, top, right, bottom = within(size, part)
    width, height = (right - left) / GRID, (bottom - top) / GRID
    side = min(width, height) * generator.uniform(SMALLEST, 1)
    x = left + width * (field % GRID) + generator.uniform(0, width - side)
    y = top + height * (field // GRID) + generator.uniform(0, height - side)
    return x, y, x + side, y + side


def within(size: tuple[int, int], part: Box) -> Box:
    """A part of a picture of `size` (width, height), in pixels."""
    width, height = size
    return part[0] * width, part[1] * height, part[2] * width, part[3] * height


def keep(picture: Image.Image, box: Box, path: Path) -> None:
    """Write a part of a picture as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((STORED, STORED), Image.Resampling.LANCZOS, box=box).save(path, quality=92)


def opened(place: tuple[str, str], name: str) -> Image.Image:
    """A picture that a package brings along. Raises SystemExit where the package is not installed."""
    package, folder = place
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            f"{package}, which brings {name} along, is not installed: pip install 'tenfold[demo]'"
        )
    return Image.open(Path(spec.submodule_search_locations[0]) / folder / name).convert("RGB")


if __name__ == "__main__":
    write_photographs(Path(sys.argv[1]))
