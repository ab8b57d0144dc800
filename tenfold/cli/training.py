"""The verbs that train and test: train, resume, evaluate, sweep."""

import time
from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.options import (
    MOVED,
    OWN,
    PROCESSES,
    SOURCE,
    DataOption,
    DeviceOption,
    LabelsOption,
    MovedWords,
    OwnWords,
    ProcessWords,
    RunArgument,
    RunsFolder,
    SourceWords,
    VerifyOption,
    fetched,
    is_source,
    keywords,
    recipe_and_overrides,
)
from tenfold.core.loading import loading

# The exit status after Ctrl-C, as shells have it: 128 and the number of the signal.
STOPPED = 130


def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE] [KEY=VALUE]...", help="A recipe, and values to change in it."),
    ] = None,
    source: SourceWords = SOURCE,
    out: RunsFolder = Path("runs"),
    name: Annotated[
        str | None, typer.Option(help="The run's name (default: the recipe's and a number).")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Short for fit.seed=N.")] = None,
    device: DeviceOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run of that name.")] = False,
    track: Annotated[
        str | None,
        typer.Option(metavar="tensorboard|mlflow", help="Also log into a tracker (extra `track`)."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Be done by then: choose and scale a recipe, or train the one named so long."
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2, max=50, help="Test every image once, each by one of so many models that never saw it."
        ),
    ] = None,
    own: OwnWords = OWN,
    verify: VerifyOption = False,
    processes: ProcessWords = PROCESSES,
) -> None:
    """Train a recipe on a source, test it, and write its report."""
    processes.start(device)
    given, began = keywords(locals()), time.perf_counter()  # Loading what trains takes seconds; they count.
    with loading():
        from tenfold.workbench.verbs import train

    recipe, overrides = recipe_and_overrides(words)
    if recipe and given["data"] is None and is_source(recipe):
        recipe, given["data"] = None, fetched(recipe)  # `tenfold train photos/`
    train(recipe, overrides=overrides, began=began, **given)


def resume(
    run: RunArgument,
    moved: MovedWords = MOVED,
    device: DeviceOption = "auto",
    own: OwnWords = OWN,
    processes: ProcessWords = PROCESSES,
) -> None:
    """Go on with an interrupted run from its last checkpoint."""
    processes.start(device)
    with loading():
        from tenfold.workbench.verbs import resume

    resume(run, device=device, model=own.given, **moved.keywords)


def evaluate(
    run: RunArgument,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[data.KEY=VALUE]...", help="How to read the images of --data."),
    ] = None,
    data: DataOption = None,
    labels: LabelsOption = None,
    device: DeviceOption = "auto",
    own: OwnWords = OWN,
    processes: ProcessWords = PROCESSES,
) -> None:
    """Test a run's model again, on its data or on other images."""
    processes.start(device)
    with loading():
        from tenfold.workbench.verbs import evaluate

    given = words or []
    evaluate(run, data=fetched(data), labels=labels, device=device, model=own.given, overrides=given)


def sweep(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE] [KEY=V1,V2 | KEY=LOW..HIGH[:log] | KEY=VALUE]...",
            help="A recipe, what to vary in it, and values to change.",
        ),
    ] = None,
    source: SourceWords = SOURCE,
    out: RunsFolder = Path("runs"),
    name: Annotated[str | None, typer.Option(help="The sweep's name; one that exists goes on.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Train each candidate with so many seeds.")] = None,
    search: Annotated[str | None, typer.Option(metavar="grid|random|tpe", help="How to search.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="The most candidates to try.")] = None,
    prune: Annotated[
        bool | None, typer.Option("--prune/--no-prune", help="Leave weak candidates behind early.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Trials at a time (default: 1).")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads a trial (default: a share).")] = None,
    memory: Annotated[
        int | None, typer.Option(min=1, metavar="MIB", help="The most a trial may take.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Train on a Ray cluster (extra: cluster).")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try failed trials again.")] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Name the winner of what is trained by now.")
    ] = False,
    device: DeviceOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the sweep of that name.")] = False,
    own: OwnWords = OWN,
) -> None:
    """Vary a recipe over values and seeds; test the winner once."""
    given = keywords(locals())
    with loading():
        from tenfold.sweeps.conduct import sweep
        from tenfold.sweeps.space import split_words

    recipe, rest = recipe_and_overrides(words)
    space, overrides = split_words(rest)
    try:
        sweep(recipe, space, overrides=overrides, **given)
    except KeyboardInterrupt:  # The sweep has said how to go on.
        raise typer.Exit(STOPPED) from None
