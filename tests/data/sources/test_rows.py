import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from corpus import write_parquet
from images import class_folders, load, random_pixels, refused, save


def test_parquet_shards_with_class_names(tmp_path):
    (tmp_path / "data").mkdir()
    names = ["zebra", "ape"]
    for shard in range(2):
        path = tmp_path / "data" / f"train-{shard:05}-of-00002.parquet"
        write_parquet(path, 20, [0, 1] * 10, names, seed=100 * shard)
    write_parquet(tmp_path / "data" / "test-00000-of-00001.parquet", 4, [0, 0, 1, 1], names, seed=500)
    (tmp_path / "README.md").write_text("# A data set")
    splits = load(tmp_path)
    assert splits.class_names == ("ape", "zebra")
    assert splits.test.labels.tolist() == [1, 1, 0, 0]
    assert splits.test.paths[0] == "data/test-00000-of-00001.parquet#0"
    np.testing.assert_array_equal(splits.test.images(slice(None)), [random_pixels(500 + i) for i in range(4)])
    assert len(splits.train) + len(splits.validation) == 40


def test_one_parquet_file_with_text_labels(tmp_path):
    splits = load(write_parquet(tmp_path / "all.parquet", 30, ["x", "y", "y"] * 10))
    assert splits.class_names == ("x", "y")
    assert sum(map(len, splits)) == 30


def test_folders_of_parquet_files(tmp_path):
    for name in ("train", "validation"):
        (tmp_path / name).mkdir()
        write_parquet(tmp_path / name / "0000.parquet", 20, ["x", "y"] * 10, seed=len(name))
    assert len(load(tmp_path).validation) == 20


def test_a_parquet_row_without_a_picture_is_a_bad_file(tmp_path):
    table = pq.read_table(write_parquet(tmp_path / "all.parquet", 30, ["x", "y", "y"] * 10))
    pictures = table.column("image").to_pylist()
    pictures[7]["bytes"] = None
    pq.write_table(table.set_column(0, "image", pa.array(pictures)), tmp_path / "all.parquet")
    splits = load(tmp_path / "all.parquet", bad_files_limit=0.1)
    assert [bad.path for bad in splits.bad_files] == ["all.parquet#7"]
    assert sum(map(len, splits)) == 29


def test_bad_parquet_files(tmp_path):
    path = tmp_path / "all.parquet"
    pq.write_table(pa.table({"x": [1.5, 2], "label": [0, 1]}), path)
    refused(path, "all.parquet", "no image column", "x, label")
    pq.write_table(pa.table({"image": [{"bytes": b"", "path": ""}], "width": [2.5]}), path)
    refused(path, "no label column", "image, width")
    write_parquet(path, 3, [0, -1, 1], ["a", "b"])
    refused(path, "1 of 3 images have no label")
    write_parquet(path, 3, [0, 2, 1], ["a", "b"])
    refused(path, "reaches up to 2", "only 2 classes")
    path.write_bytes(b"PAR1 no")
    refused(path, "cannot be read as Parquet")


def test_labels_that_are_no_text(tmp_path):
    labels = pa.array([b"cat", b"\xff\xfe"]).view(pa.string())
    pictures = [{"bytes": b"", "path": ""}] * 2
    pq.write_table(pa.table({"image": pictures, "label": labels}), tmp_path / "all.parquet")
    refused(tmp_path / "all.parquet", "cannot be read as Parquet", "invalid start byte")


def test_a_parquet_file_that_is_garbled_in_the_middle(tmp_path):
    path = write_parquet(tmp_path / "all.parquet", 40, ["x", "y"] * 20)
    contents = bytearray(path.read_bytes())
    middle = len(contents) // 2
    contents[middle - 200 : middle + 200] = b"?" * 400
    path.write_bytes(contents)
    refused(path, "all.parquet")


def test_a_table_of_metadata_beside_pictures_is_passed_over(tmp_path):
    class_folders(tmp_path, {"a": 3, "b": 3})
    pq.write_table(pa.table({"file": ["a/0.png"], "author": ["x"]}), tmp_path / "metadata.parquet")
    np.savez(tmp_path / "features.npz", x=np.zeros(3))
    assert sum(map(len, load(tmp_path))) == 6


def test_a_picture_beside_parquet_files_is_decoration(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", 20, ["x", "y"] * 10)
    save(tmp_path / "assets" / "banner.png", random_pixels(1))
    assert sum(map(len, load(tmp_path))) == 20


def test_parquet_files_of_which_some_have_no_split(tmp_path):
    write_parquet(tmp_path / "train-0.parquet", 3, ["x", "y", "y"])
    write_parquet(tmp_path / "more.parquet", 3, ["x", "y", "y"])
    refused(tmp_path, "more.parquet does not say its split")


def test_text_is_never_opened_as_a_path(tmp_path):
    secret = save(tmp_path / "secret.png", random_pixels(1))
    kind = pa.struct([("bytes", pa.string()), ("path", pa.string())])
    rows = pa.array([{"bytes": str(secret), "path": ""}] * 6, kind)
    table = pa.table({"image": rows, "label": [0, 1] * 3})
    (tmp_path / "set").mkdir()
    pq.write_table(table, tmp_path / "set" / "train.parquet")
    refused(tmp_path / "set", "no image column")
