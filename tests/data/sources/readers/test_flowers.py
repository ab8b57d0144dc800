"""Oxford Flowers 102: labels and splits by the pictures' numbers."""

from pathlib import Path

import numpy as np
import pytest
from images import load, paths_of, random_pixels, refused, save
from scipy.io import savemat

LABELS = np.arange(24) % 3 + 1
SPLITS = {"trnid": np.arange(1, 13), "valid": np.arange(13, 19), "tstid": np.arange(19, 25)}


def flowers(root: Path, labels: np.ndarray = LABELS, **splits: np.ndarray) -> Path:
    for number in range(1, 25):
        save(root / "jpg" / f"image_{number:05}.png", random_pixels(number))
    savemat(root / "imagelabels.mat", {"labels": labels[None]})
    savemat(root / "setid.mat", SPLITS | splits)
    return root


def test_labels_and_splits(tmp_path):
    splits = load(flowers(tmp_path))
    assert splits.class_names == ("1", "2", "3")
    assert [len(split) for split in splits] == [12, 6, 6]
    assert set(paths_of(splits)["test"]) == {f"jpg/image_{number:05}.png" for number in SPLITS["tstid"]}
    for path, label in zip(splits.test.paths, splits.test.labels, strict=True):
        assert label + 1 == LABELS[int(path[-9:-4]) - 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid": np.arange(12, 19)}, "its splits share images"),
        ({"tstid": np.arange(19, 26)}, "or name others than the 24 of imagelabels.mat"),
        ({"labels": LABELS + 0.5}, "it has no integers called 'labels'"),
    ],
)
def test_what_disagrees_is_refused(changes, message, tmp_path):
    refused(flowers(tmp_path, **changes), message)
