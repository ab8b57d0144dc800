"""`relabel.html`: pictures whose labels are likely wrong, to confirm or change by keyboard, and saved as CSV."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tenfold.core.files import write_text
from tenfold.report.kit.gallery import sheet_css
from tenfold.report.kit.shell import page_style, render_page

if TYPE_CHECKING:
    from tenfold.data.shards.pixels import ShardPixels

HERE = Path(__file__).parent
MOST = 500  # suspects on a page, the most suspicious ones


@dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong; row: in the source's pixels; probability: of the suggested class."""

    path: str
    split: str
    label: str
    suggested: str
    probability: float
    row: int


def write_relabel(
    suspects: Sequence[Suspect],
    pixels: "np.ndarray | ShardPixels",
    name: str,
    class_names: Sequence[str],
    path: Path,
) -> Path:
    """Write the page for these suspects of the run `name` to `path`; pixels: (rows, H, W, C) uint8."""
    tiles = sheet_css(pixels[[suspect.row for suspect in suspects]], "t")
    page = render_page(
        HERE / "relabel.html.jinja",
        styles=[
            page_style(),
            (HERE / "relabel.css").read_text(encoding="utf-8"),
            *([tiles] if tiles else []),
        ],
        script=(HERE / "relabel.js").read_text(encoding="utf-8"),
        name=name,
        suspects=suspects,
        class_names=class_names,
    )
    write_text(path, page)
    return path
