"""CIFAR's own files, small ones of random images."""

import pickle
from pathlib import Path

import numpy as np


def cifar10_images(batch: int, count: int = 20) -> tuple[np.ndarray, list[int]]:
    images = np.random.default_rng(batch).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return images, [(i + batch) % 10 for i in range(count)]


def write_cifar(folder: Path, kind: str, fine: bool) -> Path:
    """CIFAR's files as their publisher made them, with 20 images a batch."""
    folder.mkdir()
    batches = (
        {"train": 1, "test": 2} if fine else {**{f"data_batch_{i}": i for i in range(1, 6)}, "test_batch": 6}
    )
    names = [f"class {i:02}" if fine else "abcdefghij"[i] for i in range(100 if fine else 10)]
    for name, number in batches.items():
        images, labels = cifar10_images(number)
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        if kind == "binary":
            columns = [[label % 5, label] if fine else [label] for label in labels]
            np.hstack([np.array(columns, np.uint8), planes]).tofile(folder / f"{name}.bin")
        else:
            key = b"fine_labels" if fine else b"labels"
            # Protocol 2 with byte keys is what the originals hold.
            contents = {key: labels, b"data": planes, b"filenames": [b"x.png"] * len(labels)}
            (folder / name).write_bytes(pickle.dumps(contents, protocol=2))
    if kind == "binary":
        meta = "fine_label_names.txt" if fine else "batches.meta.txt"
        (folder / meta).write_text("\n".join(name.replace(" ", "_") for name in names) + "\n\n")
    else:
        key = b"fine_label_names" if fine else b"label_names"
        meta = {key: [name.encode() for name in names]}
        (folder / ("meta" if fine else "batches.meta")).write_bytes(pickle.dumps(meta, protocol=2))
    return folder
