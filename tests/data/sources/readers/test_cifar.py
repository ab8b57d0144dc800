import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from cifar_files import cifar10_images, write_cifar
from images import load, packed, refused


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
