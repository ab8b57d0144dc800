"""`inspection.html`: one file that shows what `tenfold inspect` found, to be sent to whoever knows the data."""

import shlex
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.core.files import write_text
from tenfold.core.numbers import percent
from tenfold.data.inspect import Duplicates, Inspection, duplicates_sentence
from tenfold.data.splits import Splits
from tenfold.report.figures import class_counts
from tenfold.report.kit.gallery import sheet_css, tile_limit
from tenfold.report.kit.shell import chart_uri, page_style, render_page, sorting_script
from tenfold.report.kit.style import adaptive, to_svg

HERE = Path(__file__).parent
CLASSES = 60  # whose images are shown
EACH = 8  # images of a class
GROUPS = 24  # of duplicates, for each thing that is wrong with them
COPIES = 4  # images of a group
LISTED = 50  # unreadable files
SIZES = 8


def write_inspection(inspection: Inspection, path: Path) -> Path:
    """Write the page of an inspection to `path`."""
    splits = inspection.splits
    album = _Album(splits)
    samples, duplicates = _samples(splits, album), _duplicates(inspection, album)
    counts = {split: list(classes.values()) for split, classes in inspection.counts.items()}
    page = render_page(
        HERE / "inspection.html.jinja",
        styles=[page_style(), *album.styles()],
        script=sorting_script(),
        name=Path(splits.source.paths[0]).name or splits.source.paths[0],
        place=", ".join(splits.source.paths),
        verdict=_verdict(inspection),
        tiles=_tiles(inspection),
        splits=[split.name for split in splits],
        rows=_rows(inspection),
        chart=chart_uri(adaptive(to_svg(class_counts(counts, splits.class_names)))),
        facts=_facts(inspection),
        samples=samples,
        more_classes=len(splits.class_names) - len(samples),
        duplicates=duplicates,
        duplicates_sentence=duplicates_sentence(inspection),
        unreadable=inspection.bad_files[:LISTED],
        more_unreadable=len(inspection.bad_files) - LISTED,
        left_out=splits.reading.left_out if splits.reading else (),
        inspection=inspection,
        command=shlex.join(["tenfold", "train", *splits.source.words]),
        version=version("tenfold"),
    )
    write_text(path, page)
    return path


class _Album:
    """The images that the page shows, each once: `add` gives the tile of a row of the pixels, or None when full."""

    def __init__(self, splits: Splits) -> None:
        self.pixels, self.limit = splits.train.pixels, tile_limit(splits.image_shape)
        self.tiles: dict[int, int] = {}

    def add(self, row: int) -> int | None:
        if row not in self.tiles and len(self.tiles) >= self.limit:
            return None
        return self.tiles.setdefault(row, len(self.tiles))

    def styles(self) -> list[str]:
        return [sheet_css(self.pixels[list(self.tiles)], "t")] if self.tiles else []


def _verdict(inspection: Inspection) -> str:
    """The conclusion, in a sentence."""
    splits = inspection.splits
    count, classes = sum(map(len, splits)), f"{len(splits.class_names):,} classes"
    if not inspection.needs_attention:
        return f"{count:,} images in {classes}: nothing needs attention before training."
    return f"{count:,} images in {classes}. Before training, look at what is listed here."


def _tiles(inspection: Inspection) -> list[tuple[str, str, str]]:
    splits = inspection.splits
    channels, height, width = splits.image_shape
    images, unreadable = sum(map(len, splits)), len(inspection.bad_files)
    leaked = set().union(*(inspection.leaked("test", other) for other in ("train", "validation")))
    drawn = (
        "none: training refuses" if inspection.undrawn else ", ".join(f"{len(s):,} {s.name}" for s in splits)
    )
    return [
        ("Images", f"{images:,}", drawn),
        ("Classes", f"{len(splits.class_names):,}", f"largest {inspection.balance:.1f} times the smallest"),
        ("Trained as", f"{width} × {height}", "grayscale" if channels == 1 else "colour"),
        ("Unreadable", f"{unreadable:,}", percent(unreadable / (images + unreadable))),
        (
            "Test images in another split",
            f"{len(leaked):,}",
            percent(len(leaked) / max(1, len(splits.test))),
        ),
    ]


def _rows(inspection: Inspection) -> list[tuple[str, list[int]]]:
    """Name and number of images in each split, of every class."""
    counts = inspection.counts
    return [(name, [counts[split][name] for split in counts]) for name in inspection.splits.class_names]


def _facts(inspection: Inspection) -> dict[str, str]:
    sizes, modes = list(inspection.sizes.items()), inspection.modes.items()
    more = f", and {len(sizes) - SIZES:,} other sizes" if len(sizes) > SIZES else ""
    return {
        "original sizes": ", ".join(f"{size} ({count:,})" for size, count in sizes[:SIZES]) + more,
        "modes": ", ".join(f"{mode} ({count:,})" for mode, count in modes),
        "channel means": ", ".join(f"{value:.1f}" for value in inspection.channel_mean),
        "channel deviations": ", ".join(f"{value:.1f}" for value in inspection.channel_std),
        "fingerprint": inspection.splits.fingerprint,
    }


# Pictures ----------------------------------------------------------------------------------------------------


def _samples(splits: Splits, album: _Album) -> list[tuple[str, list[int]]]:
    """Tiles of the first training images of every class that is shown."""
    shown = splits.class_names[:CLASSES]
    each = max(1, min(EACH, album.limit // (2 * len(shown))))  # the other half is for duplicates
    labels, rows = np.asarray(splits.train.labels), splits.train.rows
    return [
        (name, _added(album, rows[np.flatnonzero(labels == label)[:each]].tolist()))
        for label, name in enumerate(shown)
    ]


def _added(album: _Album, rows: Iterable[int]) -> list[int]:
    return [tile for row in rows if (tile := album.add(int(row))) is not None]


def _duplicates(inspection: Inspection, album: _Album) -> list[dict[str, Any]]:
    """What is wrong with duplicates: a title, the first groups with their images, and how many more there are."""
    found = (
        ("In two splits: scores on these flatter the model", inspection.leaks),
        ("Labelled with different classes", inspection.disagreements),
    )
    wanted = {
        image.path for _, groups in found for group in groups[:GROUPS] for image in group.images[:COPIES]
    }
    rows = {
        (split.name, path): int(split.rows[position])
        for split in inspection.splits
        for position, path in enumerate(split.paths)
        if path in wanted
    }
    return [
        {
            "title": title,
            "groups": [_group(group, rows, album) for group in groups[:GROUPS]],
            "more": max(0, len(groups) - GROUPS),
        }
        for title, groups in found
        if groups
    ]


def _group(group: Duplicates, rows: dict[tuple[str, str], int], album: _Album) -> dict[str, Any]:
    images = [
        {"tile": album.add(rows[image.split, image.path]), "place": image} for image in group.images[:COPIES]
    ]
    kinds = {"exact": "equal pixels", "name": "by their names", "near": f"similarity {group.similarity:.2f}"}
    kind = kinds[group.kind]
    return {"kind": kind, "images": images, "more": len(group.images) - len(images)}
