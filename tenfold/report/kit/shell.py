"""The shell of every page that tenfold writes: one file, its style and script inside, and a policy against all else.

Names of classes and files are hostile input. Jinja escapes them, scripts only ever set text, and the policy forbids
every request, and every script or style but the page's own, by their hashes.
"""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tenfold.core.numbers import interval, percent, plain, raw


def page_style() -> str:
    """The style that all pages share."""
    return (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def sorting_script() -> str:
    """The script that sorts a page's tables."""
    return (Path(__file__).parent / "sort.js").read_text(encoding="utf-8")


def render_page(template: Path, *, styles: Iterable[str], script: str, **values: Any) -> str:
    """Render a template with its styles and script inside, and a policy that allows nothing else."""
    environment = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"percent": percent, "plain": plain, "interval": interval, "raw": raw}
    styles = [style.replace("</", "<\\/") for style in styles]
    allowed = " ".join(f"'{_hash(style)}'" for style in styles)
    policy = (
        f"default-src 'none'; img-src data:; style-src {allowed}; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template(template.name)
    return page.render(
        styles=[Markup(style) for style in styles],
        script=Markup(script),
        policy=policy,
        **values,
    )


def chart_uri(svg: str) -> str:
    """An SVG as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
