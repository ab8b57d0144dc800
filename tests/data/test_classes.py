"""Names of classes: one class for each name, in natural order, never raw."""

import json

import numpy as np
import pytest
from images import class_folders, load, random_pixels, refused, save

pytestmark = pytest.mark.usefixtures("own_cache")


def test_composed_and_decomposed_names_are_one_class(tmp_path):
    class_folders(tmp_path, {"caf\u00e9": 8, "cafe\u0301 ": 8, "tea": 12})
    splits = load(tmp_path)
    assert splits.class_names == ("caf\u00e9", "tea")
    assert sum(map(len, splits)) == 28
    assert [notice for notice in splits.notices if "2 folders whose names look alike" in notice]


def test_a_test_folder_in_the_other_form_is_the_same_class(tmp_path):
    class_folders(tmp_path / "train", {"caf\u00e9": 8, "tea": 8})
    class_folders(tmp_path / "test", {"cafe\u0301": 3, "tea ": 3}, seed=50)
    splits = load(tmp_path)
    assert splits.class_names == ("caf\u00e9", "tea")
    assert len(splits.test) == 6


def test_test_images_alone_are_not_trained_on(tmp_path):
    images, labels = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8), np.arange(12) % 2
    np.savez(tmp_path / "a.npz", x_test=images, y_test=labels)
    words = ("the source has no training images, only test ones", "rename them as training ones")
    refused(tmp_path / "a.npz", *words)
    np.savez(tmp_path / "a.npz", x_train=images, y_train=labels)
    assert len(load(tmp_path / "a.npz").test) == 2


def test_upper_and_lower_case_stay_apart_and_are_said(tmp_path):
    class_folders(tmp_path, {"Cat": 8, "cat": 8})
    splits = load(tmp_path)
    assert splits.class_names == ("Cat", "cat")
    assert "the classes 'Cat' and 'cat' differ only in upper and lower case" in splits.notices


def test_control_characters_never_reach_the_terminal_raw(tmp_path, command):
    class_folders(tmp_path, {"c\x1b[31mat": 8, "d\nog": 8})
    (tmp_path / "d\nog" / "b\x1bad.png").write_bytes(b"no")
    said = command("inspect", tmp_path)
    assert "\x1b" not in said.out + said.err
    assert "c\\x1b[31mat" in said.out
    assert "d\\nog" in said.out


def test_natural_order_of_numbered_classes(tmp_path):
    class_folders(tmp_path, {"c1": 5, "c10": 5, "c2": 5})
    assert load(tmp_path).class_names == ("c1", "c2", "c10")


def test_names_that_no_file_could_hold_are_read_as_text(tmp_path):
    names = ["\ud800", "9" * 5000, "one\u2028two"]
    for i in range(12):
        save(tmp_path / f"{i}.png", random_pixels(i))
    lines = [json.dumps({"file": f"{i}.png", "label": names[i % 3]}) for i in range(12)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    found = load(tmp_path).class_names
    assert [name[-9:] for name in found] == ["999999999", "\\ud800", "\\u2028two"]
