"""The verb: what it refuses before anything is written."""

import pytest
from constructed import answered_run, rights

from tenfold.comparison import compare
from tenfold.core.errors import InputError


def test_one_run_is_not_a_comparison(tmp_path):
    answered_run(tmp_path / "a", rights(30, 0.7, 0))
    with pytest.raises(InputError, match="two different runs"):
        compare([tmp_path / "a", tmp_path / "a"], tmp_path / "out")
