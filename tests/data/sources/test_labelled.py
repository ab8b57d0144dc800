"""Labels in a file: every row and every picture is accounted for, and what is not clear is refused."""

import json
from pathlib import Path

import pandas as pd
import pytest
from corpus import animal, flat, image_folder, pets, write_table
from images import all_paths, classes_of, load, packed, random_pixels, save
from small import SMALL

from tenfold.core.errors import InputError
from tenfold.data import Source, Splits, read_splits
from tenfold.data.source import Moved
from tenfold.recipe import Data
from tenfold.workbench.request import make_source


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("TENFOLD_CACHE", str(folder))
    return folder


def labelled(data: Path, labels: Path | None = None, **options) -> Splits:
    return read_splits(Data(**options), Source(str(data), labels=None if labels is None else str(labels)))


def refusal(data: Path, labels: Path | None = None, **options) -> str:
    with pytest.raises(InputError) as error:
        labelled(data, labels, **options)
    return str(error.value)


def table(path: Path, **columns) -> Path:
    """A table of 24 pictures: their files and labels, and further columns."""
    base = {"file": [f"{i}.png" for i in range(24)], "label": [animal(i) for i in range(24)]}
    return write_table(path, {**base, **columns})


def check_labels(splits: Splits) -> None:
    """Every image of `flat` has the label that the tables give it."""
    for split in splits:
        for path, label in zip(split.paths, split.labels, strict=True):
            assert splits.class_names[label] == animal(int(Path(path).stem)), path


# Forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside", "elsewhere"])
def test_every_form_of_table(tmp_path, name, beside):
    flat(tmp_path / "pictures")
    labels = table((tmp_path / "pictures" if beside else tmp_path) / name)
    splits = labelled(tmp_path / "pictures", labels)
    assert sum(map(len, splits)) == 24
    assert splits.class_names == ("cat", "dog")
    check_labels(splits)
    assert splits.layout.startswith(
        f"2 classes ('cat', 'dog') in pictures by {name} (column 'label'): 24 images"
    )
    assert not splits.notices
    left = {(entry.ending, entry.reason) for entry in splits.reading.left_out}
    assert left == ({(labels.suffix, "the table of labels")} if beside else set())


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet"])
def test_the_table_alone_is_a_source(tmp_path, name):
    flat(tmp_path / "pictures")
    splits = labelled(table(tmp_path / "pictures" / name))
    assert sum(map(len, splits)) == 24
    check_labels(splits)


def test_a_list_without_a_header_and_a_path_with_blanks(tmp_path):
    save(tmp_path / "images" / "a b.png", random_pixels(1))
    flat(tmp_path / "images")
    rows = [f"images/{i}.png {animal(i)}" for i in range(24)]
    (tmp_path / "train.txt").write_text("\n".join([*rows, "images/a b.png cat", ""]))
    splits = labelled(tmp_path, tmp_path / "train.txt")
    assert sum(map(len, splits)) == 25
    assert "images/a b.png" in all_paths(splits)
    (tmp_path / "plain.csv").write_text("".join(f"{i}.png;{animal(i)}\n" for i in range(24)))
    check_labels(labelled(tmp_path, tmp_path / "plain.csv"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_excels_encodings_and_semicolons(tmp_path, encoding):
    flat(tmp_path)
    rows = "".join(f'{i}.png;"{animal(i)}; é"\r\n' for i in range(24))
    (tmp_path / "labels.csv").write_text(f"Filename;Class\r\n{rows}", encoding=encoding, newline="")
    assert labelled(tmp_path, tmp_path / "labels.csv").class_names == ("cat; é", "dog; é")


def test_numbers_and_truth_values_are_class_names(tmp_path):
    flat(tmp_path)
    labels = write_table(
        tmp_path / "a.parquet",
        {"file": [f"{i}.png" for i in range(24)], "y": [float(i % 3) for i in range(24)]},
    )
    assert labelled(tmp_path, labels).class_names == ("0", "1", "2")


# Paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "images/{}.png",
        "./images/{}.png",
        "images\\{}.png",
        "{}.png",
        "{}",
        "/home/ann/photos/images/{}.png",
        "images/{}",
    ],
)
def test_paths_as_people_write_them(tmp_path, written):
    flat(tmp_path / "images")
    columns = {"id": [written.format(i) for i in range(24)], "breed": [animal(i) for i in range(24)]}
    splits = labelled(tmp_path, write_table(tmp_path / "labels.csv", columns))
    assert sum(map(len, splits)) == 24
    check_labels(splits)


def test_whole_paths_of_this_machine(tmp_path):
    flat(tmp_path / "images")
    labels = table(tmp_path / "l.csv", file=[str(tmp_path / "images" / f"{i}.png") for i in range(24)])
    check_labels(labelled(tmp_path / "images", labels))


