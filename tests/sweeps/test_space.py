"""What a sweep varies: words, ranges and grids."""

from hypothesis import given
from hypothesis import strategies as st

from tenfold.recipe import load_recipe
from tenfold.sweeps.space import Range, Values, grid, label, read_space, split_words


def test_words_with_several_values_vary_and_words_with_one_are_overrides():
    varied, overrides = split_words(
        [
            "model.dense=8,16",
            "model.filters=[4],[4, 8]",
            "optimizer.lr=1e-4..1e-1:log",
            "optimizer.name=adam,sgd",
            "stop.patience=none,3",
            "fit.epochs=5",
            "augment=[]",
            "nonsense",
        ]
    )
    assert varied == {
        "model.dense": [8, 16],
        "model.filters": [[4], [4, 8]],
        "optimizer.lr": "1e-4..1e-1:log",
        "optimizer.name": ["adam", "sgd"],
        "stop.patience": [None, 3],
    }
    assert overrides == ["fit.epochs=5", "augment=[]", "nonsense"]


@given(low=st.floats(1e-6, 1.0, exclude_max=True), factor=st.floats(1.001, 1e6), log=st.booleans())
def test_a_range_reads_back_as_it_is_written(low, factor, log):
    written = Range(low, low * factor, log).written()
    assert split_words([f"optimizer.lr={written}"])[0] == {"optimizer.lr": written}
    assert read_space(load_recipe("digits"), {"optimizer.lr": written}) == {
        "optimizer.lr": Range(low, low * factor, log)
    }


def test_whole_ends_make_a_whole_range_only_where_the_option_is_whole():
    space = read_space(load_recipe("digits"), {"model.dense": "8..64", "model.dropout": "0..0.5"})
    assert space == {"model.dense": Range(8, 64), "model.dropout": Range(0.0, 0.5)}
    space = read_space(load_recipe("digits"), {"optimizer.lr": "1..2"})
    assert not space["optimizer.lr"].whole


def test_the_grid_is_every_combination_and_the_last_key_varies_fastest():
    space = {"a": Values((1, 2)), "b": Values(("x", "y", "z"))}
    assert [tuple(values.values()) for values in grid(space)] == [
        (1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"),
    ]  # fmt: skip
    assert label({"model.filters": (4, 8), "optimizer.lr": 0.00123456}) == (
        "model.filters=[4, 8], optimizer.lr=0.001235"
    )
