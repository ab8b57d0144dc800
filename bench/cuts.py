"""Small data sets cut from CIFAR-10, as class folders of PNG files: what a choice of recipe is tried on.

    python bench/cuts.py CIFAR10_FOLDER OUT

CIFAR10_FOLDER holds train1 ... train5 and test, as class folders; only its training folders are read. Each set of
`SETS` becomes a folder of its own in OUT, which tenfold splits itself. Deterministic.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance


@dataclass(frozen=True)
class Cut:
    """`images` of each of the first `classes` classes, brought to `size` (width, height)."""

    classes: int
    images: int
    size: tuple[int, int] = (32, 32)


SETS = {
    "cut10x200": Cut(10, 200),
    "cut4x400": Cut(4, 400),
    "cut2x400": Cut(2, 400),
    "cut10x150-64px": Cut(10, 150, (64, 64)),
    "cut8x250-48x36": Cut(8, 250, (48, 36)),
    "cut10x2": Cut(10, 2),
}
# Every picture of this set is a class of its own; its images are shifted, turned and lightened versions of it.
PICTURES, VERSIONS = 1000, 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cifar", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    for name, cut in SETS.items():
        for folder in sorted((options.cifar / "train1").iterdir())[: cut.classes]:
            place = options.out / name / folder.name
            place.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("*.png"))[: cut.images]:
                Image.open(path).convert("RGB").resize(cut.size, Image.Resampling.BICUBIC).save(
                    place / path.name
                )
        print(options.out / name)
    cut_pictures(options.cifar / "train2", options.out / "pictures1000")


def cut_pictures(source: Path, place: Path) -> None:
    """Write the set of which every picture is a class."""
    generator = np.random.default_rng(0)
    paths = sorted(source.glob("*/*.png"))
    for number in generator.permutation(len(paths))[:PICTURES]:
        folder = place / f"{number:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        for version, image in enumerate(versions(Image.open(paths[number]).convert("RGB"), generator)):
            image.save(folder / f"{version}.png")
    print(place)


def versions(picture: Image.Image, generator: np.random.Generator) -> Iterator[Image.Image]:
    """Other views of one picture: up to 15 degrees turned, 4 pixels shifted, lighter or darker by up to 30 %."""
    for _ in range(VERSIONS):
        shift = tuple(int(pixels) for pixels in generator.integers(-4, 5, 2))
        turned = picture.rotate(
            generator.uniform(-15, 15), Image.Resampling.BILINEAR, translate=(shift[0], shift[1])
        )
        yield ImageEnhance.Brightness(turned).enhance(generator.uniform(0.7, 1.3))


if __name__ == "__main__":
    main()
