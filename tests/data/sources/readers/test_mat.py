"""MATLAB files as SVHN's: which axis counts the images is told by the labels, or refused."""

import numpy as np
from images import load, refused
from scipy.io import savemat

PIXELS = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
LABELS = np.arange(50) % 10 + 1


def test_svhn(tmp_path):
    for name, part in (("train_32x32.mat", slice(0, 40)), ("test_32x32.mat", slice(40, 50))):
        savemat(tmp_path / name, {"X": np.moveaxis(PIXELS[part], 0, -1), "y": LABELS[part, None]})
    splits = load(tmp_path)
    assert splits.class_names == tuple(str(n) for n in range(1, 11))
    np.testing.assert_array_equal(splits.test.images(slice(None)), PIXELS[40:])
    assert [splits.class_names[label] for label in splits.test.labels] == [str(n) for n in LABELS[40:]]


def test_gray_images_with_names_of_classes_in_doubles(tmp_path):
    names = np.array(["cat", "dog"], object)[np.arange(50) % 2]
    savemat(tmp_path / "a.mat", {"images": PIXELS[..., 0].astype(float) / 255, "labels": names})
    splits = load(tmp_path / "a.mat")
    assert splits.class_names == ("cat", "dog")
    assert splits.image_shape == (1, 8, 8)


def test_what_is_not_clear_or_damaged_is_refused(tmp_path):
    savemat(tmp_path / "square.mat", {"X": PIXELS[:8, ..., 0], "y": LABELS[:8]})
    refused(tmp_path / "square.mat", "which axis counts the images is not clear", "save('data.mat'")
    savemat(tmp_path / "none.mat", {"X": PIXELS})
    refused(tmp_path / "none.mat", "its arrays are X (50, 8, 8, 3); expected one of images")
    (tmp_path / "bad.mat").write_bytes(b"MATLAB 5.0 nothing of the kind" * 9)
    refused(tmp_path / "bad.mat", "bad.mat: cannot be read as a MATLAB file")
    (tmp_path / "new.mat").write_bytes(
        b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\x89HDF\r\n\x1a\n" * 40
    )
    refused(tmp_path / "new.mat", "files of MATLAB 7.3 (HDF5) are not read", "-v7")
