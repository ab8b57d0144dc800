"""What is said of a sweep, as values."""

from dataclasses import fields

import pytest

import tenfold
from tenfold.core.errors import InputError
from tenfold.data import Source
from tenfold.sweeps.settings import Crew, SweepOptions, SweepSettings, values_of


def test_the_options_of_the_verb_are_the_fields_of_its_values():
    values = {field.name for kind in (SweepSettings, Crew, Source) for field in fields(kind)} - {
        "space",
        "base",
    }
    assert values == set(SweepOptions.__annotations__)
    settings, crew, words = values_of({"model.dense": [1, 2]}, {"seeds": 3, "workers": 2, "data": "digits"})
    assert settings == SweepSettings({"model.dense": [1, 2]}, seeds=3)
    assert (crew, words) == (Crew(workers=2), {"data": "digits"})


@pytest.mark.parametrize(("option", "number"), [("seeds", 0), ("trials", -1), ("workers", 0), ("threads", 0)])
def test_numbers_that_no_sweep_can_have_are_refused_before_anything_runs(option, number, tmp_path):
    with pytest.raises(InputError, match=f"--{option} {number}: expected 1 or more"):
        tenfold.sweep("sweep-filters", out=tmp_path, **{option: number})
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'seed'"):
        tenfold.sweep("sweep-filters", out=tmp_path, seed=1)  # pyright: ignore[reportCallIssue]
    assert not list(tmp_path.iterdir())