def test_a_path_that_could_be_two_pictures_is_refused(tmp_path):
    flat(tmp_path / "train")
    flat(tmp_path / "test", 3)
    said = refusal(tmp_path, table(tmp_path / "train.csv"))
    assert "0.png could be 'test/0.png', 'train/0.png'. Write paths from the source's folder" in said
    check_labels(labelled(tmp_path / "train", tmp_path / "train.csv"))


def test_a_table_of_a_train_folder_leaves_the_unlabelled_ones_out(tmp_path):
    flat(tmp_path / "train")
    flat(tmp_path / "test", 3, 100)
    splits = labelled(tmp_path, table(tmp_path / "train.csv"))
    assert sum(map(len, splits)) == 24
    assert [(entry.files, entry.reason) for entry in splits.reading.left_out if entry.ending == ".png"] == [
        (3, "no row of train.csv names it")
    ]


def test_archives(tmp_path):
    flat(tmp_path / "pictures")
    archive = packed(tmp_path / "pictures", tmp_path / "pictures.zip", "top/")
    check_labels(labelled(archive, table(tmp_path / "labels.csv")))


# The account -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_every_row_and_picture_is_accounted_for(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flat(tmp_path / "pictures", 28)
    names = [*(f"{i}.png" for i in range(25)), "gone.png", "lost.png", "1.png", "2.png"]
    classes = [*(animal(i) for i in range(24)), None, "cat", "dog", "dog", "dog"]
    write_table(tmp_path / "labels.csv", {"file": names, "label": classes})
    splits = labelled(tmp_path / "pictures", tmp_path / "labels.csv")
    assert sum(map(len, splits)) == 23
    assert {(entry.reason, entry.files, entry.example) for entry in splits.reading.left_out} == {
        ("no row of labels.csv names it", 3, "25.png"),
        ("rows of labels.csv give it different labels", 1, "2.png"),
        ("without a label in labels.csv", 1, "24.png"),
    }
    notices = (
        "2 rows of labels.csv (29 in all) name no picture that is there, for instance gone.png",
        "1 picture has rows that say different things and is left out, for instance 2.png",
        "rows that only repeat another one of the labels: 1",
    )
    assert splits.notices == notices
    said = command("train", "digits", "--data", "pictures", "--labels", "labels.csv", *SMALL, "--name", "run")
    assert said.status == 0, said.err
    text = " ".join((said.out + said.err).split())
    assert all(notice in text for notice in notices)
    assert "5 files that gave no image" in text
    kept = json.loads((tmp_path / "runs" / "run" / "data.json").read_text())
    assert kept["notices"] == list(notices)
    assert kept["source"]["labels"] == "labels.csv"
    assert {entry["reason"]: entry["files"] for entry in kept["left_out"]} == {
        "no row of labels.csv names it": 3,
        "rows of labels.csv give it different labels": 1,
        "without a label in labels.csv": 1,
    }


def test_no_row_that_names_a_picture_is_refused(tmp_path):
    flat(tmp_path, 4)
    labels = write_table(tmp_path / "l.csv", {"file": ["x.png", "y.png"], "label": ["a", "b"]})
    said = refusal(tmp_path, labels)
    assert "no path of its column 'file' is there" in said
    assert "the first is x.png; one of the pictures is 0.png" in said
    empty = write_table(tmp_path / "e.csv", {"file": ["0.png"], "label": [None]})
    assert "no row has a label" in refusal(tmp_path, empty)


# Columns -----------------------------------------------------------------------------------------------------


