"""Pictures to make shards of."""

from pathlib import Path

from images import random_pixels
from PIL import Image


def pictures(
    folder: Path, count: int = 60, splits: tuple[str, ...] = ("train", "test"), bad: bool = False
) -> Path:
    """Class folders of PNG and JPEG files of names with dots, in splits."""
    for split in splits:
        for number in range(count):
            place = folder / split / ("cats", "dogs", "owls")[number % 3]
            place.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(random_pixels(number + 1000 * len(split)))
            image.save(place / f"a.{number}.{'jpg' if number % 2 else 'png'}")
    if bad:
        (folder / splits[0] / "cats" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder
