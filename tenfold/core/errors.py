"""The two failures that tenfold reports without a traceback; each message names the thing and the remedy."""


class TenfoldError(Exception):
    """The run failed, or an inspection found problems: the command ends with exit status 1."""

    exit_status = 1


class OutOfMemoryError(TenfoldError):
    """There is not enough memory for what was asked."""


class InputError(TenfoldError):
    """What the user gave (a path, a key, a value, a picture) cannot be used: exit status 2."""

    exit_status = 2


_NO_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "cannot allocate memory",
    "failed to map segment",
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the system had no memory left for what was tried: Python says so, or PyTorch, or the loader."""
    known = isinstance(error, MemoryError | OutOfMemoryError)
    return known or any(text in str(error).lower() for text in _NO_MEMORY)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error) or type(error).__name__).splitlines()[0]


def nearest(word: str, valid: "list[str] | tuple[str, ...]") -> str:
    """' (did you mean X?)' for the valid word closest to a mistyped one, or '' when none is close."""
    import difflib

    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
