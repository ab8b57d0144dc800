"""Picture files of every kind that a decoder must agree with itself about: a class folder full of them."""

from pathlib import Path

import numpy as np
from images import scene
from PIL import Image


def odd_pictures(folder: Path, seed: int = 0) -> list[Path]:
    """EXIF 1 to 8, gray, palette, RGBA, LA, CMYK, 16-bit, oblong, large, rarer formats: files in `folder`, sorted."""
    folder.mkdir(parents=True)
    picture = Image.fromarray(scene(seed, 24))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture.crop((0, 0, 24, 16)).save(folder / f"exif{orientation}.jpg", exif=exif, quality=95)
    picture.convert("L").save(folder / "gray.png")
    picture.convert("P").save(folder / "palette.gif")
    alpha = Image.fromarray(scene(seed + 1, 24)).convert("L")
    transparent = picture.copy()
    transparent.putalpha(alpha)
    transparent.save(folder / "rgba.png")
    transparent.convert("LA").save(folder / "la.png")
    picture.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    Image.fromarray(np.asarray(alpha).astype(np.uint16) * 257).save(folder / "sixteen.png")
    picture.crop((0, 0, 24, 5)).save(folder / "wide.png")
    picture.crop((0, 0, 3, 24)).save(folder / "tall.bmp")
    Image.fromarray(scene(seed + 2, 640)).save(folder / "large.jpg", quality=90)
    picture.save(folder / "web.webp", lossless=True)
    for ending in ("ppm", "jp2", "ico", "avif"):
        picture.save(folder / f"rare.{ending}")
    return sorted(folder.iterdir())
