"""The lists of Oxford-IIIT Pet: breeds from names, checked against the breeds' numbers."""

from pathlib import Path

from images import load, paths_of, random_pixels, refused, save

BREEDS = ("Abyssinian", "great_pyrenees")


def pets(root: Path) -> Path:
    """Two breeds with 8 pictures for training and 4 for testing, and masks of the same names beside."""
    rows: dict[str, list[str]] = {"trainval": [], "test": []}
    for number, breed in enumerate(BREEDS, 1):
        for i in range(12):
            save(root / "images" / f"{breed}_{i}.png", random_pixels(100 * number + i))
            save(root / "annotations" / "trimaps" / f"{breed}_{i}.png", random_pixels(1))
            rows["trainval" if i < 8 else "test"].append(f"{breed}_{i} {number} {number} 1")
    for name, lines in rows.items():
        (root / "annotations" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_breeds_and_splits(tmp_path):
    splits = load(pets(tmp_path), validation_fraction=0.25)
    assert splits.class_names == BREEDS
    assert [len(split) for split in splits] == [12, 4, 8]
    assert all(path.startswith("images/") for path in paths_of(splits)["test"])
    assert splits.test.labels.tolist() == [0] * 4 + [1] * 4


def test_numbers_that_say_another_breed_are_refused(tmp_path):
    lists = pets(tmp_path) / "annotations" / "test.txt"
    whole = lists.read_text()
    lists.write_text(whole.replace("Abyssinian_8 1", "Abyssinian_8 2"))
    refused(tmp_path, "expected BREED_NUMBER and the breed's number, which is 2 only for 'great_pyrenees'")
    lists.write_text(whole.replace("Abyssinian_8 1 1 1", "Abyssinian_8 1"))
    refused(tmp_path, "has 2 values, expected 4")
    lists.write_text(whole)
    for path in lists.parent.glob("*.txt"):
        path.write_text(path.read_text().replace("great_pyrenees_8 2", "Abyssinian_20 3"))
    refused(tmp_path, "two breeds have one name")
