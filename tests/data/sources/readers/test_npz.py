import io
import zipfile

import numpy as np
import pytest
from images import all_paths, load, random_pixels, refused


def batch(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def test_npz_with_training_and_test(tmp_path):
    x, y = batch(30, 8, 8, 3), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y[:, None], x_test=x[:6], y_test=y[:6])
    splits = load(tmp_path / "a.npz")
    np.testing.assert_array_equal(splits.test.images(slice(None)), x[:6])
    assert splits.test.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert splits.test.paths[1] == "a.npz:x_test#1"
    assert len(splits.train) == 27


def test_npz_of_medmnist(tmp_path):
    parts = {"train": 30, "val": 6, "test": 9}
    arrays = {f"{name}_images": batch(n, 8, 8, seed=n) for name, n in parts.items()}
    np.savez(
        tmp_path / "a.npz", **arrays, **{f"{name}_labels": np.arange(n) % 3 for name, n in parts.items()}
    )
    splits = load(tmp_path / "a.npz")
    assert [len(split) for split in splits] == [30, 6, 9]
    assert splits.image_shape == (1, 8, 8)


def test_npz_unsplit_with_names(tmp_path):
    np.savez(
        tmp_path / "a.npz", images=batch(30, 8, 8), labels=np.arange(30) % 3, class_names=["z", "y", "x"]
    )
    splits = load(tmp_path / "a.npz")
    assert splits.class_names == ("x", "y", "z")
    assert "a.npz#0" in all_paths(splits)


def test_npz_of_other_types_is_scaled(tmp_path):
    x, y = batch(30, 8, 8), np.arange(30) % 3
    for name, images in {
        "f": x / 255,
        "i": x.astype(np.int64),
        "u": x.astype(np.uint16) * 257,
        "b": x > 127,
    }.items():
        np.savez(tmp_path / f"{name}.npz", images=images, labels=y)
        splits = load(tmp_path / f"{name}.npz", test_fraction=0.2)
        expected = np.where(x > 127, 255, 0) if name == "b" else x
        where = [int(path.partition("#")[2]) for path in splits.test.paths]
        np.testing.assert_array_equal(splits.test.images(slice(None))[..., 0], expected[where])


def test_channels_first_and_one_hot_labels(tmp_path):
    pixels, y = batch(30, 8, 8, 3), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", images=np.moveaxis(pixels, -1, 1), labels=np.eye(3, dtype=np.float32)[y])
    splits = load(tmp_path / "a.npz")
    assert splits.class_names == ("0", "1", "2")
    for split in splits:
        for position, path in enumerate(split.paths):
            number = int(path.partition("#")[2])
            np.testing.assert_array_equal(split.images(slice(position, position + 1))[0], pixels[number])
            assert split.labels[position] == y[number]


def test_bad_npz_files(tmp_path):
    path, y = tmp_path / "a.npz", np.arange(30) % 3

    def write(**arrays):
        np.savez(path, **arrays)
        return path

    refused(write(images=batch(30, 8), labels=y), "images has the shape (30, 8)", "height, width")
    refused(
        write(images=batch(30, 5, 8, 8), labels=y), "images has the shape (30, 5, 8, 8)", "3 or 4 channels"
    )
    refused(write(images=batch(30, 8, 8), labels=np.ones((30, 3))), "one integer or text for each")
    refused(write(images=batch(30, 8, 8) * -1.5, labels=y), "float64", "from 0 to 1")
    refused(write(images=batch(30, 8, 8), labels=y[:7]), "labels has the shape (7,)", "30 images")
    refused(write(images=batch(30, 8, 8), labels=y / 2), "float64", "one integer or text")
    refused(write(images=batch(30, 8, 8), labels=y, class_names=["a", "b"]), "class_names has 2 names")
    refused(write(pictures=batch(30, 8, 8), y=y), "pictures, y", "x_train")
    refused(write(images=np.array([{}] * 30), labels=y), "cannot be read as .npz", "it holds Python objects")
    path.write_bytes(b"PK no")
    refused(path, "cannot be read as .npz")
    # An open bracket in the header of an array, where numpy's reader asks Python's tokenizer.
    whole = write(images=batch(30, 8, 8), labels=y).read_bytes()
    path.write_bytes(whole.replace(b"), }  ", b"), } {", 1))
    refused(path, "cannot be read as .npz")


IMAGES = np.stack([random_pixels(seed) for seed in range(30)])


LABELS = np.arange(30) % 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"y_train": np.array([b"\xff", b"a"] * 15)}, ("y_train", "no UTF-8", "as text")),
        ({"class_names": np.array("cat")}, ("class_names has the shape ()", "a text for each class")),
        ({"class_names": np.arange(2)}, ("class_names has the shape (2,) and the type int64",)),
        ({"y_train": np.array(["a", {}] * 15, object)}, ("Python objects", "labels as integers")),
    ],
)
def test_arrays_that_hold_something_else_are_refused(tmp_path, more, words):
    np.savez(tmp_path / "a.npz", **{"x_train": IMAGES, "y_train": LABELS, **more})
    refused(tmp_path / "a.npz", "a.npz", *words)
    with pytest.raises(Exception) as error:  # noqa: PT011
        load(tmp_path / "a.npz")
    assert "allow_pickle" not in str(error.value)


def test_class_names_in_bytes(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=IMAGES, y_train=LABELS, class_names=np.array([b"dog", b"cat"]))
    assert load(tmp_path / "a.npz").class_names == ("cat", "dog")


def test_a_header_of_terabytes(tmp_path):
    header, labels = io.BytesIO(), io.BytesIO()
    shape = (1_000_000, 1000, 1000, 3)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    np.save(labels, LABELS)
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as file:
        file.writestr("x_train.npy", header.getvalue() + b"abc")
        file.writestr("y_train.npy", labels.getvalue())
    refused(tmp_path / "huge.npz", "huge.npz")
