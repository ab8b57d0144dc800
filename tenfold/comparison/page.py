"""The page of `tenfold compare`: what differs, what it costs, and on which images."""

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from tenfold.comparison import figures
from tenfold.core.errors import TenfoldError
from tenfold.core.files import write_text
from tenfold.findings.base import called, listed
from tenfold.report.kit.gallery import Album, sheet_css
from tenfold.report.kit.shell import chart_uri, page_style, render_page, sorting_script
from tenfold.report.kit.style import adaptive, settle, to_svg

if TYPE_CHECKING:
    from tenfold.comparison.pairing import Comparison, Pair, SeedGroup

SHOWN_IMAGES = 18


def write_comparison(comparison: "Comparison") -> None:
    """Write `comparison.page`; pictures come from the first run's data, where they can still be opened."""
    first, widest = comparison.groups[0].runs[0], _widest(comparison)
    sheet, galleries, note = _pictures(comparison, widest)
    charts: dict[str, Figure] = {"cost": _cost(comparison), "curves": _curves(comparison)}
    if widest:
        charts["changes"] = figures.class_changes(widest.classes, f"{widest.b} minus {widest.a}")
    page = render_page(
        Path(__file__).with_name("comparison.html.jinja"),
        styles=[page_style(), *([sheet] if sheet else [])],
        script=sorting_script(),
        rows=comparison.rows,
        pairs=comparison.pairs,
        seeds=any(len(group.runs) > 1 for group in comparison.groups),
        images=first.metrics["test"]["n"],
        charts={name: _uri(figure) for name, figure in charts.items()},
        changes=widest.classes if widest else {},
        changes_sentence=_changes_sentence(widest) if widest else "",
        galleries=galleries,
        note=note,
        version=version("tenfold"),
    )
    write_text(comparison.page, page)


def _widest(comparison: "Comparison") -> "Pair | None":
    """The best recipe against the worst: what the details are shown for."""
    names = {comparison.rows[0]["name"], comparison.rows[-1]["name"]}
    return next((pair for pair in comparison.pairs if {pair.a, pair.b} == names), None)


def _uri(figure: Figure) -> str:
    settle(figure)
    return chart_uri(adaptive(to_svg(figure)))


def _cost(comparison: "Comparison") -> Figure:
    return figures.cost(comparison.rows)


def _curves(comparison: "Comparison") -> Figure:
    groups = {group.name: group for group in comparison.groups}
    ranked = [groups[row["name"]] for row in comparison.rows]
    return figures.overlaid_curves({group.name: [run.history for run in group.runs] for group in ranked})


def _changes_sentence(pair: "Pair") -> str:
    moved = {name: change for name, change in pair.classes.items() if change["p_holm"] < 0.05}
    better = [called(name) for name, change in moved.items() if change["difference"] > 0]
    worse = [called(name) for name, change in moved.items() if change["difference"] < 0]
    parts = [
        f"{word} on {listed(names, 8)}" for word, names in (("better", better), ("worse", worse)) if names
    ]
    if not parts:
        return f"{pair.b} against {pair.a}: no class changed by more than chance (corrected for all classes)."
    return f"{pair.b} against {pair.a}: clearly {' and '.join(parts)} (corrected for all classes)."


def _pictures(
    comparison: "Comparison", pair: "Pair | None"
) -> tuple[str, list[tuple[str, list[dict[str, Any]]]], str]:
    if pair is None:
        return "", [], ""
    groups = {group.name: group for group in comparison.groups}
    a, b = groups[pair.a], groups[pair.b]
    answers = b.runs[0].predictions("test")
    album = Album(answers)
    galleries = [_gallery(album, right, wrong) for right, wrong in ((b, a), (a, b))]
    try:
        split = b.runs[0].splits().test
        return sheet_css(album.images(split), "t"), galleries, ""
    except TenfoldError as error:
        for _, items in galleries:
            for item in items:
                item["tile"] = None
        return "", galleries, f"There are no pictures, because the images could not be opened: {error}"


def _gallery(album: Album, right: "SeedGroup", wrong: "SeedGroup") -> tuple[str, list[dict[str, Any]]]:
    """Images that the first run of `right` got and that of `wrong` did not, those it was surest of first."""
    # The groups hold their answers in the order of the paths, the album in that of the split.
    place = np.argsort(np.asarray(album.predictions.paths), kind="stable")
    found = np.flatnonzero(right.correct[0] & ~wrong.correct[0])
    confidence = album.predictions.probabilities.max(axis=1)[place]
    found = found[np.argsort(-confidence[found], kind="stable")]
    names = album.predictions.class_names
    items = [
        {
            "tile": album.add(int(place[n])),
            "label": names[right.labels[n]],
            "predicted": names[wrong.predicted[0, n]],
            "path": album.predictions.paths[int(place[n])],
        }
        for n in found[:SHOWN_IMAGES].tolist()
    ]
    return f"{right.name} right, {wrong.name} wrong: {len(found):,} images", items
