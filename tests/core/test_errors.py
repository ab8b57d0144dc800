"""The two failures, their exit status, and the words that help."""

import pytest

from tenfold.core.errors import (
    InputError,
    OutOfMemoryError,
    TenfoldError,
    first_line,
    is_out_of_memory,
    nearest,
)


def test_what_the_user_gave_ends_with_2_and_what_went_wrong_on_the_way_with_1():
    assert (TenfoldError.exit_status, InputError.exit_status) == (1, 2)
    assert issubclass(InputError, TenfoldError)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (OutOfMemoryError("the memory is used up"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (ImportError("libtorch.so: failed to map segment from shared object"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("shapes do not match"), False),
        (ImportError("No module named 'x'"), False),
    ],
)
def test_used_up_memory_is_told_from_other_failures(error, is_memory):
    assert is_out_of_memory(error) is is_memory


def test_an_error_is_said_in_one_line():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(MemoryError()) == "MemoryError"


def test_the_nearest_word_is_offered_only_where_one_is_near():
    assert nearest("epoch", ["epochs", "seed"]) == " (did you mean 'epochs'?)"
    assert nearest("zzz", ("epochs", "seed")) == ""
    assert nearest("epoch", []) == ""
