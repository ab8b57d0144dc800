"""Real image files and folders for tests, made with Pillow."""

import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tenfold.core.errors import InputError
from tenfold.data import Source, Splits, read_splits
from tenfold.recipe import Data


def random_pixels(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def scene(seed: int, size: int = 32) -> np.ndarray:
    """A picture with structure at every scale, less the finer it is, as photographs have."""
    generator = np.random.default_rng(seed)
    layers = [generator.normal(0, 160 / n, (n, n, 3)).clip(-127, 127) + 128 for n in (4, 8, 16, 32)]
    enlarged = [Image.fromarray(layer.astype(np.uint8)).resize((size, size)) for layer in layers]
    return np.clip(sum(np.asarray(layer, float) - 128 for layer in enlarged) + 128, 0, 255).astype(np.uint8)


def darker(image: np.ndarray) -> np.ndarray:
    return (image * 0.6 + 10).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(path, **options)
    return path


def class_folders(root: Path, counts: dict[str, int], seed: int = 0) -> Path:
    """`root`/CLASS/0.png, 1.png, ... with random pixels, a different image each."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            save(root / name / f"{i}.png", random_pixels(seed + 1000 * number + i))
    return root


def with_splits(root: Path) -> Path:
    """Folders train (6 of each class), val (2) and testing (3)."""
    for number, (name, count) in enumerate({"train": 6, "val": 2, "testing": 3}.items()):
        class_folders(root / name, {"cat": count, "dog": count}, seed=100 * number)
    return root


def load(path: Path | str, **data: Any) -> Splits:
    return read_splits(Data(**data), Source(str(path)))


def classes_of(splits: Splits) -> dict[str, list[str]]:
    """For each split the sorted class names of its images, by what `labels` says."""
    return {split.name: sorted(splits.class_names[label] for label in split.labels) for split in splits}


def paths_of(splits: Splits) -> dict[str, list[str]]:
    return {split.name: list(split.paths) for split in splits}


def all_paths(splits: Splits) -> list[str]:
    return [path for split in splits for path in split.paths]


def refused(path: Path, *words: str, **data) -> None:
    """Loading fails with an InputError that says all of `words`, and leaves no pack."""
    with pytest.raises(InputError) as error:
        load(path, **data)
    for word in words:
        assert word in str(error.value)


def packed(root: Path, archive: Path, above: str = "") -> Path:
    files = [path for path in root.rglob("*") if path.is_file()]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in files:
                file.write(path, above + str(path.relative_to(root)))
    else:
        packing = {".gz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}.get(archive.suffix, "w")
        with tarfile.open(archive, packing) as file:
            for path in reversed(files):  # not in the order of the names
                file.add(path, above + str(path.relative_to(root)))
    return archive
