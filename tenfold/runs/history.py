"""history.csv: what each epoch came to."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from tenfold.core.files import write_text
from tenfold.core.notebook import History
from tenfold.runs.files import TESTED, FolderFile


class HistoryFile(FolderFile[History]):
    """CSV with the given columns: a row for each epoch, counted from 1.

    Files of earlier versions lack the columns `since`; an epoch that was trained by one has no value there.
    """

    def __init__(
        self, name: str, columns: tuple[str, ...], since: tuple[str, ...], *, remedy: str, stage: int = TESTED
    ) -> None:
        super().__init__(name, remedy=remedy, stage=stage)
        self.earlier, self.columns = columns, columns + since

    def _read(self, path: Path) -> History:
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            raise ValueError("is cut short: its last line has no end")
        try:
            head, *rows = csv.reader(StringIO(text, newline=""), strict=True)
        except csv.Error as error:
            raise ValueError(f"is damaged: it is no CSV ({error})") from None
        if tuple(head) not in (self.columns, self.earlier):
            raise ValueError(f"is damaged: its first line must be {','.join(self.columns)}")
        return History(self._record(number, row, head) for number, row in enumerate(rows, 1))

    def _record(self, number: int, row: list[str], columns: list[str]) -> dict[str, Any]:
        line = f"line {number + 1}"
        if len(row) != len(columns):
            raise ValueError(f"is damaged: {line} has {len(row)} values, expected {len(columns)}")
        if row[0] != str(number):
            raise ValueError(f"is damaged: {line} is of epoch {row[0]!r}, expected {number}")
        try:
            known = [
                (name, text) for name, text in zip(columns, row, strict=True) if text or name in self.earlier
            ]
            values = {name: float(text) for name, text in known[1:]}
        except ValueError as error:
            raise ValueError(f"is damaged: {line}: {error}") from None
        if not all(map(math.isfinite, values.values())):
            raise ValueError(f"is damaged: {line} holds numbers that are not finite")
        return {self.columns[0]: number, **values}

    def _write(self, path: Path, value: list[dict[str, Any]]) -> None:
        missing = {name: "" for name in self.columns if name not in self.earlier}
        rows = [
            missing | {key: value for key, value in record.items() if value is not None} for record in value
        ]
        lines = [",".join(str(row[key]) for key in self.columns) for row in rows]
        write_text(path, "\n".join([",".join(self.columns), *lines]) + "\n")


def history_hash(records: Sequence[Mapping[str, Any]]) -> str:
    """A hash of a history's numbers, which metrics.json keeps."""
    from tenfold.core.checksums import hash_of

    numbers = [{key: float(value) for key, value in record.items()} for record in records]
    return hash_of(json.dumps(numbers, sort_keys=True).encode())
