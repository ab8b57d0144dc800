import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from images import load, packed, refused


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


@pytest.mark.parametrize("kind", ["python", "binary"])
@pytest.mark.parametrize("archived", [False, True])
def test_cifar10_files(tmp_path, kind, archived):
    folder = write_cifar(tmp_path / "cifar-10-batches", kind, fine=False)
    source = packed(folder, tmp_path / "cifar.tar.gz", "cifar-10-batches/") if archived else folder
    splits = load(source)
    assert splits.class_names == tuple("abcdefghij")
    assert len(splits.test) == 20
    assert len(splits.train) + len(splits.validation) == 100
    images, labels = cifar10_images(6)
    np.testing.assert_array_equal(splits.test.images(slice(None)), images)
    assert splits.test.labels.tolist() == labels
    assert splits.test.paths[3].startswith("test_batch")
    assert splits.test.paths[3].endswith("#3")


@pytest.mark.parametrize("kind", ["python", "binary"])
def test_cifar100_files_give_the_fine_classes(tmp_path, kind):
    splits = load(write_cifar(tmp_path / "cifar-100", kind, fine=True), validation_fraction=0.3)
    assert len(splits.test) == 20
    assert len(splits.class_names) == 10  # the 20 test images repeat labels 0..9 of 100
    assert splits.class_names[0].startswith("class")


def test_a_missing_cifar_file_is_named(tmp_path):
    folder = write_cifar(tmp_path / "cifar", "python", fine=False)
    (folder / "data_batch_3").unlink()
    refused(folder, "data_batch_3 is missing")


def test_a_cut_off_cifar_file_is_named(tmp_path):
    for kind, name in (("python", "data_batch_3"), ("binary", "data_batch_3.bin")):
        folder = write_cifar(tmp_path / kind, kind, fine=False)
        (folder / name).write_bytes((folder / name).read_bytes()[:5000])
        refused(folder, name, "no intact CIFAR-10")


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "hacked"),)

    folder = write_cifar(tmp_path / "cifar", "python", fine=False)
    (folder / "data_batch_2").write_bytes(pickle.dumps(OrderedDict(a=Hostile())))
    refused(folder, "data_batch_2", "collections.OrderedDict")
    (folder / "data_batch_2").write_bytes(pickle.dumps({"a": Hostile()}))
    refused(folder, "data_batch_2", "posix.mkdir")
    assert not (tmp_path / "hacked").exists()
