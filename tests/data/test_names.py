"""Texts in one piece of memory behave as a list of them does."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.names import Names, taken

TEXTS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1)


def names_of(texts: list[str]) -> Names:
    return Names.of_bytes(np.frombuffer("\0".join(texts).encode(), np.uint8))


@given(TEXTS, st.data())
def test_names_are_a_sequence_of_texts(texts, data):
    names = names_of(texts)
    assert len(names) == len(texts)
    assert list(names) == texts
    assert names == texts
    assert [names[place] for place in range(-len(texts), len(texts))] == texts + texts
    chosen = data.draw(st.lists(st.integers(0, len(texts) - 1)))
    assert list(names.taken(np.array(chosen, np.int64))) == [texts[place] for place in chosen]
    assert list(names[1:]) == texts[1:]
    assert pickle.loads(pickle.dumps(names)) == texts


def test_others_stay_lists_and_places_beyond_the_end_are_errors():
    assert taken(["a", "b"], np.array([1])) == ["b"]
    names = names_of(["a", "ß", ""])
    assert names != ["a", "ß"]
    assert names != ["a", "ß", "c"]
    with pytest.raises(IndexError):
        names[3]
    with pytest.raises(ValueError, match="utf-8"):
        Names.of_bytes(np.array([200, 65], np.uint8))
