"""One look for every figure: colours, fonts, short names, and how a figure becomes SVG or PNG.

The lines' colours are Okabe and Ito's, the classes' are Petroff's ten: both can be told apart by readers with
any common kind of colour blindness.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text

INK, MUTED, GRID, PAPER = "#1b2127", "#5a6570", "#e2e6ea", "#ffffff"
TRAINING, VALIDATION, BEST, WARNING = "#0072b2", "#d55e00", "#007a5a", "#a8456f"
SPLITS = {"train": TRAINING, "validation": VALIDATION, "test": BEST}
CLASSES = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)

# What a page shows in the place of each colour when its reader prefers a dark one.
DARK = {
    INK: "#e8ebee",
    MUTED: "#a3aeb9",
    GRID: "#303841",
    PAPER: "#181d23",
    TRAINING: "#58b4f0",
    VALIDATION: "#ff9a4d",
    BEST: "#3fc9a0",
    WARNING: "#e78fb3",
    "#832db6": "#b57bdc",
    "#bd1f01": "#ff6f55",
    "#717581": "#9aa0ad",
}

# Fonts of the scripts that DejaVu lacks, on Linux, macOS and Windows; those that are here are used.
_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC"),
    *(
        "Hiragino Sans",
        "Microsoft YaHei",
        "Malgun Gothic",
        "Arial Unicode MS",
        "Noto Sans Arabic",
        "Geeza Pro",
    ),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Nirmala UI", "Noto Emoji", "Segoe UI Emoji", "Unifont"),
)
# So many letters of a name are spelt out where no font has them.
_SPELT = 2

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # A class may be called "$5".
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 2,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": PAPER,
    "svg.fonttype": "none",
    "svg.hashsalt": "tenfold",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw or save figures in the shared style; nothing outside the block changes."""
    with rc_context(_STYLE | {"font.sans-serif": list(_families())}), warnings.catch_warnings():
        # A name in a script that no font here has: a browser has one for the SVG, and the PNG spells it out.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@cache
def _families() -> tuple[str, ...]:
    """DejaVu and the fonts of other scripts that are here; the last stand in where an SVG is shown without DejaVu."""
    here = set(fontManager.get_font_names())
    present = (name for name in _SCRIPTS if name in here)
    return ("DejaVu Sans", *present, "Verdana", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif")


@cache
def _letters() -> frozenset[int]:
    """The code points that the fonts here can draw."""
    here = set(fontManager.get_font_names())
    fonts = [get_font(fontManager.findfont(name)) for name in _families() if name in here]
    return frozenset(code for font in fonts for code in font.get_charmap())


def drawable(text: str) -> str:
    """The text with escapes, as in a terminal, for letters that no font here has: \\u72ac instead of a box."""
    missing = [letter for letter in text if ord(letter) not in _letters() and letter != "\n"]
    spelt = {letter: letter.encode("unicode_escape").decode() for letter in missing[:_SPELT]}
    if len(missing) > len(spelt):
        kept = text[: text.index(missing[_SPELT])] + "…"
        return "".join(spelt.get(letter, letter) for letter in kept)
    return "".join(spelt.get(letter, letter) for letter in text)


class Picture(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        return to_png(self)


def new_figure(
    width: float, height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of `width` x `height` inches without pyplot's global state, and its axes."""
    figure = Picture(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def settle(figure: Figure) -> None:
    """Lay the figure out now and for good, so that saving it twice does not do so twice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        with styled():
            engine.execute(figure)
    figure.set_layout_engine(None)


def to_svg(figure: Figure) -> str:
    """The figure as an SVG text that is the same each time."""
    text = io.StringIO()
    with styled():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def to_png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as a PNG, whose letters are those that the fonts here can draw."""
    image = io.BytesIO()
    texts = [(part, part.get_text()) for part in figure.findobj(Text) if isinstance(part, Text)]
    with styled():
        for part, text in texts:
            part.set_text(drawable(text))
        figure.savefig(image, format="png", dpi=dpi, metadata={"Software": None})
        for part, text in texts:
            part.set_text(text)
    return image.getvalue()


def adaptive(svg: str) -> str:
    """The SVG with its colours as variables that turn with the reader's light or dark scheme."""
    names = {light: f"--c{number}" for number, light in enumerate(DARK)}
    light = "".join(f"{names[colour]}:{colour};" for colour in DARK)
    dark = "".join(f"{names[colour]}:{DARK[colour]};" for colour in DARK)
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    pattern = re.compile("|".join(map(re.escape, names)), re.IGNORECASE)
    body = pattern.sub(lambda match: f"var({names[match.group().lower()]})", svg)
    start = body.index(">", body.index("<svg")) + 1
    return body[:start] + style + body[start:]


def title(axes: Axes, text: str, note: str = "") -> None:
    """A bold title on the left, and beneath it a muted note."""
    # At a set height: to look for what it might overlap, every drawing would measure the axes' letters anew.
    axes.set_title(text, pad=24 if note else 10, y=1)
    if note:
        axes.annotate(
            note, (0, 1), (0, 7), xycoords="axes fraction", textcoords="offset points", color=MUTED, size=9
        )
