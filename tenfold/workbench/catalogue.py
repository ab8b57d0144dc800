"""The list of the built-in recipes. Their files say it all, so nothing slow is imported for it."""

from rich.table import Column, Table

from tenfold.core.terminal import make_console
from tenfold.recipe import builtin_recipes, read_about


def show_recipes() -> None:
    """Print the built-in recipes with what was measured of them."""
    table = Table(
        Column("recipe", no_wrap=True), "what it is, and its measured test accuracy", box=None, pad_edge=False
    )
    for name, path in builtin_recipes().items():
        about = read_about(path)
        measured = ", ".join(part for part in (about.accuracy, about.time, about.hardware) if part)
        table.add_row(f"[bold]{name}[/]", about.summary + (f"\n  {measured}" if measured else ""))
    make_console().print(table, soft_wrap=False)
