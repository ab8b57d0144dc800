"""`report.html` of a sweep: one offline page, in the look and under the policy of a run's report."""

from importlib.metadata import version
from pathlib import Path

from tenfold.core.files import atomic, explained_write, write_json, write_text
from tenfold.core.numbers import duration, percent, readable
from tenfold.report.kit.shell import chart_uri, page_style, render_page
from tenfold.report.kit.style import adaptive, settle, to_png, to_svg
from tenfold.sweeps.results import Results
from tenfold.sweeps.space import value_label

# The texts that stand for the figures, by the beginning of their names.
_TEXTS = {
    "curves": "Training and validation accuracy of the candidates by epoch, with the best epochs marked",
    "accuracy": "Validation accuracy against a key that was varied",
    "parallel": "Every candidate as a line through its values to its accuracy",
    "importance": "The share of the differences that each key explains",
}


def save_results(results: Results) -> None:
    """Write `results.json`, `results.csv`, the figures and the page."""
    rows = [{**vars(row), "values": dict(row.values)} for row in results.rows]
    write_json(
        results.path / "results.json",
        {"winner": results.winner, "test": results.test, "verdict": results.verdict, "candidates": rows},
    )
    write_text(results.path / "results.csv", results.as_csv())
    drawn = results.draw()
    with explained_write(results.path):
        (results.path / "figures").mkdir(exist_ok=True)
    for name, figure in drawn.items():
        settle(figure)
        write_text(results.path / "figures" / f"{name}.svg", to_svg(figure))
        with atomic(results.path / "figures" / f"{name}.png") as path:
            path.write_bytes(to_png(figure))
    write_page(results, list(drawn))


def write_page(results: Results, drawn: list[str]) -> None:
    """Write the page; `drawn` names the figures in `figures/`."""
    ledger = results.ledger
    kinds = {name: name.partition("_")[0] for name in drawn}
    shown = {name: (_chart(results, name), _TEXTS[kind]) for name, kind in kinds.items()}
    charts = {
        "wide": [shown[name] for name in drawn if kinds[name] != "accuracy"],
        "beside": [shown[name] for name in drawn if kinds[name] == "accuracy"],
    }
    page = render_page(
        Path(__file__).with_name("page.html.jinja"),
        styles=[page_style()],
        script="",
        name=results.path.name,
        kicker=f"Sweep of {ledger.plan.title}: {ledger.plan.search} search over {len(ledger.candidates)} candidates"
        + (f" with {ledger.plan.seeds} seeds each" if ledger.plan.seeds > 1 else ""),
        findings=[
            {"sentence": found.sentence, "numbers": readable(found.numbers)} for found in results.findings
        ],
        tiles=_tiles(results),
        columns=results.columns,
        rows=results.rows,
        runs=[(run.name, run.report.is_file()) for run in results.winning_runs],
        charts=charts,
        space={
            key: value if isinstance(value, str) else ", ".join(map(value_label, value))
            for key, value in ledger.plan.space.items()
        },
        recipe=ledger.plan.base.unmeasured().to_toml(),
        version=version("tenfold"),
    )
    write_text(results.report, page)


def _tiles(results: Results) -> list[tuple[str, str, str]]:
    ledger, test = results.ledger, results.test
    seconds = sum(trial.outcome.get("seconds", 0) for trial in ledger.trials)
    done = sum(trial.state == "done" for trial in ledger.trials)
    tiles = []
    if test:
        low, high = test["accuracy_ci95"]
        tiles.append(
            ("Test accuracy", percent(test["accuracy"]), f"95% interval {100 * low:.1f} to {100 * high:.1f}")
        )
    if ledger.winner is not None and ledger.winner.score is not None:
        tiles.append(("Validation accuracy", percent(ledger.winner.score), "of the winner"))
    return [
        *tiles,
        ("Trials", f"{done:,}", f"trained to the end, of {len(ledger.trials):,}"),
        ("Training time", duration(seconds), "of all trials together"),
    ]


def _chart(results: Results, name: str) -> str:
    return chart_uri(adaptive((results.path / "figures" / f"{name}.svg").read_text(encoding="utf-8")))
