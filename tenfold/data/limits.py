"""What is not read, whatever it holds: the limits, and the error that says so."""

LARGEST_FILE = 1 << 29  # bytes: what is larger is no picture to learn from, and would not fit in memory
LARGEST_PICTURE = 1 << 26  # pixels: one of them takes about a gigabyte while it is decoded


class BadPicture(ValueError):  # noqa: N818
    """A picture that cannot be read; its one argument says why."""


class TooLarge(BadPicture):
    """A picture that has more pixels than are decoded."""


class UnknownFormat(BadPicture):
    """What is no picture in a format that is read."""
