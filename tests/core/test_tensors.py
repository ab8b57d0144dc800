"""Files of tensors with a header: equal when read back, and damaged ones are told before they are used."""

import json

import pytest
import torch
from safetensors.torch import save_file
from small import flip_byte

from tenfold.core.tensors import VERSION, WITHIN, read_header, read_tensors, write_tensors

TENSORS = {
    "weight": torch.arange(12.0).reshape(3, 4).t(),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "none": torch.zeros(0, 4),
}


def test_tensors_and_header_come_back_equal(tmp_path):
    write_tensors(tmp_path / "a.safetensors", TENSORS, {"names": ["größe"], "rate": 0.1})
    tensors, header = read_tensors(tmp_path / "a.safetensors")
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype
    assert (header["version"], header["names"], header["rate"]) == (VERSION, ["größe"], 0.1)
    assert read_header(tmp_path / "a.safetensors") == header
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_what_learns_is_written_without_its_gradient(tmp_path):
    write_tensors(tmp_path / "a", {"w": torch.ones(2, requires_grad=True)}, {}, WITHIN)
    tensors, header = read_tensors(tmp_path / "a")
    assert not tensors["w"].requires_grad
    assert header["version"] == WITHIN


def test_a_changed_byte_of_a_tensor_is_told(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, TENSORS, {})
    flip_byte(path, -3)
    assert read_header(path)["version"] == VERSION
    with pytest.raises(ValueError, match="its tensors have changed since they were written"):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"{}"])
def test_what_is_no_such_file_is_damaged(content, tmp_path):
    (tmp_path / "a").write_bytes(content)
    for read in (read_header, read_tensors):
        with pytest.raises(ValueError, match="is damaged"):
            read(tmp_path / "a")


def test_a_file_cut_short_is_damaged(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="is damaged"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "was not written by tenfold"),
        ({"other": "x"}, "was not written by tenfold"),
        ({"tenfold": "{"}, "has a damaged header"),
        ({"tenfold": "[]"}, "has a damaged header"),
        ({"tenfold": "{}"}, "has a damaged header"),
        ({"tenfold": json.dumps({"version": 99})}, "format 99, this tenfold reads.*install a newer tenfold"),
        ({"tenfold": json.dumps({"version": 0})}, "format 0, this tenfold reads formats 1 to 2$"),
        ({"tenfold": json.dumps({"version": "x"})}, "format x, this tenfold reads formats 1 to 2$"),
    ],
)
def test_headers_that_are_not_tenfolds_are_told(metadata, words, tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "a", metadata)
    with pytest.raises(ValueError, match=words):
        read_header(tmp_path / "a")


def test_a_file_of_version_0_1_has_no_hash_and_is_read(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "a", {"tenfold": json.dumps({"version": 1})})
    assert read_tensors(tmp_path / "a")[0]["w"].tolist() == [1, 1]
