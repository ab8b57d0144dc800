"""`report.html`: one file that explains a run, offline, from its saved numbers."""

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tenfold.core.files import write_text
from tenfold.core.numbers import count, duration, interval, percent, plain, readable
from tenfold.findings import Evidence, Finding, find, gather, short
from tenfold.findings.base import Section
from tenfold.findings.picks import picks
from tenfold.report.about import about_data, about_model, flat, source_of
from tenfold.report.draw import draw_figures
from tenfold.report.kit.gallery import Album, by_cell, fill, sheet_css, tile_limit
from tenfold.report.kit.shell import chart_uri, page_style, render_page, sorting_script
from tenfold.report.kit.style import adaptive
from tenfold.runs.folder import Run
from tenfold.runs.metrics import matrix_of

if TYPE_CHECKING:
    from tenfold.data import Split, Splits

HERE = Path(__file__).parent
SECTIONS: dict[Section | Literal["made"], str] = {
    "verdict": "Verdict",
    "data": "Data",
    "training": "Training",
    "confusion": "Confusions",
    "classes": "Classes",
    "roc": "ROC",
    "calibration": "Confidence",
    "mistakes": "Images",
    "labels": "Labels",
    "robustness": "Robustness",
    "next": "Next",
    "made": "How it was made",
}
# Rules whose first finding makes up the verdict, in this order.
VERDICT = (
    "accuracy",
    "cross_validation",
    "copies",
    "near_copies",
    "shared_groups",
    "missing_classes",
    "few_judges",
    "classes_apart",
    "confused_pairs",
    "overfitting",
    "calibration",
)
CHARTS = (
    "learning_curves",
    "class_counts",
    "samples",
    "confusion_matrix",
    "class_scores",
    "roc",
    "precision_recall",
    "reliability",
    "coverage",
    "robustness",
)
CELL_IMAGES = 12
MATRIX_CLASSES = 120
# With more classes the table of each is folded: it would be most of the page.
FOLDED = 30


def write_report(run: Run, splits: "Splits | None" = None, missing: str = "they were not given.") -> Path:
    """Draw a run's figures and write its report; both are made from saved files, so they can be made again.

    `splits` are for the pictures; without them the report says what it lacks, and that they are `missing` because of
    that. Raises InputError where the run has no metrics yet.
    """
    evidence = gather(run)
    draw_figures(run, evidence, splits)
    write_text(run.report, _render(run, evidence, splits, missing))
    return run.report


def _render(run: Run, evidence: Evidence, splits: "Splits | None", missing: str) -> str:
    album = Album(evidence.predictions, tile_limit(run.image_shape)) if evidence.predictions else None
    found = find(evidence)
    verdict = _verdict(found)
    # What the verdict says is not said again right below it.
    listed = [finding for finding in found if finding.section != "verdict" or finding not in verdict]
    pictured = _pictured(run, album, listed, splits)
    styles = [page_style(), *pictured.pop("sheets")]
    return render_page(
        HERE / "page.html.jinja",
        styles=styles,
        script="\n".join([(HERE / "page.js").read_text(encoding="utf-8"), sorting_script()]),
        name=run.name,
        accuracy=evidence.test["accuracy"],
        test=evidence.test,
        contents=[
            (anchor, text)
            for anchor, text in SECTIONS.items()
            if anchor != "robustness" or evidence.robustness
        ],
        kicker=_kicker(run, evidence),
        verdict=verdict,
        sections=SECTIONS,
        tiles=_tiles(evidence),
        charts=_charts(run),
        data=about_data(run, splits),
        class_count=len(evidence.class_names),
        fold_classes=len(evidence.class_names) > FOLDED,
        show_matrix=len(evidence.class_names) <= MATRIX_CLASSES,
        pictures_note="" if splits else _lacks(run, missing),
        command=evidence.command,
        predict_command=run.predict_command,
        recipe=run.recipe.to_toml(),
        environment=flat(run.saved(Run.environment) or {}),
        version=version("tenfold"),
        **about_model(run, evidence),
        **pictured,
    )


def _lacks(run: Run, missing: str) -> str:
    """What a page without the images leaves out, and why; what an earlier report saved of them stays."""
    parts = {
        "the images themselves": False,
        "examples of the training images": (run.figures / "samples.svg").is_file(),
        "where the model looked (Grad-CAM)": run.has(Run.gradcam),
        "accuracy under corruptions": run.has(Run.robustness),
    }
    kept = [name for name, saved in parts.items() if saved]
    without = ", ".join(name for name, saved in parts.items() if not saved)
    rest = f" As an earlier report saved them: {', '.join(kept)}." if kept else ""
    return f"This page was made without the images, so it leaves out: {without}. Why: {missing}{rest}"


# What stands in the sections ---------------------------------------------------------------------------------


def _verdict(found: list[Finding]) -> list[Finding]:
    """The first finding of each telling rule."""
    first: dict[str, Finding] = {}
    for finding in found:
        first.setdefault(finding.rule, finding)
    return [first[rule] for rule in VERDICT if rule in first]


def _kicker(run: Run, evidence: Evidence) -> str:
    seconds = duration(evidence.training["seconds"])
    return (
        f"{run.recipe.model.name} on {source_of(run)}, trained in {seconds} on {evidence.training['device']}"
    )