def test_columns_that_are_not_clear_are_refused_with_the_option_that_decides(tmp_path):
    flat(tmp_path)
    two = table(tmp_path / "two.csv", category=[("x", "y")[i // 12] for i in range(24)])
    said = refusal(tmp_path, two)
    assert "several columns could hold the label ('label', 'category')" in said
    assert "data.label_column=label (or another)" in said
    assert labelled(tmp_path, two, label_column="category").class_names == ("x", "y")
    none = write_table(tmp_path / "none.csv", {"file": ["0.png"], "size": [1], "colour": ["red"]})
    assert "its columns are 'file', 'size', 'colour'. Say it with data.label_column=NAME" in refusal(
        tmp_path, none
    )
    assert "data.label_column=lable: there is no such column (did you mean 'label'?)" in refusal(
        tmp_path, two, label_column="lable"
    )
    paths = write_table(tmp_path / "p.csv", {"a": ["x"], "b": ["y"], "label": ["z"]})
    assert "which column names the images' files is not clear" in refusal(tmp_path, paths)


def test_a_path_column_is_told_by_what_it_holds_where_its_name_says_nothing(tmp_path):
    flat(tmp_path)
    columns = {"foto": [f"{i}.png" for i in range(24)], "soort": [animal(i) for i in range(24)]}
    check_labels(labelled(tmp_path, write_table(tmp_path / "l.csv", columns)))


def test_a_split_column(tmp_path):
    flat(tmp_path)
    splits = labelled(
        tmp_path, table(tmp_path / "l.csv", split=[("train", "val", "test")[i // 2 % 3] for i in range(24)])
    )
    assert {name: len(found) for name, found in classes_of(splits).items()} == {
        "train": 8,
        "validation": 8,
        "test": 8,
    }
    assert {int(Path(path).stem) // 2 % 3 for path in splits.test.paths} == {2}
    check_labels(splits)
    strange = table(tmp_path / "s.csv", split=[("train", "holdout")[i % 2] for i in range(24)])
    said = refusal(tmp_path, strange)
    assert "the column 'split' says 'holdout'; expected train, validation or test" in said
    assert len(labelled(tmp_path, strange, split_column="").test) == 2
    half = table(tmp_path / "h.csv", split=["train" if i % 2 else None for i in range(24)])
    assert "the column 'split' is empty for 12 pictures" in refusal(tmp_path, half)


def test_a_group_column_keeps_groups_together(tmp_path):
    flat(tmp_path)
    labels = table(tmp_path / "l.csv", patient_id=[f"p{i // 4}" for i in range(24)])
    for splits in (labelled(tmp_path, labels), labelled(tmp_path, labels, group="patient_id")):
        held = [{int(Path(path).stem) // 4 for path in split.paths} for split in splits]
        assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]
        assert splits.together == "groups"
    assert "group 'patient_id'" in labelled(tmp_path, labels).layout
    assert labelled(tmp_path, labels, group="").together == "copies"
    assert Data(group="patient_id") == Data(group_column="patient_id")
    assert "there is no such column (did you mean 'patient_id'?)" in refusal(
        tmp_path, labels, group="patientid"
    )


# Found by itself ---------------------------------------------------------------------------------------------


def test_an_image_folder_with_metadata_in_each_split(tmp_path):
    splits = labelled(image_folder(tmp_path))
    assert splits.class_names == ("cat", "dog")
    assert [len(split) for split in splits] == [18, 2, 8]
    check_labels(splits)
    assert "by metadata.csv (column 'label') (train): 20 images" in splits.layout


def test_one_metadata_file_for_all_splits(tmp_path):
    flat(tmp_path / "train", 20)
    flat(tmp_path / "test", 8, 100)
    numbers = [*range(20), *range(100, 108)]
    names = [f"{'test' if i >= 100 else 'train'}/{i}.png" for i in numbers]
    write_table(tmp_path / "metadata.jsonl", {"file_name": names, "label": [animal(i) for i in numbers]})
    splits = labelled(tmp_path)
    assert [len(split) for split in splits] == [18, 2, 8]
    check_labels(splits)


def test_metadata_without_labels_leave_the_folders_as_the_classes(tmp_path):
    pets(tmp_path)
    write_table(
        tmp_path / "metadata.csv", {"file_name": ["cat/0.png"], "text": ["a cat"], "licence": ["mine"]}
    )
    assert labelled(tmp_path).class_names == ("cat", "dog")


def test_metadata_that_contradict_class_folders_are_refused(tmp_path):
    pets(tmp_path)
    names = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(12)]
    write_table(
        tmp_path / "metadata.csv",
        {"file_name": names, "label": ["tame" if "1" in n else "wild" for n in names]},
    )
    said = refusal(tmp_path)
    assert "it says 'wild' of cat/0.png, which lies in the folder of 'cat'" in said
    assert f"--labels {tmp_path / 'metadata.csv'}" in said
    assert labelled(tmp_path, tmp_path / "metadata.csv").class_names == ("tame", "wild")


def test_a_table_beside_unlabelled_pictures_is_named_with_the_option(tmp_path):
    flat(tmp_path)
    table(tmp_path / "classes.csv")
    assert (
        f"classes.csv may hold the labels: --data {tmp_path} --labels {tmp_path / 'classes.csv'}"
        in refusal(tmp_path)
    )


def test_a_table_beside_the_one_folder_of_all_pictures_is_named_with_the_option(tmp_path):
    flat(tmp_path / "images")
    table(tmp_path / "labels.csv")
    said = refusal(tmp_path)
    assert "all images are of one class by their folder, 'images'" in said
    assert f"--data {tmp_path} --labels {tmp_path / 'labels.csv'}" in said
    assert labelled(tmp_path, tmp_path / "labels.csv").class_names == ("cat", "dog")


def test_tables_beside_each_split_are_told_apart_from_one_of_all(tmp_path):
    for split, first in (("train", 0), ("test", 100)):
        flat(tmp_path / split, 20, first)
        names = {"file_name": [f"{i}.png" for i in range(first, first + 20)]}
        kinds = [animal(i) for i in range(20)]
        write_table(tmp_path / split / "labels.csv", names | {"label": kinds})
    assert "test/labels.csv and 1 other table may hold the labels: make one table" in refusal(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "labels.csv").rename(tmp_path / split / "metadata.csv")
    assert len(load(tmp_path).test) == 20, "the remedy works"


def test_metadata_whose_labels_have_another_name_take_the_option(tmp_path):
    flat(tmp_path)
    names = {"file_name": [f"{i}.png" for i in range(24)]}
    write_table(tmp_path / "metadata.csv", names | {"diagnosis": [animal(i) for i in range(24)]})
    assert "metadata.csv has no column that is called as labels are; data.label_column=NAME" in refusal(
        tmp_path
    )
    assert load(tmp_path, label_column="diagnosis").class_names == ("cat", "dog")


# Damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("a.csv", b"", "it has no rows"),
        ("a.csv", b"file,label\n", "it has no rows"),
        ("a.csv", b"file,label\n0.png,cat,extra\n", "line 2 has 3 values, but the first one 2"),
        ("a.csv", b'file,label\n0.png,"cat\n', "line 2 cannot be read"),
        ("a.csv", b"file,file\n0.png,1.png\n", "several columns are called 'file'"),
        ("a.csv", b"file,label\n0.png,\xff\xfe\n", "it is no UTF-8 text"),
        ("a.jsonl", b'{"file": "0.png"\n', "line 1 is no JSON"),
        ("a.jsonl", b"[1, 2]\n", "line 1 is no JSON object"),
        ("a.parquet", b"PAR1 nothing", "cannot be read as Parquet"),
        ("a.txt", b"0.png\n", "line 1 (0.png) is no path and a label"),
    ],
)
def test_damaged_tables(tmp_path, name, contents, words):
    flat(tmp_path / "p", 4)
    (tmp_path / name).write_bytes(contents)
    said = refusal(tmp_path / "p", tmp_path / name)
    assert words in said
    assert str(tmp_path / name) in said


def test_words_that_do_not_go_together(tmp_path):
    flat(tmp_path / "p", 4)
    labels = table(tmp_path / "l.csv")
    assert "there is no such file" in refusal(tmp_path / "p", tmp_path / "gone.csv")
    assert "no table of labels" in refusal(tmp_path / "p", tmp_path / "p" / "0.png")
    assert "has labels of its own" in refusal(Path("digits"), labels)
    with pytest.raises(InputError, match=r"goes with --data FOLDER"):
        read_splits(Data(), Source(train=(str(tmp_path / "p"),), labels=str(labels)))


# Python ------------------------------------------------------------------------------------------------------


def test_data_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flat(tmp_path / "pictures")
    frame = pd.DataFrame(
        {"path": [f"pictures/{i}.png" for i in range(24)], "label": [animal(i) for i in range(24)]}
    )
    alone = read_splits(Data(), make_source(data=frame))
    check_labels(alone)
    beside = read_splits(Data(), make_source(data="pictures", labels=frame))
    check_labels(beside)
    with pytest.raises(InputError, match="begins with a file that is there"):
        make_source(data=pd.DataFrame({"a": ["nothing.png"]}))
    with pytest.raises(InputError, match="both are tables of labels"):
        make_source(data=frame, labels=frame)
    with pytest.raises(InputError, match="labels: expected a path or a DataFrame, got int"):
        make_source(data="pictures", labels=3)


# Changes and places ------------------------------------------------------------------------------------------


def test_a_changed_label_is_seen_at_once(tmp_path):
    flat(tmp_path / "p")
    labels = table(tmp_path / "l.csv")
    before = labelled(tmp_path / "p", labels)
    table(labels, label=[("cat", "cow")[i % 2] for i in range(24)])
    assert labelled(tmp_path / "p", labels).class_names == ("cat", "cow")
    assert before.class_names == ("cat", "dog")


def test_the_table_moves_with_its_folder(tmp_path):
    flat(tmp_path / "p")
    inside = Source(str(tmp_path / "p"), labels=str(table(tmp_path / "p" / "l.csv")))
    (tmp_path / "p").rename(tmp_path / "q")
    moved = inside.moved(Moved(str(tmp_path / "q")))
    assert moved.labels == str(tmp_path / "q" / "l.csv")
    check_labels(read_splits(Data(), moved))
    outside = Source(str(tmp_path / "p"), labels=str(table(tmp_path / "l.csv"))).moved(
        Moved(str(tmp_path / "q"))
    )
    assert outside.labels == str(tmp_path / "l.csv")
