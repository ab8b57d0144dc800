"""The verbs that look at what is there: runs and their reports, data, recipes, the cache and weights."""

import json
from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.options import (
    FOLDERS,
    MOVED,
    OWN,
    DataOption,
    DeviceOption,
    FolderWords,
    MovedWords,
    OwnWords,
    RunArgument,
    VerifyOption,
    fetched,
    recipe_and_overrides,
)
from tenfold.core.loading import loading

HOW_TO_READ = "A folder, archive or file, or a source's name; and how to read it."


def report(
    run: RunArgument,
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Also measure accuracy under noise, blur and the like.")
    ] = False,
    moved: MovedWords = MOVED,
    device: DeviceOption = "auto",
    own: OwnWords = OWN,
) -> None:
    """Draw a run's figures and report again.

    With where the model looked in the telling images. Where these are gone, from the saved predictions alone.
    """
    with loading():
        from tenfold.workbench.verbs import renew_report

    print(renew_report(run, corruptions=corruptions, device=device, model=own.given, **moved.keywords))


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more, tested on the same images.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the page.")] = Path("comparison"),
) -> None:
    """Compare runs with paired statistics, as table and page.

    Runs that differ only in their seed are pooled.
    """
    with loading():
        from tenfold.comparison import compare, print_comparison

    print_comparison(compare(runs, out))


def relabel(
    run: RunArgument,
    changes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What the page saved: write the corrected table.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("relabel"),
    device: DeviceOption = "auto",
) -> None:
    """Find likely wrong labels; a page to change them.

    The corrected table is for `train --labels`.
    """
    from tenfold.workbench.relabel import relabel

    relabel(run, changes, out=out, device=device)


def list_runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder of run folders.")] = Path(
        "runs"
    ),
    sort: Annotated[
        str, typer.Option(metavar="COLUMN", help="A column; with a minus, the other way.")
    ] = "accuracy",
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help="Such as accuracy>0.7 or name=base*; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List all runs of a folder, best first."""
    from tenfold.runs import leaderboard

    rows = leaderboard.list_runs(folder, sort, where or ())
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        leaderboard.print_runs(rows)


def inspect_data(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE] [data.KEY=VALUE]...", help=HOW_TO_READ)
    ] = None,
    folders: FolderWords = FOLDERS,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the page and figures.")] = Path(
        "inspection"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and draw nothing.")] = False,
    verify: VerifyOption = False,
) -> None:
    """Look at data: counts, balance, bad files, duplicates.

    As a page, too: inspection.html. Exit status 1 where something needs attention.
    """
    with loading():
        from tenfold.workbench.request import data_options, make_source
        from tenfold.workbench.show import show_inspection

    place, options = recipe_and_overrides(words)
    named = make_source(data=fetched(place), **folders.keywords)
    if show_inspection(named, data_options(options), out=out, as_json=as_json, verify=verify):
        raise typer.Exit(1)


def pack(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE [data.KEY=VALUE]...", help=HOW_TO_READ)
    ] = None,
    shards: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder to make, or to go on with.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="The most images in a shard.")] = 1000,
    folders: FolderWords = FOLDERS,
) -> None:
    """Pack a source's pictures into tar shards, to stream from.

    The same command goes on where it was stopped.
    """
    from tenfold.workbench.request import data_options, make_source
    from tenfold.workbench.show import show_packing

    place, options = recipe_and_overrides(words)
    named = make_source(data=fetched(place), **folders.keywords)
    show_packing(named, shards, data_options(options), images)


def recipes() -> None:
    """List the built-in recipes with what was measured of them."""
    from tenfold.workbench.catalogue import show_recipes

    show_recipes()


def show(
    words: Annotated[
        list[str], typer.Argument(metavar="RECIPE [KEY=VALUE]...", help="A recipe, and values to change.")
    ],
    data: DataOption = None,
    augmentations: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Instead draw images of SOURCE, augmented."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to draw them.")] = Path(
        "augmentations.png"
    ),
) -> None:
    """Print a recipe, and its model's layers for a source."""
    with loading():
        from tenfold.workbench.show import picture_recipe, show_recipe

    recipe, overrides = recipe_and_overrides(words)
    if augmentations is not None:
        picture_recipe(recipe or "digits", overrides, augmentations, out)
    else:
        show_recipe(recipe or "digits", overrides, data)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything in it.")] = False,
) -> None:
    """Show what the cache holds, or remove it."""
    with loading():
        from tenfold.workbench.show import show_cache

    show_cache(clear)


def weights(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[BACKBONE]...", help="Backbones whose weights to fetch.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the checksums that are stated.")
    ] = False,
) -> None:
    """List, fetch and verify pretrained weights."""
    with loading():
        from tenfold.workbench.show import show_weights

    show_weights(names or [], verify)