def _tiles(evidence: Evidence) -> list[tuple[str, str, str]]:
    test, training = evidence.test, evidence.training
    held_out = evidence.validation.get("accuracy")
    seconds = training["seconds"]
    return [
        ("Test accuracy", percent(test["accuracy"]), f"95%: {interval(test['accuracy_ci95'])}"),
        ("Macro F1", percent(test["f1_macro"]), f"95%: {interval(test['f1_macro_ci95'])}"),
        (
            "Validation accuracy",
            percent(held_out),
            f"best strength {training['strength']:g}, of {training['epochs']}"
            if "strength" in training
            else f"best epoch {training['best_epoch']} of {training['epochs']}",
        ),
        ("ROC AUC", plain(test["roc_auc_macro"]), "mean over the classes"),
        ("Training time", duration(seconds), f"{training['images_per_second']:,.0f} images a second"),
        (
            "Parameters",
            count(training["parameters_total"]),
            f"{count(training['parameters_trainable'])} trained",
        ),
    ]


def _charts(run: Run) -> dict[str, str | None]:
    return {name: _chart(run, name) for name in CHARTS}


def _chart(run: Run, name: str) -> str | None:
    """A saved figure as a data URI whose colours follow the reader's scheme."""
    path = run.figures / f"{name}.svg"
    if not path.is_file():
        return None
    return chart_uri(adaptive(path.read_text(encoding="utf-8")))


# Pictures ----------------------------------------------------------------------------------------------------


def _pictured(run: Run, album: Album | None, found: list[Finding], splits: "Splits | None") -> dict[str, Any]:
    """Findings by section, galleries and the script's data, with the sheets of the pictures that they show."""
    names = list(run.data["class_names"])
    payload = {
        "classes": names,
        "short": [short(name, 16) for name in names],
        "matrix": [],
        "cells": {},
        "images": [],
    }
    matrix = matrix_of(run.metrics["test"])
    top = _top_confusions(matrix, names)
    if len(names) <= MATRIX_CLASSES:
        payload["matrix"] = matrix.tolist()
    if album is None:
        return {**_without_pictures(found), "payload": payload, "top_confusions": top}
    split = splits.test if splits is not None and _same_images(splits.test, album) else None
    galleries, cams = _galleries(run, album, names)
    shown = _by_section(found, album if split else None)
    if split:
        cells = fill(album, by_cell(album.predictions, CELL_IMAGES))
        if len(names) > MATRIX_CLASSES:
            payload["matrix"] = _only(matrix, cells)
        payload["cells"] = {f"{row}-{column}": tiles for (row, column), tiles in cells.items() if tiles}
        payload["images"] = album.entries()
    else:
        galleries = {key: [{**item, "tile": None} for item in items] for key, items in galleries.items()}
    return {
        "sheets": [sheet for sheet in (sheet_css(album.images(split), "t") if split else "", cams) if sheet],
        "galleries": galleries,
        "has_cams": bool(cams),
        "found": shown,
        "payload": payload,
        "top_confusions": top,
    }


def _only(matrix: np.ndarray, cells: Iterable[tuple[int, int]]) -> dict[int, dict[int, int]]:
    """The counts of those cells, row by row: all that a page without the whole matrix can open."""
    rows: dict[int, dict[int, int]] = {}
    for row, column in cells:
        rows.setdefault(row, {})[column] = int(matrix[row, column])
    return rows


def _without_pictures(found: list[Finding]) -> dict[str, Any]:
    empty: dict[str, Any] = {"mistakes": [], "uncertain": [], "suspects": []}
    return {"sheets": [], "galleries": empty, "has_cams": False, "found": _by_section(found, None)}


def _same_images(split: "Split", album: Album) -> bool:
    return list(split.paths) == list(album.predictions.paths)


def _galleries(run: Run, album: Album, names: list[str]) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """The telling images, each with its tile, its probabilities and its Grad-CAM if the run has one."""
    chosen = picks(album.predictions.labels, album.predictions.probabilities)
    positions, heat = _saved_cams(run)
    galleries = {
        key: [_item(album, position, names, positions) for position in found] for key, found in chosen.items()
    }
    return galleries, sheet_css(heat, "g")


def _item(album: Album, position: int, names: list[str], cams: list[int]) -> dict[str, Any]:
    entry = album.entry(position)
    classes = zip(entry["classes"], entry["probabilities"], strict=True)
    return {
        "tile": album.add(position),
        "cam": cams.index(position) if position in cams else None,
        "label": names[entry["label"]],
        "path": entry["path"],
        "classes": [(names[k], share) for k, share in classes],
    }


def _saved_cams(run: Run) -> tuple[list[int], np.ndarray]:
    """Test positions and pictures (n, H, W, 3) that `tenfold.findings.explain` saved."""
    positions, pictures = run.saved(Run.gradcam) or (np.zeros(0, int), np.zeros((0, 1, 1, 3), np.uint8))
    return positions.tolist(), pictures


def _by_section(found: list[Finding], album: Album | None) -> dict[str, list[dict[str, Any]]]:
    sections: dict[str, list[dict[str, Any]]] = {anchor: [] for anchor in SECTIONS}
    for finding in found:
        sections[finding.section].append(
            {
                "sentence": finding.sentence,
                "numbers": readable({"rule": finding.rule, **finding.numbers}),
                "tiles": album.add_all(finding.images) if album else [],
                "command": finding.command,
            }
        )
    return sections


def _top_confusions(matrix: np.ndarray, names: list[str], count: int = 8) -> list[tuple[str, str]]:
    """The cells with the most mistakes, as the script's keys and as text."""
    rows, columns = np.nonzero(matrix)
    wrong = rows != columns
    rows, columns = rows[wrong], columns[wrong]
    order = np.argsort(-matrix[rows, columns], kind="stable")[:count]
    return [
        (
            f"{row}-{column}",
            f"{matrix[row, column]:,} × {short(names[row], 40)} taken for {short(names[column], 40)}",
        )
        for row, column in zip(rows[order], columns[order], strict=True)
    ]
