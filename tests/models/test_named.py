"""Backbones by what they cost."""

from tenfold.models.named import NAMED, full_name


def test_larger_ones_are_more_accurate_and_slower():
    entries = [NAMED[name] for name in ("small", "medium", "large")]
    assert list(NAMED) == ["small", "medium", "large"]
    assert [one.accuracy for one in entries] == sorted(one.accuracy for one in entries)
    assert [one.rate for one in entries] == sorted((one.rate for one in entries), reverse=True)


def test_a_name_stands_for_timms_and_every_other_for_itself():
    assert full_name("small") == NAMED["small"].backbone
    assert full_name("resnet18") == "resnet18"
    assert NAMED["small"].words.startswith(
        f"{NAMED['small'].backbone}: Apache-2.0, 23 MiB; by timm's tables 77.4%"
    )
