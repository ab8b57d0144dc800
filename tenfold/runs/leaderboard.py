"""All runs of a folder as one table that can be sorted and filtered."""

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.errors import InputError, TenfoldError, nearest
from tenfold.core.numbers import interval, percent
from tenfold.core.terminal import make_console, print_table

if TYPE_CHECKING:
    from tenfold.runs.folder import Run

COLUMNS = (
    "name",
    "state",
    "accuracy",
    "accuracy_ci95",
    "f1_macro",
    "validation_accuracy",
    "epochs",
    "folds",
    "seconds",
    "parameters",
    "model",
    "optimizer",
    "seed",
    "data",
    "device",
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_CONDITION = re.compile(r"(\w+)\s*(>=|<=|!=|>|<|=)\s*(.*)")


def list_runs(
    folder: str | Path = "runs", sort: str = "accuracy", where: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """One record of `COLUMNS` for every run folder in `folder`, whatever state it is in.

    `sort` is a column; numbers come largest first and texts from A to Z, and a minus sign in front turns that
    round. `where` are conditions such as "accuracy>=0.7", "model=model-s" or "name=base*"; a run whose value is
    missing meets none. Raises InputError for a folder that is not there and for unknown columns.
    """
    from tenfold.runs.folder import find_runs

    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: there is no such folder of runs. `tenfold train` makes runs/; see --out."
        )
    conditions = [_condition(text) for text in where]
    key = _column(sort.removeprefix("-"), "sort")
    rows = [_row(run) for run in find_runs(folder)]
    rows = [row for row in rows if all(condition(row) for condition in conditions)]
    return _sorted(rows, key, turned=sort.startswith("-"))


def _row(run: "Run") -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"name": run.name, "state": "unreadable"}
    try:
        recipe = run.outline
        row |= {"model": recipe.model.name, "optimizer": recipe.optimizer.name}
        row |= {"seed": recipe.fit.seed, "data": _source(run)}
        row |= _progress(run)
    except TenfoldError:
        # A folder half written or from another version is listed, not hidden, and not a reason to list nothing.
        row["state"] = "unreadable"
    return row


def _progress(run: "Run") -> dict[str, Any]:
    """The state of a run, and its results where it has any."""
    metrics = run.saved(type(run).metrics)
    if metrics is not None:
        return {"state": "failed" if metrics["training"].get("failed") else "done", **_measured(metrics)}
    state = run.saved(type(run).state)
    return {"state": "failed" if state is not None and state.failed else "unfinished"}


def _source(run: "Run") -> str:
    source = run.data["source"]
    return source["data"] or " ".join(source["train"])


def _measured(metrics: dict[str, Any]) -> dict[str, Any]:
    test, training = metrics["test"], metrics["training"]
    return {
        "accuracy": test["accuracy"],
        "accuracy_ci95": test["accuracy_ci95"],
        "f1_macro": test["f1_macro"],
        "validation_accuracy": metrics["validation"]["accuracy"],
        "epochs": training["epochs"],
        "folds": len(metrics.get("folds", ())) or None,
        "seconds": training["seconds"] + sum(fold["seconds"] for fold in metrics.get("folds", ())),
        "parameters": training["parameters_total"],
        "device": training["device"],
    }


def _column(name: str, where: str) -> str:
    if name not in COLUMNS:
        raise InputError(
            f"{where}: there is no column {name!r}{nearest(name, COLUMNS)}; valid: {', '.join(COLUMNS)}."
        )
    return name


def _condition(text: str) -> Callable[[dict[str, Any]], bool]:
    match = _CONDITION.fullmatch(text.strip())
    if not match:
        raise InputError(
            f"where {text!r}: expected COLUMN=VALUE, or with >, <, >=, <=, !=; for instance accuracy>0.7."
        )
    column, compare, wanted = _column(match[1], f"where {text!r}"), match[2], match[3]

    def holds(row: dict[str, Any]) -> bool:
        value = row[column]
        if value is None:
            return False
        if isinstance(value, str):
            found = re.fullmatch(re.escape(wanted).replace(r"\*", ".*"), value, re.DOTALL) is not None
            return found != (compare == "!=")
        return _OPERATORS[compare](value, _number(wanted, text))

    return holds


def _number(wanted: str, text: str) -> float:
    try:
        return float(wanted)
    except ValueError:
        raise InputError(
            f"where {text!r}: {wanted!r} is not a number, but the column holds numbers."
        ) from None


def _sorted(rows: list[dict[str, Any]], key: str, *, turned: bool) -> list[dict[str, Any]]:
    """Sorted by a column; runs without a value for it come last either way."""
    known = [row for row in rows if row[key] is not None]
    texts = bool(known) and isinstance(known[0][key], str)
    return sorted(known, key=lambda row: row[key], reverse=texts == turned) + [
        row for row in rows if row[key] is None
    ]


def print_runs(rows: Sequence[dict[str, Any]]) -> None:
    """Show the rows as a table in the terminal."""
    headings = ("run", "test accuracy (95%)", "macro F1", "epochs", "time", "parameters", "model", "data")
    # The name and the accuracy stay longest; `--json` has everything.
    least = ("parameters", "macro F1", "epochs", "model", "data", "time")
    print_table(make_console(), headings, describe_runs(rows), least)


def describe_runs(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """The rows as short texts for a terminal: name, accuracy with interval, macro F1, epochs, time, model, data."""
    return [
        (
            row["name"],
            _accuracy(row),
            "" if row["f1_macro"] is None else percent(row["f1_macro"], 2),
            str(row["epochs"] or ""),
            "" if row["seconds"] is None else f"{row['seconds']:.1f} s",
            "" if row["parameters"] is None else f"{row['parameters']:,}",
            row["model"] or "",
            row["data"] or "",
        )
        for row in rows
    ]


def _accuracy(row: dict[str, Any]) -> str:
    if row["accuracy"] is None:
        return row["state"]
    failed = ", failed later" if row["state"] == "failed" else ""
    folds = f", {row['folds']} folds" if row["folds"] else ""
    return f"{percent(row['accuracy'], 2)} ({interval(row['accuracy_ci95'])}){folds}{failed}"
