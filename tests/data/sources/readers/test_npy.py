"""Arrays in .npy files: one for all images, or one for each."""

import numpy as np
from images import load, refused

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
LABELS = np.arange(40) % 2


def test_a_pair_of_arrays_for_each_split(tmp_path):
    for split, part in (("train", slice(0, 30)), ("test", slice(30, 40))):
        np.save(tmp_path / f"x_{split}.npy", PIXELS[part])
        np.save(tmp_path / f"y_{split}.npy", np.eye(2)[LABELS[part]])
    splits = load(tmp_path)
    assert splits.class_names == ("0", "1")
    np.testing.assert_array_equal(splits.test.images(slice(None))[..., 0], PIXELS[30:])
    assert splits.test.labels.tolist() == LABELS[30:].tolist()


def test_an_image_a_file_in_class_folders(tmp_path):
    for i, pixels in enumerate(PIXELS):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        np.save(tmp_path / "ab"[i % 2] / f"{i}.npy", pixels / 255)
    np.save(tmp_path / "a" / "bad.npy", np.array([{"a": 1}]), allow_pickle=True)
    splits = load(tmp_path, bad_files_limit=0.1)
    assert splits.class_names == ("a", "b")
    for split in splits:
        for position, path in enumerate(split.paths):
            number = int(path[2:].removesuffix(".npy"))
            np.testing.assert_array_equal(
                split.images(slice(position, position + 1))[0, ..., 0], PIXELS[number]
            )
    assert [(bad.path, "it holds Python objects" in bad.reason) for bad in splits.bad_files] == [
        ("a/bad.npy", True)
    ]


def test_arrays_without_labels(tmp_path):
    np.save(tmp_path / "x.npy", PIXELS)
    refused(tmp_path, "it holds 1 image outside of class folders, for instance x.npy")
