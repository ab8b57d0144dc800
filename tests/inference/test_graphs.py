"""Exported extractors in the cache: the same for the same weights, and never a damaged one."""

import os

import pytest
import torch
from small import flip_byte
from torch import nn

from tenfold.inference import graphs
from tenfold.inference.graphs import Graph, cached_graphs, remove_cached_graphs, weights_hash

pytestmark = pytest.mark.usefixtures("own_cache")


def module(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()


def test_the_hash_is_of_weights_and_averages_and_not_of_how_many_batches_there_were():
    one, same, other = module(), module(), module(1)
    same[1].num_batches_tracked += 3
    assert weights_hash(one) == weights_hash(same) != weights_hash(other)
    same[1].running_mean += 1
    assert weights_hash(one) != weights_hash(same)


def test_what_decides_a_model_names_its_file():
    paths = [
        Graph(module(), (1, 1, 8, 8), {"a": 1}).path,
        Graph(module(1), (1, 1, 8, 8), {"a": 1}).path,
        Graph(module(), (1, 1, 9, 8), {"a": 1}).path,
        Graph(module(), (1, 1, 8, 8), {"a": 2}).path,
    ]
    assert len(set(paths)) == 4
    assert Graph(module(), (1, 1, 8, 8), {"a": 1}).path == paths[0]


def test_those_used_last_are_kept_a_damaged_one_is_none_and_all_can_be_removed(own_cache, monkeypatch):
    monkeypatch.setattr(graphs, "KEPT", 2)
    (own_cache / "graphs").mkdir()
    for age, name in enumerate(("new", "old", "older")):
        path = own_cache / "graphs" / f"{name}.onnx"
        path.write_bytes(bytes(10))
        os.utime(path, (1e9 - age, 1e9 - age))
    assert cached_graphs() == [("new.onnx", 10), ("old.onnx", 10), ("older.onnx", 10)]
    graph = Graph(module(), (1, 1, 8, 8), {})
    assert graph.kept() is None
    assert graph.export() == graph.kept()
    assert [name for name, _ in cached_graphs()] == [graph.path.name, "new.onnx"]
    flip_byte(graph.path, -5)
    assert graph.kept() is None
    size = graph.path.stat().st_size
    assert remove_cached_graphs() == size + 10
    assert cached_graphs() == []
