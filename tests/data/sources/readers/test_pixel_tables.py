"""MNIST as CSV: a row for each image."""

import numpy as np
import pytest
from images import load, refused

PIXELS = np.random.default_rng(0).integers(0, 256, (60, 6, 6), np.uint8)
LABELS = np.arange(60) % 3


def text(part: slice, header: str = "") -> str:
    rows = zip(LABELS[part], PIXELS[part], strict=True)
    lines = [",".join(map(str, [label, *pixels.ravel()])) for label, pixels in rows]
    return "\n".join([*([header] if header else []), *lines, ""])


HEADERS = {
    "none": "",
    "numbered": ",".join(["label", *(f"pixel{i}" for i in range(36))]),
    "places": ",".join(["label", *(f"{row}x{column}" for row in range(1, 7) for column in range(1, 7))]),
}


@pytest.mark.parametrize("header", HEADERS)
def test_mnist_in_csv(tmp_path, header):
    (tmp_path / "mnist_train.csv").write_text(text(slice(0, 40), HEADERS[header]))
    (tmp_path / "mnist_test.csv").write_text(text(slice(40, 60), HEADERS[header]))
    splits = load(tmp_path)
    assert splits.class_names == ("0", "1", "2")
    assert splits.image_shape == (1, 6, 6)
    np.testing.assert_array_equal(splits.test.images(slice(None))[..., 0], PIXELS[40:])
    assert splits.test.labels.tolist() == LABELS[40:].tolist()
    assert sum(map(len, load(tmp_path / "mnist_train.csv"))) == 40


def test_damage_is_named_by_its_line(tmp_path):
    sevens = "7," * 35
    for number, row in enumerate((f"0,{sevens[:-1]}", f"0,{sevens}256", f"0,{sevens}x", f",{sevens}7")):
        path = tmp_path / f"{number}.csv"
        path.write_text(text(slice(0, 9)) + row + "\n")
        refused(path, f"{number}.csv", "36 values")
    refused(tmp_path, "it holds 4 tables of pixels, and the name of 0.csv says no split")
