"""Folders of class folders, and the bundled digits, as one table of images (first version: decoded on each call)."""

import hashlib
import re
from pathlib import Path

import numpy as np

from tenfold import recipe
from tenfold.data.decode import FALLBACK_SIZE, SUFFIXES, Target, decode
from tenfold.data.splits import BadFile, Source, Table
from tenfold.errors import InputError

ALIASES = {"train": "train|training", "validation": "validation|valid|val|dev", "test": "test|testing"}


def load(data: recipe.Data, source: Source) -> tuple[Table, np.ndarray, tuple[BadFile, ...]]:
    items: list[tuple[int, str, str, object]] = []  # part, class, identity, encoded
    parts: list[tuple[str | None, str]] = []
    if source.data == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        parts = [(None, "digits")]
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        items = [
            (0, str(y), f"digits#{i:04d}", x)
            for i, (x, y) in enumerate(zip(images, digits.target, strict=True))
        ]
    elif source.data is not None:
        root = Path(source.data)
        if not root.is_dir():
            raise InputError(f"{root}: there is no such folder. Give the path of a folder of class folders.")
        names = {child.name: split_of(child.name) for child in sorted(root.iterdir()) if child.is_dir()}
        if "train" in names.values():
            for name, split in names.items():
                if split:
                    parts.append((split, name))
                    items += read_folder(root / name, f"{name}/", len(parts) - 1)
        else:
            parts = [(None, root.name)]
            items = read_folder(root, "", 0)
    for split in ("train", "validation", "test"):
        for folder in getattr(source, split):
            parts.append((split, folder))
            items += read_folder(Path(folder), f"{Path(folder).name}/", len(parts) - 1)
    parts.sort(key=lambda part: ("train", "validation", "test").index(part[0] or "train")) if False else None
    return decode_all(data, items, parts)


def split_of(name):
    for split, alias in ALIASES.items():
        if re.fullmatch(rf"({alias})[-_ ]?\d*", name, re.IGNORECASE):
            return split
    return None


def read_folder(root: Path, prefix: str, part: int):
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder. Give the path of a folder of class folders.")
    items = []
    for folder in sorted(child for child in root.iterdir() if child.is_dir()):
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                items.append((part, folder.name, prefix + path.relative_to(root).as_posix(), str(path)))
    if not items:
        raise InputError(
            f"{root}: holds no images in class folders. Put the images of each class in a folder."
        )
    return items


def decode_all(data, items, parts):
    first = decode(items[0][3], Target(None, 3))
    decoded, bad, kept = [], [], []
    for i, item in enumerate(items):
        try:
            decoded.append(decode(item[3], Target(data.image_size, 3)))
            kept.append(i)
        except (OSError, ValueError) as error:
            bad.append(BadFile(item[2], str(error)))
    if len({d.pixels.shape for d in decoded}) > 1:
        decoded = [decode(items[i][3], Target(FALLBACK_SIZE, 3)) for i in kept]
    gray = data.channels == "grayscale" or (data.channels == "auto" and all(d.gray for d in decoded))
    pixels = np.stack([d.pixels[..., :1] if gray else d.pixels for d in decoded])
    classes = sorted({item[1] for item in items})
    numbers = {name: i for i, name in enumerate(classes)}
    chosen = [items[i] for i in kept]
    keys = [int.from_bytes(hashlib.blake2b(c[2].encode(), digest_size=8).digest(), "little") for c in chosen]
    del first
    table = Table(
        rows=np.arange(len(chosen)),
        labels=np.array([numbers[c[1]] for c in chosen]),
        parts=np.array([c[0] for c in chosen]),
        keys=np.array(keys, np.uint64),
        contents=np.array([d.content for d in decoded], np.uint64),
        paths=[c[2] for c in chosen],
        classes=tuple(classes),
        part_splits=tuple(p[0] for p in parts),
        part_folders=tuple(p[1] for p in parts),
    )
    return table, pixels, tuple(bad)
