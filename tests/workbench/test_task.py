"""What a plan is made for: a source's images, and which ways the overrides leave open."""

import pytest

from tenfold.data import Source
from tenfold.recipe import load_recipe
from tenfold.workbench import task
from tenfold.workbench.task import SMALL, read_task, takes


def note(done: int, total: int) -> None:
    """A note of progress that nobody reads."""


@pytest.fixture
def with_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(task, "local_weights", lambda backbone: tmp_path)


@pytest.mark.parametrize(
    ("overrides", "scratch", "features"),
    [
        ([], True, True),
        (["fit.epochs=3"], True, True),
        (["model.widths=[4]"], True, False),
        (["model.backbone=test_vit"], False, True),
        (["nonsense=1"], False, False),
    ],
)
def test_overrides_suit_a_network_a_backbone_both_or_none(overrides, scratch, features):
    assert takes(load_recipe("fast-90"), overrides) is scratch
    assert takes(load_recipe("backbone"), overrides) is features


@pytest.mark.usefixtures("with_weights")
def test_small_images_are_planned_for_both_ways():
    found = read_task(Source("digits"), 3, note, ["data.test_fraction=0.2"])
    assert found.splits.image_shape == (1, 8, 8)
    assert found.sizing == {"data.image_size": 32}
    assert found.changes == {"data.image_size": 32, "data.test_fraction": 0.2}
    assert found.backbone is not None
    assert (found.backbone.fit.seed, found.backbone.data.unequal_size) == (3, SMALL)
    assert (found.missing, found.only_features) == ("", False)


@pytest.mark.usefixtures("with_weights")
def test_what_only_a_network_takes_leaves_no_backbone():
    found = read_task(Source("digits"), 0, note, ["model.widths=[4, 6]"])
    assert found.backbone is None
    assert found.missing == "the overrides given are not for a backbone"


def test_without_weights_there_is_no_backbone_unless_the_user_names_one(monkeypatch):
    monkeypatch.setattr(task, "local_weights", lambda backbone: None)
    found = read_task(Source("digits"), 0, note, [])
    assert (found.backbone, found.missing) == (None, "no weights of a backbone are on this machine")
    named = read_task(Source("digits"), 0, note, ["model.backbone=test_vit"])
    assert named.only_features
    assert named.backbone is not None
    assert named.backbone.model.options["backbone"] == "test_vit"
