"""What a model says of pictures: named classes with probabilities, as a table, JSON lines, CSV, Parquet or HTML."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tenfold.core.errors import TenfoldError
from tenfold.core.notebook import table_html
from tenfold.inference.contract import Contract
from tenfold.inference.predictor import Predictor, softmax

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

# As many answers as a display in a terminal or a notebook shows.
SHOWN = 20
# Of a stated accuracy the answers fall short where `unsure`; see `tenfold.inference.calibrate`.
ACCURACY = 0.95
_FLAGS = {None: "", False: "false", True: "true"}


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says of N pictures, in their order.

    `paths`: a name for each. `logits`, `raw`, `probabilities` (N, K) float32: as the model gives them, their softmax,
    and that after the temperature fitted on validation. `unsure` (N,) bool: less probable than what reaches the
    stated accuracy on validation; `unlike` (N,) bool: unlike the training images; None where the run does not know.
    `sets` (N, K) bool: the classes that hold the true one with the coverage asked for. `labels`: the class that a
    folder says, or None. `unreadable`: (name, reason) of each picture that is not among the N, because it could not
    be read.
    """

    paths: Sequence[str]
    class_names: tuple[str, ...]
    logits: np.ndarray
    raw: np.ndarray
    probabilities: np.ndarray
    unsure: np.ndarray | None = None
    unlike: np.ndarray | None = None
    sets: np.ndarray | None = None
    labels: Sequence[str | None] = ()
    unreadable: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def indices(self) -> np.ndarray:
        """The column (N,) of the most probable class of each picture."""
        return self.raw.argmax(1)

    @property
    def predicted(self) -> list[str]:
        """The most probable class of each picture."""
        return [self.class_names[index] for index in self.indices]

    @property
    def probability(self) -> np.ndarray:
        """The probability (N,) of the class named."""
        return self.probabilities[np.arange(len(self)), self.indices]

    def top(self, position: int, count: int) -> list[tuple[str, float]]:
        """The `count` most probable classes of one picture, with their probabilities, most probable first."""
        row = self.probabilities[position]
        order = np.argsort(-row, kind="stable")[:count]
        return [(self.class_names[index], float(row[index])) for index in order]

    @property
    def right(self) -> tuple[int, int]:
        """How many of the pictures with a label are named so, and how many have one."""
        known = [
            (label, name)
            for label, name in zip(self.labels, self.predicted, strict=False)
            if label is not None
        ]
        return sum(label == name for label, name in known), len(known)

    def uncorrected(self) -> "Answers":
        """The same answers with the model's raw probabilities, as `predictions/*.parquet` has them."""
        return replace(self, probabilities=self.raw)

    # As records, lines and tables ------------------------------------------------------------------------------

    def records(self, top: int | None = None) -> Iterator[dict[str, Any]]:
        """A dictionary for each picture: path, predicted, probability, probabilities, unsure and unlike.

        With `top`, only so many classes, most probable first. `set` follows where a coverage was asked for.
        """
        likeliest = self.probability.tolist()
        for position, (path, predicted) in enumerate(zip(self.paths, self.predicted, strict=True)):
            chosen = self.top(position, top) if top else self._all(position)
            record: dict[str, Any] = {
                "path": path,
                "predicted": predicted,
                "probability": likeliest[position],
                "probabilities": dict(chosen),
                "unsure": _flag(self.unsure, position),
                "unlike": _flag(self.unlike, position),
            }
            if self.sets is not None:
                record["set"] = [self.class_names[index] for index in np.flatnonzero(self.sets[position])]
            yield record

    def json_lines(self, top: int | None = None) -> str:
        """One JSON object a line."""
        return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in self.records(top))

    def csv_lines(self, header: bool = True) -> str:
        """CSV: path, predicted, probability, unsure, unlike (and set), and a column for each class.

        Probabilities have the nine digits that tell every float32 from the next.
        """
        columns = self.columns()
        form = ",".join("%.9g" if name.startswith("probability") else "%s" for name in columns) + "\n"
        rows = zip(*(_csv_cells(name, values) for name, values in columns.items()), strict=True)
        heading = ",".join(map(_quoted, columns)) + "\n" if header else ""
        return heading + "".join([form % row for row in rows])

    def columns(self) -> dict[str, list[Any]]:
        """The same as columns: `path` to `unlike`, `set` where a coverage was asked for, `probability:CLASS`."""
        columns: dict[str, list[Any]] = {
            "path": list(self.paths),
            "predicted": self.predicted,
            "probability": self.probability.tolist(),
            "unsure": [None] * len(self) if self.unsure is None else self.unsure.tolist(),
            "unlike": [None] * len(self) if self.unlike is None else self.unlike.tolist(),
        }
        if self.sets is not None:
            columns["set"] = [[self.class_names[i] for i in np.flatnonzero(row)] for row in self.sets]
        for index, name in enumerate(self.class_names):
            columns[f"probability:{name}"] = self.probabilities[:, index].tolist()
        return columns

    def to_pandas(self) -> "pd.DataFrame":
        """A pandas DataFrame with the columns of `columns`, and the labels where folders say some.

        Raises TenfoldError where pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise TenfoldError("to_pandas needs pandas: `pip install pandas`.") from None
        labels = {"label": list(self.labels)} if self.labels else {}
        return pd.DataFrame({**self.columns(), **labels})

    def __rich__(self) -> "Table":
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("path", overflow="fold")
        for name in ("predicted", "probability", ""):
            table.add_column(name)
        for path, predicted, probability, remark in self._rows():
            table.add_row(*map(_escaped, (path, predicted, probability, remark)))
        return table

    def _repr_html_(self) -> str:
        rows = [
            {"path": path, "predicted": predicted, "probability": probability, "": remark}
            for path, predicted, probability, remark in self._rows()
        ]
        return table_html(rows)

    def remark(self, position: int) -> str:
        """What to know before believing an answer, in a few words; mostly nothing."""
        flags = {"unsure": self.unsure, "unlike the training images": self.unlike}
        return ", ".join(name for name, values in flags.items() if values is not None and values[position])

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        predicted, probability = self.predicted, self.probability
        for position in range(min(len(self), SHOWN)):
            yield (
                self.paths[position],
                predicted[position],
                f"{probability[position]:.1%}",
                self.remark(position),
            )
        if len(self) > SHOWN:
            yield f"and {len(self) - SHOWN:,} more", "", "", ""

    def _all(self, position: int) -> list[tuple[str, float]]:
        return list(zip(self.class_names, self.probabilities[position].tolist(), strict=True))


def answer(
    contract: Contract,
    predictor: Predictor,
    pixels: np.ndarray,
    logits: np.ndarray,
    paths: Sequence[str],
    *,
    accuracy: float = ACCURACY,
    coverage: float | None = None,
    labels: Sequence[str | None] = (),
    unreadable: tuple[tuple[str, str], ...] = (),
) -> Answers:
    """What the `logits` (n, K) that `predictor` gave for `pixels` (n, H, W, C) mean, by what `contract` says.

    `accuracy` decides who is unsure, `coverage` asks for sets of classes. Raises InputError where validation does not
    support that coverage.
    """
    corrected = softmax(logits, contract.temperature)
    confidence = corrected.max(axis=1, initial=0)
    sets = None if coverage is None else corrected >= contract.least_probability(coverage)
    return Answers(
        paths=paths,
        class_names=contract.class_names,
        logits=logits,
        raw=predictor.probabilities(logits),
        probabilities=corrected,
        unsure=confidence < contract.threshold(accuracy) if contract.calibration else None,
        unlike=contract.familiarity.unlike(logits, pixels) if contract.familiarity else None,
        sets=sets,
        labels=labels,
        unreadable=unreadable,
    )


def _flag(values: np.ndarray | None, position: int) -> bool | None:
    return None if values is None else bool(values[position])


def _csv_cells(name: str, values: list[Any]) -> Iterable[Any]:
    """A column's cells as text; probabilities stay numbers."""
    if name.startswith("probability"):
        return values
    if name in {"unsure", "unlike"}:
        return map(_FLAGS.__getitem__, values)
    return map(_quoted, map(json.dumps, values) if name == "set" else values)


def _quoted(text: str) -> str:
    """A cell of CSV: in quotes where it holds what separates cells and rows (RFC 4180)."""
    if '"' in text or "," in text or "\n" in text or "\r" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
