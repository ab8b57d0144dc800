"""What a notebook shows for a run, a history or a table of runs: small HTML, with every name escaped."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from tenfold.core.numbers import interval, percent

_CELL = 'style="text-align:left;padding:.2em 1em .2em 0"'


def run_html(name: str, metrics: Mapping[str, Any] | str, curves: Path, report: Path) -> str:
    """A run's result (or why there is none), its learning curves, and where its report lies, as far as they exist."""
    parts = [Markup("<h4>{}</h4>").format(name)]
    if metrics:
        parts.append(Markup("<p>{}</p>").format(metrics) if isinstance(metrics, str) else _result(metrics))
    if curves.is_file():
        data = base64.b64encode(curves.read_bytes()).decode()
        image = (
            '<img src="data:image/png;base64,{}" alt="learning curves" style="max-width:100%;width:760px">'
        )
        parts.append(Markup(image).format(data))
    if report.is_file():
        parts.append(Markup("<p>Report: <code>{}</code></p>").format(report))
    return str(Markup("").join(parts))


def _result(metrics: Mapping[str, Any]) -> Markup:
    test, training = metrics["test"], metrics["training"]
    return Markup(
        "<p><b>{}</b> of {:,} test images right (95% interval {}%); macro F1 {}; "
        "best epoch {} of {}; {:.1f} s.</p>"
    ).format(
        percent(test["accuracy"], 2),
        test["n"],
        interval(test["accuracy_ci95"]),
        percent(test["f1_macro"], 2),
        training["best_epoch"],
        training["epochs"],
        training["seconds"],
    )


def table_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """Records with the same keys as a table, numbers rounded; a history or a leaderboard."""
    if not rows:
        return "<p>nothing yet</p>"
    keys = list(rows[0])
    head = Markup("").join(Markup(f"<th {_CELL}>{{}}</th>").format(key.replace("_", " ")) for key in keys)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup(f"<td {_CELL}>{{}}</td>").format(_cell(row[key])) for key in keys)
        )
        for row in rows
    )
    return str(Markup("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>").format(head, body))


def _cell(value: Any) -> Markup:
    if isinstance(value, float):
        return escape(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return escape(", ".join(str(_cell(entry)) for entry in value))
    return escape("" if value is None else str(value))


class History(list[dict[str, Any]]):
    """The records of `history.csv`; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        return table_html(self)
