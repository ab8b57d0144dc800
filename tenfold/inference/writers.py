"""Answers written as they come: a table to read, CSV, JSON lines or Parquet."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO

from tenfold.core.errors import InputError, nearest
from tenfold.core.files import atomic
from tenfold.inference.answers import Answers

# The classes that a table names for each picture, where nothing else is asked for.
TABLE_TOP = 3
_WIDEST = 60  # letters of a name before its line is broken out of the column
_SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".txt": "table"}
FORMATS = ("table", "csv", "jsonl", "parquet")


class Writer(Protocol):
    """What writes one block of answers after the other."""

    def write(self, answers: Answers) -> None:
        """Write the answers of a block."""
        ...


def choose_format(name: str | None, out: Path | None, top: int | None) -> str:
    """The format named, or what the file's ending says, or a table. Raises InputError for what does not fit."""
    chosen = name or (_SUFFIXES.get(out.suffix.lower(), "table") if out else "table")
    if chosen not in FORMATS:
        raise InputError(
            f"--format {chosen}: there is no such format{nearest(chosen, FORMATS)}; valid: {', '.join(FORMATS)}"
        )
    if chosen == "parquet" and out is None:
        raise InputError("--format parquet: a Parquet file is nothing to print. Name it with --out FILE.")
    if out is not None:
        _check_place(out)
    if top is not None and chosen in {"csv", "parquet"}:
        raise InputError(
            f"--top {top}: {chosen} has a column for every class. Use --format table or jsonl with it."
        )
    return chosen


def _check_place(out: Path) -> None:
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder. Name a file in it, such as {out / 'answers.csv'}.")
    if out.exists() and not out.is_file():  # a device or a pipe, which a file would replace
        raise InputError(
            f"--out {out}: is no regular file. Leave --out away, and redirect the output with > {out}."
        )
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}. Make it first.")


@contextmanager
def writer(chosen: str, out: Path | None, top: int | None) -> Iterator[Writer]:
    """A writer to standard output, or to the file `out`, which appears, whole, when the block ends well."""
    with atomic(out) if out else nullcontext() as place:
        if chosen == "parquet":
            assert place is not None
            parquet = _Parquet(place)
            try:
                yield parquet
            finally:
                parquet.close()
        elif place is None:
            yield _Text(_standard_output(chosen), chosen, top)
        else:
            with open(place, "w", encoding="utf-8", newline="") as file:
                yield _Text(file, chosen, top)


def _standard_output(chosen: str) -> TextIO:
    """Standard output; for programs it is UTF-8 as in a file, whatever the terminal's language is."""
    if chosen != "table" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    return sys.stdout


class _Text:
    def __init__(self, stream: TextIO, chosen: str, top: int | None) -> None:
        self._stream, self._chosen, self._top = stream, chosen, top
        self._first = True

    def write(self, answers: Answers) -> None:
        self._stream.write(self._lines(answers))
        self._stream.flush()
        self._first = False

    def _lines(self, answers: Answers) -> str:
        if self._chosen == "jsonl":
            return answers.json_lines(self._top)
        if self._chosen == "csv":
            return answers.csv_lines(header=self._first)
        return table_lines(answers, self._top or TABLE_TOP)


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._schema: Any = None

    def write(self, answers: Answers) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._file is None:
            self._schema = _schema(answers)
            self._file = pq.ParquetWriter(self._path, self._schema)
        self._file.write_table(pa.table(answers.columns(), schema=self._schema))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


# Where a file's note lies among its metadata.
_NOTE = b"tenfold"


def parquet_file(answers: Answers, note: dict[str, Any]) -> bytes:
    """A whole Parquet file of answers, with a note (JSON) in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(answers).with_metadata({_NOTE: json.dumps(note).encode()})
    file = io.BytesIO()
    pq.write_table(pa.table(answers.columns(), schema=schema), file)
    return file.getvalue()


def parquet_note(file: Path | BinaryIO) -> dict[str, Any]:
    """The note of such a file. Raises InputError where it is damaged, or has none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return json.loads((pq.read_schema(file).metadata or {})[_NOTE])
    except (pa.ArrowException, KeyError, ValueError):
        raise InputError(f"{file}: is no file of answers, or damaged. Remove it; it is made again.") from None


def _schema(answers: Answers) -> Any:
    import pyarrow as pa

    kinds = {"path": pa.string(), "predicted": pa.string(), "unsure": pa.bool_(), "unlike": pa.bool_()}
    kinds["set"] = pa.list_(pa.string())
    return pa.schema([(name, kinds.get(name, pa.float32())) for name in answers.columns()])


def table_lines(answers: Answers, top: int) -> str:
    """A line for each picture: its name, the `top` most probable classes, and what to know before believing it."""
    names = [_visible(path) for path in answers.paths]
    width = min(max(map(len, names), default=0), _WIDEST)
    lines = []
    for position, name in enumerate(names):
        classes = ", ".join(f"{_visible(label)} {share:.1%}" for label, share in answers.top(position, top))
        if answers.sets is not None:
            members = [answers.class_names[i] for i in answers.sets[position].nonzero()[0]]
            classes += f"  {{{', '.join(map(_visible, members))}}}"
        remark = answers.remark(position)
        lines.append(f"{name:<{width}}  {classes}" + (f"  ({remark})" if remark else "") + "\n")
    return "".join(lines)


def _visible(text: str) -> str:
    """A name on one line, without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
