"""The two failures that tenfold reports without a traceback; each message names the thing and the remedy."""


class TenfoldError(Exception):
    """The work found or met a failure: the command ends with exit status 1."""

    exit_status = 1


class InputError(TenfoldError):
    """What the user gave (a path, a key, a value, a picture) cannot be used: exit status 2."""

    exit_status = 2


def nearest(word: str, valid: "list[str] | tuple[str, ...]") -> str:
    """' (did you mean X?)' for the valid word closest to a mistyped one, or '' when none is close."""
    import difflib

    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
