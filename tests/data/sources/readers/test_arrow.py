"""Data sets that the library datasets saved to a folder."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from corpus import write_parquet
from images import load, random_pixels, refused


def test_a_data_set_that_was_saved_to_a_folder(tmp_path):
    """As `datasets.DatasetDict.save_to_disk` writes it: Arrow streams in a folder for each split."""
    for split, count in (("train", 20), ("test", 6)):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        table = pq.read_table(
            write_parquet(tmp_path / "p.parquet", count, [0, 1] * (count // 2), ["ape", "bee"], count)
        )
        for name in ("data-00000-of-00001.arrow", "cache-1234.arrow"):
            with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table, max_chunksize=5)
        (folder / "dataset_info.json").write_text("{}")
        (folder / "state.json").write_text("{}")
    splits = load(tmp_path / "saved")
    assert splits.class_names == ("ape", "bee")
    assert sum(map(len, splits)) == 26
    assert splits.test.labels.tolist() == [0, 1] * 3
    np.testing.assert_array_equal(splits.test.images(slice(None)), [random_pixels(6 + i) for i in range(6)])
    (tmp_path / "saved" / "test" / "data-00000-of-00001.arrow").write_bytes(b"no stream")
    refused(tmp_path / "saved", "data-00000-of-00001.arrow: cannot be read as an Arrow stream")
