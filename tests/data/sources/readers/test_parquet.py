"""Parquet files that say something else than they hold: an explained refusal, never a traceback."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from images import load, random_pixels, refused
from PIL import Image

IMAGES = np.stack([random_pixels(seed) for seed in range(30)])
LABELS = np.arange(30) % 2
WORDS = ["cat" if label else "dog" for label in LABELS.tolist()]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path_factory.mktemp("cache")))


def parquet(path: Path, labels: Any, about: Any = None) -> Path:
    pictures = []
    for image in IMAGES:
        written = io.BytesIO()
        Image.fromarray(image).save(written, "png")
        pictures.append(written.getvalue())
    table = pa.table({"image": pa.array(pictures, pa.binary()), "label": labels})
    if about is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize("names", [5, [1, 2], {"0": "a"}, "ab"])
def test_class_names_that_are_no_list_of_texts(tmp_path, names):
    about = {"info": {"features": {"label": {"_type": "ClassLabel", "names": names}}}}
    refused(
        parquet(tmp_path / "a.parquet", pa.array(LABELS), about), "as the classes' names", "a list of texts"
    )


@pytest.mark.parametrize(
    "about", [{"info": {"features": [1]}}, {"info": 5}, [1], {"info": {"features": {"label": 1}}}]
)
def test_features_that_are_none_name_nothing(tmp_path, about):
    assert load(parquet(tmp_path / "a.parquet", pa.array(LABELS), about)).class_names == ("0", "1")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (pa.array(WORDS).cast(pa.large_string()), ("cat", "dog")),
        (pa.array(WORDS).cast(pa.string_view()), ("cat", "dog")),
        (pa.array(WORDS).dictionary_encode(), ("cat", "dog")),
        (pa.array(LABELS.astype(bool)), ("False", "True")),
        (pa.array(LABELS.astype(np.uint8)), ("0", "1")),
    ],
)
def test_labels_of_every_type(tmp_path, labels, names):
    splits = load(parquet(tmp_path / "a.parquet", labels))
    assert splits.class_names == names
    for split in splits:
        numbers = [int(path.rpartition("#")[2]) for path in split.paths]
        assert [splits.class_names[label] for label in split.labels] == [
            str(labels[n].as_py()) for n in numbers
        ]


def test_text_is_never_opened_as_a_path(tmp_path):
    """A column of text, or a struct with text in `bytes`, is no image column, whatever paths it holds."""
    struct = pa.array([{"bytes": "/dev/zero"}] * 4, pa.struct([("bytes", pa.string())]))
    for name, column in (("text", pa.array(["/dev/zero"] * 4)), ("struct", struct)):
        pq.write_table(pa.table({"image": column, "label": [0, 1, 0, 1]}), tmp_path / f"{name}.parquet")
        refused(tmp_path / f"{name}.parquet", "it has no image column")
