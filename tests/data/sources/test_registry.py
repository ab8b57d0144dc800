"""A new kind of source is one new file."""

from pathlib import Path

import pytest
from images import load, refused

from tenfold.data.sources import readers
from tenfold.data.sources.registry import all_readers, file_endings

NEW = '''
"""Gray pictures as text: a first line with the class, then rows of digits."""

import numpy as np

from tenfold.data.sources.arrays import array_part
from tenfold.data.sources.reader import BY_ENDING, Reader


def _read(tree, names, data):
    texts = []
    for name in names:
        with tree.open(name) as file:
            texts.append(file.read().decode().split())
    images = np.array([[[int(digit) * 28 for digit in row] for row in text[1:]] for text in texts], np.uint8)
    return [array_part(None, "texts", images[..., None], [text[0] for text in texts])]


def _files(tree):
    return [name for name in tree.files if name.endswith(".art")]


READER = Reader("text pictures", BY_ENDING, _files, _read, (".art",))
'''


@pytest.fixture
def with_new_reader(tmp_path, monkeypatch):
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers" / "art.py").write_text(NEW)
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path / "readers")])
    all_readers.cache_clear()
    yield
    all_readers.cache_clear()


def test_every_reader_is_declared_and_pictures_come_last():
    kinds = [reader.kind for reader in all_readers()]
    assert len(kinds) == len(set(kinds)) >= 10
    assert kinds[-1] == "pictures"
    assert {".parquet", ".npz"} <= set(file_endings())


@pytest.mark.usefixtures("with_new_reader")
def test_a_new_file_is_a_new_source(tmp_path):
    for i in range(12):
        art = tmp_path / "data" / f"{i}.art"
        art.parent.mkdir(exist_ok=True)
        art.write_text(f"{'ab'[i % 2]}\n{i % 9}123\n4567\n7654\n3210\n")
    splits = load(tmp_path / "data")
    assert splits.class_names == ("a", "b")
    assert splits.image_shape == (1, 4, 4)
    assert splits.train.pixels[1, 0].ravel().tolist() == [28, 28, 56, 84]
    assert ".art" in file_endings()
    Path(tmp_path / "two" / "x.art").parent.mkdir()
    Path(tmp_path / "two" / "x.art").write_text("a\n1\n")
    Path(tmp_path / "two" / "y.npz").write_bytes(b"")
    refused(tmp_path / "two", "it holds text pictures (x.art) and npz files (y.npz)", "with --data")
