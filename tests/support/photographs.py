"""A real small photo set: crops at unequal sizes of the pictures that scikit-learn and scikit-image bring along.

    python tests/photographs.py FOLDER [COUNT]

Each picture is a class of its own (its name is the class folder); a crop shows between a third and two thirds of the
picture's sides, so that no two are alike. Deterministic.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

# Photographs and scientific pictures with enough in them that a third of a side shows something.
SKIMAGE = (
    "astronaut.png",
    "brick.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "gravel.png",
    "ihc.png",
    "rocket.jpg",
)
SKLEARN = ("china.jpg", "flower.jpg")


def missing() -> str | None:
    """Why the photo set cannot be made here, or None."""
    if find_spec("skimage") is None:
        return "scikit-image, whose pictures the photo set is cut from, is not installed"
    return None


def crop_photographs(folder: Path, count: int = 500, seed: int = 0) -> Path:
    """Write `count` JPEG files of unequal sizes into class folders below `folder`, and give `folder`."""
    generator = np.random.default_rng(seed)
    pictures = list(_pictures())
    for number in range(count):
        name, picture = pictures[number % len(pictures)]
        width, height = (int(side * generator.uniform(1 / 3, 2 / 3)) for side in picture.size)
        left, top = (
            int(generator.integers(0, whole - part))
            for whole, part in zip(picture.size, (width, height), strict=True)
        )
        (folder / name).mkdir(parents=True, exist_ok=True)
        crop = picture.crop((left, top, left + width, top + height))
        crop.save(folder / name / f"{number:04d}.jpg", quality=90)
    return folder


def _pictures():
    for package, names, subfolder in (("skimage", SKIMAGE, "data"), ("sklearn", SKLEARN, "datasets/images")):
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        for name in names:
            path = Path(spec.submodule_search_locations[0]) / subfolder / name
            yield path.stem, Image.open(path).convert("RGB")


if __name__ == "__main__":
    crop_photographs(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:3]))
