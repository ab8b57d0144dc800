"""Food-101's lists: its own splits, in a folder and in an archive; pictures that no list names are counted."""

from pathlib import Path

from images import load, packed, paths_of, random_pixels, refused, save

CLASSES = ("apple_pie", "ramen")


def food(root: Path) -> Path:
    """Two classes with 8 training and 4 test pictures each."""
    for number, name in enumerate(CLASSES):
        for i in range(12):
            save(root / "images" / name / f"{100 * number + i}.png", random_pixels(100 * number + i))
    listed = {"train": range(8), "test": range(8, 12)}
    (root / "meta").mkdir()
    for split, numbers in listed.items():
        lines = [f"{name}/{100 * k + i}" for k, name in enumerate(CLASSES) for i in numbers]
        (root / "meta" / f"{split}.txt").write_text("\n".join(lines) + "\n")
    (root / "meta" / "classes.txt").write_text("\n".join(CLASSES))
    return root


def test_its_splits_are_those_of_its_lists(tmp_path):
    save(food(tmp_path / "food") / "images" / "ramen" / "999.png", random_pixels(999))
    for source in (tmp_path / "food", packed(tmp_path / "food", tmp_path / "food.tar.gz", "food-101/")):
        splits = load(source, validation_fraction=0.25)
        assert splits.class_names == CLASSES
        assert [len(split) for split in splits] == [12, 4, 8]
        assert {Path(path).stem for path in paths_of(splits)["test"]} == {
            str(100 * k + i) for k in range(2) for i in range(8, 12)
        }
        left_out = [(entry.ending, entry.reason) for entry in splits.reading.left_out]
        assert (".png", "no row of meta/train.txt and meta/test.txt names it") in [
            (ending, reason.replace("food-101/", "")) for ending, reason in left_out
        ]


def test_lists_that_are_not_clear_are_refused(tmp_path):
    root = food(tmp_path)
    lists = root / "meta" / "train.txt"
    whole = lists.read_text()
    lists.write_text(f"{whole}pizza/1\n")
    refused(root, "train.txt: line 17 (pizza/1): expected CLASS/NAME with one of the 2 classes")
    lists.write_bytes(b"\xff\xfe\xff")
    refused(root, "train.txt: it is no UTF-8 text")
    lists.write_text("# nothing\n")
    refused(root, "train.txt: it names no picture")
