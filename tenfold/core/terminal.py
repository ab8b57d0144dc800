"""Where text is printed: the one place that decides colour, live bars, width and what a stream can show."""

import errno
import io
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from tenfold.core.text import SHOWABLE, showable

if TYPE_CHECKING:
    from rich.console import Console

# How wide a text may be that is wrapped for a file or a notebook, in characters. On a terminal, its width decides.
LOG_WIDTH = 160
# What writing to a full disk, a broken device or a closed pipe ends with.
_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE}
_APART = 2  # spaces between the columns of a table


class _Shown:
    """A text stream that never fails for a letter: what its encoding lacks is replaced."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.encoding = stream.encoding or "utf-8"
        self.fileno, self.flush, self.isatty = stream.fileno, stream.flush, stream.isatty

    def write(self, text: str) -> int:
        return self.stream.write(showable(text, self.encoding))


def make_console(*, stderr: bool = False, quiet: bool = False, markup: bool = True) -> "Console":
    """A console on standard output or error that suits what the stream is.

    Whether the stream is a terminal decides on colours, bars and the width, not `FORCE_COLOR`, which notebooks and
    many CI systems set. `NO_COLOR`, `TERM=dumb` and `COLUMNS` are respected. Lines are not wrapped; tables are.
    """
    from rich.console import Console

    given = sys.stderr if stderr else sys.stdout
    stream = _Shown(given or io.StringIO())  # there is none where it was closed
    terminal = stream.isatty()
    dumb = os.environ.get("TERM") in {"dumb", "unknown"}
    size = shutil.get_terminal_size((LOG_WIDTH, 24))
    return Console(
        file=stream,  # pyright: ignore[reportArgumentType]
        force_terminal=terminal,
        # In a notebook, plain text reads better than one HTML block a line, and a live bar would need ipywidgets.
        force_jupyter=False,
        # Left to rich where a terminal may be resized; rich takes every dumb one to have 80 columns.
        width=None if terminal and not dumb else size.columns,
        height=None if terminal and not dumb else size.lines,
        quiet=quiet,
        markup=markup,
        highlight=False,
        soft_wrap=True,
    )


def is_live(console: "Console") -> bool:
    """Whether a bar may be drawn over itself there."""
    return console.is_terminal and not console.is_dumb_terminal and not console.quiet


def print_table(
    console: "Console", headings: Sequence[str], rows: Sequence[Sequence[str]], least: Sequence[str] = ()
) -> None:
    """Print plain rows as a table whose cells stay readable, however narrow the terminal is.

    Where it is too narrow, the columns of `least` are left out, the first one first, and a last line names them.
    Where that is not enough, the widest column is folded. In a file, every line is as long as it needs.
    """
    from rich.cells import cell_len
    from rich.table import Column, Table
    from rich.text import Text

    # Replaced before the widths are measured, because an escape is longer than its letter.
    headings, *rows = [[showable(cell, console.encoding) for cell in row] for row in (headings, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    room = console.width if console.is_terminal else sum(widths) + _APART * len(widths)
    shown = list(range(len(headings)))
    dropped: list[str] = []
    for name in least:
        if sum(widths[place] + _APART for place in shown) - _APART > room:
            shown.remove(headings.index(showable(name, console.encoding)))
            dropped.append(name)
    widest = max(shown, key=widths.__getitem__)
    columns = [Column(headings[place], no_wrap=place != widest, overflow="fold") for place in shown]
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(row[place]) for place in shown))
    if not console.is_terminal:
        console.width = room  # rich makes nothing wider than its console
    console.print(table, width=room, soft_wrap=False)
    if dropped:
        console.print(f"left out for want of width: {', '.join(dropped)}")


@contextmanager
def forgiving_output() -> Iterator[None]:
    """For a whole process: `print` never fails for a letter, and output that cannot be written ends it with status 1.

    Quietly where the reader went away; with a sentence where the disk is full.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SHOWABLE)
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()  # not left to the interpreter's end, which has no words for a full disk
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (what is left to write is lost)
        if error.errno != errno.EPIPE:
            print(f"tenfold: the output cannot be written: {error.strerror}.", file=sys.stderr)
        sys.exit(1)
