"""PASCAL VOC's lists: one present class an image, or refused with an example."""

from pathlib import Path

from images import load, paths_of, random_pixels, refused, save

MARKS = {"cat": ("1", "-1", "-1"), "dog": ("-1", "1", "-1")}  # of the images that are 0, 1, 2 by three


def voc(root: Path) -> Path:
    """Cats, dogs and pictures of neither in turn: 18 for training, 9 for validation."""
    lists: dict[str, list[str]] = {}
    for i in range(27):
        save(root / "JPEGImages" / f"2007_{i:06}.png", random_pixels(i))
        save(root / "SegmentationClass" / f"2007_{i:06}.png", random_pixels(1))
        for label, marks in MARKS.items():
            for split in (("train" if i < 18 else "val"), "trainval"):
                lists.setdefault(f"{label}_{split}", []).append(f"2007_{i:06} {marks[i % 3]:>2}")
    main = root / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for name, lines in lists.items():
        (main / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (main / "train.txt").write_text("2007_000000\n")
    return root


def test_images_of_one_class_are_read(tmp_path):
    splits = load(voc(tmp_path / "VOC2007"), test_fraction=0.25)
    assert splits.class_names == ("cat", "dog")
    assert [len(split) for split in splits] == [8, 6, 4]
    assert {int(path[-10:-4]) % 3 for path in paths_of(splits)["validation"]} == {0, 1}
    neither = [entry for entry in splits.reading.left_out if entry.reason.startswith("without a label")]
    assert [(entry.ending, entry.files) for entry in neither] == [(".png", 9)]


def test_images_of_several_classes_are_refused(tmp_path):
    path = voc(tmp_path) / "ImageSets" / "Main" / "dog_train.txt"
    whole = path.read_text()
    for mark in ("1", "0"):
        path.write_text(whole.replace("2007_000000 -1", f"2007_000000 {mark}"))
        refused(
            tmp_path,
            "1 of 27 images show several classes, for instance 2007_000000: 'cat', 'dog'",
            "--labels",
        )
    path.write_text(whole.replace("2007_000000 -1", "2007_000000 2"))
    refused(tmp_path, "expected an image of the train split only, and -1, 0 or 1")
