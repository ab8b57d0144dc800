"""The photographs of `make demo`: no pixel in two splits, the same files each time, and pictures kept apart."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage", reason="needs scikit-image, whose pictures the demo learns")
PATH = Path(__file__).parents[2] / "examples" / "photographs.py"
spec = importlib.util.spec_from_file_location("photographs_of_the_demo", PATH)
assert spec is not None
assert spec.loader is not None
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return demo.write_photographs(tmp_path_factory.mktemp("demo"))


def test_each_split_has_every_class_and_fields_of_its_own(written):
    fields: dict[str, dict[str, set[str]]] = {}
    for path in (written / "data").rglob("*.jpg"):
        split, name = path.parts[-3:-1]
        fields.setdefault(name, {}).setdefault(split, set()).add(path.name.partition("-")[0])
    assert sorted(fields) == sorted(demo.PICTURES)
    for found in fields.values():
        assert {split: len(own) for split, own in found.items()} == {"train": 8, "validation": 3, "test": 4}
        assert len(set.union(*found.values())) == 15  # so none is in two splits, and one is in none
    assert {path.stem for path in (written / "new").iterdir()} == {*demo.NEW, "portrait"}


def test_a_tile_stays_within_its_field():
    random, part, size = np.random.default_rng(0), (0.1, 0.2, 0.9, 1.0), (300, 200)
    for field in range(demo.GRID**2):
        left, top, right, bottom = demo.tile(size, part, field, random)
        across, down = field % demo.GRID, field // demo.GRID
        assert 30 + 60 * across <= left < right <= 30 + 60 * (across + 1) + 1e-9
        assert 40 + 40 * down <= top < bottom <= 40 + 40 * (down + 1) + 1e-9
        assert right - left == pytest.approx(bottom - top)


def test_the_same_seed_gives_the_same_files(written, tmp_path):
    demo.write_photographs(tmp_path)
    for path in written.rglob("*.jpg"):
        assert path.read_bytes() == (tmp_path / path.relative_to(written)).read_bytes()


def test_a_package_that_is_missing_is_named():
    with pytest.raises(SystemExit, match=r"no_such_package, which brings x\.png along, is not installed"):
        demo.opened(("no_such_package", "data"), "x.png")
