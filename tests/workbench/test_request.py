"""What is asked for, turned into values: a source and a composition."""

import numpy as np
import pytest

from tenfold.core.errors import InputError
from tenfold.workbench.request import PLAIN_RECIPE, compose, data_options, make_source


def test_folders_are_named_one_or_several_and_remember_where_they_were_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = make_source(train=["a", tmp_path / "b"], test="c")
    assert (source.data, source.train, source.test) == (None, ("a", str(tmp_path / "b")), ("c",))
    assert source.base == str(tmp_path)


def test_without_a_word_it_is_the_digits_which_are_nowhere():
    source = make_source()
    assert (source.data, source.base) == ("digits", None)
    assert make_source(data="digits") == source


def test_a_known_name_that_is_also_a_folder_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(InputError, match=r"Write \./digits for the one that is here"):
        make_source(data="digits")


@pytest.mark.usefixtures("own_cache")
def test_arrays_become_a_source_of_their_contents():
    pixels, labels = np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1]
    one, same = (make_source(data=(pixels, labels)) for _ in range(2))
    assert one == same
    assert make_source(data=(pixels + 1, labels)) != one


def test_a_keyword_that_there_is_not_is_pythons_own_error():
    with pytest.raises(TypeError, match="there is no keyword 'dta'"):
        make_source(dta="x")  # pyright: ignore[reportCallIssue]


def test_what_is_asked_for_travels_as_one_value():
    asked = compose("digits", ["fit.epochs=3"], seed=7, minutes=2.0)
    recipe = asked.resolve()
    assert (recipe.fit.epochs, recipe.fit.seed, recipe.fit.minutes) == (3, 7, 2.0)
    assert compose("digits", folds=4).resolve().data.folds == 4


def test_minutes_cannot_be_shared_between_folds():
    with pytest.raises(InputError, match=r"--folds 3 trains 4 models, which --minutes cannot"):
        compose("digits", minutes=1.0, folds=3)


def test_a_module_of_ones_own_takes_the_place_of_a_plain_recipes_model():
    import own_models

    from tenfold.models import given_model

    recipe = compose(None, ["fit.epochs=2"], own=given_model(own_models.make)).resolve()
    assert (recipe.model.name, recipe.fit.epochs) == ("own", 2)
    assert recipe.optimizer == compose(PLAIN_RECIPE).resolve().optimizer


def test_what_overrides_say_of_the_data_is_checked():
    assert data_options(["data.image_size=16"]).image_size == 16
    with pytest.raises(InputError, match=r"data\.image_sze"):
        data_options(["data.image_sze=16"])
