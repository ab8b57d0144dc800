"""The verb: settles a sweep or takes it up again, has it driven, names the winner, and only then tests it."""

import glob
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any, Unpack

import numpy as np

from tenfold.comparison.statistics import mean_interval
from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import explained_write, remove_folder, remove_leftovers
from tenfold.core.signals import Stopped
from tenfold.models import OwnModel, given_model
from tenfold.models.own import check_own
from tenfold.recipe import Recipe
from tenfold.runs.environment import command_line
from tenfold.sweeps.display import SweepDisplay, continue_command
from tenfold.sweeps.drive import Driver
from tenfold.sweeps.journal import FILE, VERSION, Journal
from tenfold.sweeps.ledger import Ledger, read_ledger
from tenfold.sweeps.page import save_results
from tenfold.sweeps.plan import SweepPlan, differences, plan_sweep
from tenfold.sweeps.results import Results, importance_of
from tenfold.sweeps.settings import Crew, SweepOptions, values_of
from tenfold.workbench.request import Model, compose, make_source
from tenfold.workbench.verbs import choose_recipe, evaluate


def sweep(
    recipe: str | Path | Recipe | None = None,
    space: Mapping[str, Any] | None = None,
    *,
    overrides: Iterable[str] | Mapping[str, Any] = (),
    out: str | Path = "runs",
    name: str | None = None,
    overwrite: bool = False,
    retry: bool = False,
    finish: bool = False,
    progress: bool = True,
    model: Model | None = None,
    **options: Unpack[SweepOptions],
) -> Results:
    """Vary a recipe over `space` and seeds, choose a winner on validation images, test it once, and report.

    `space` maps keys to lists of values or to ranges ("1e-4..1e-1:log"), on top of the recipe's `[sweep]` table.
    The source is named as for `tenfold.train`: `data`, or `train`, `validation` and `test` folders.

    `seeds` trains each candidate with so many seeds; `search` is grid, random or tpe; `trials` counts the candidates;
    `prune` leaves the weaker ones behind early (successive halving). `minutes` limits the whole; `device` is where to
    compute. `workers` processes of `threads` threads train side by side, or the nodes of a Ray `cluster`; `memory`
    (MiB) limits what one trial may take.

    A `name` that exists goes on where it stands; without a recipe, with the settings that it has. `retry` tries
    failed trials again; `finish` names the winner of what is there. `model` is a module of your own as a function or
    class that worker processes can import; going on with such a sweep needs it again. Raises InputError for what
    cannot be used, and TenfoldError where another process drives the sweep or every trial failed.

        results = tenfold.sweep("sweep-filters", {"model.filters": [16, 32, 64]}, seeds=3, workers=2)
        results.winner, results.test["accuracy"], results.verdict
    """
    settings, crew, words = values_of(space, options)
    own = None if model is None else _importable(model, crew)
    overrides = overrides if isinstance(overrides, Mapping) else list(overrides)
    folder = None if name is None else _folder(Path(out), name)
    known = folder is not None and not overwrite and (folder / FILE).is_file()
    if known and not (recipe or overrides or settings.any_said or any(words.values())):
        plan = None
    else:
        source = make_source(**words)
        choice = choose_recipe(compose(recipe, overrides, own=own), source)
        chosen, title = choice.recipe, choice.name
        plan = plan_sweep(title, chosen, settings, source)
        folder = folder or _free_folder(Path(out), f"{title}-sweep")
    assert folder is not None
    _make_folder(folder, overwrite)
    journal = Journal(folder)
    with journal.lock():
        ledger = _opened(journal, plan, retry)
        if ledger.tested is None:
            check_own(ledger.plan.base.model, own)
        display = SweepDisplay(progress)
        if finish or _trained(Driver(journal, ledger, crew, display, command_line(), own), settings.minutes):
            _conclude(journal, ledger, folder, own)
            results = _saved(folder, ledger)
            display.finished(results)
            return results
        display.paused(folder, f"the time limit is reached ({settings.minutes:g} min)")
        return _saved(folder, ledger)


def _importable(model: Model, crew: Crew) -> OwnModel:
    """The user's own model, which workers import by its path. Raises InputError where they could not."""
    own = given_model(model)
    if not own.code:
        raise InputError(
            "model: trials run in processes of their own, which import it by its path. Give a function (image_shape, "
            "classes) or a class that stands in a module."
        )
    if crew.cluster is not None:
        raise InputError(
            "--cluster: its nodes may not have the module of your own that --model names. Leave --cluster out."
        )
    return own


def _folder(out: Path, name: str) -> Path:
    if not name or Path(name).name != name:
        raise InputError(f"--name {name!r}: expected a plain folder name; use --out for the folder above it.")
    return out / name


def _free_folder(out: Path, name: str) -> Path:
    return next(path for number in count(1) if not (path := out / f"{name}-{number}").exists())


def _make_folder(folder: Path, overwrite: bool) -> None:
    """Make the sweep's folder, or empty it; a folder that is something else is left alone."""
    with explained_write(folder):
        folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, glob.escape(folder.name))
    if (folder / FILE).is_file():
        if overwrite:
            with Journal(folder).lock():
                remove_folder(folder)
            folder.mkdir()
    elif any(path.name != "lock" for path in folder.iterdir()):
        raise InputError(f"{folder}: exists and is not a sweep. Choose another --name.")


def _opened(journal: Journal, plan: SweepPlan | None, retry: bool) -> Ledger:
    """The sweep as it stands; a new one begins with its plan. Raises InputError where it has another plan."""
    if not journal.events:
        if plan is None:
            raise InputError(
                f"{journal.path}: is empty. Give the recipe and what to vary, to begin the sweep anew."
            )
        journal.append({"event": "plan", "version": VERSION, "plan": plan.to_json()})
    ledger = read_ledger(journal)
    changed = [] if plan is None else differences(ledger.plan, plan)
    if changed:
        raise InputError(
            f"{journal.folder}: was begun as another sweep: {'; '.join(changed)}. Choose another --name, give "
            f"--overwrite to replace it, or go on with it as it is: `{continue_command(journal.folder)}`."
        )
    ledger.forget_running()
    for trial in ledger.trials if retry and ledger.winner is None else []:
        if trial.state == "failed":
            event = {"event": "retry", "trial": trial.number}
            journal.append(event)
            ledger.apply(event)
    return ledger


def _trained(driver: Driver, minutes: float | None) -> bool:
    """Train what there is to train; False where the time was up before the plan was carried out.

    Raises InputError where nothing but time ends the search, and none is given.
    """
    display, ledger = driver.display, driver.ledger
    if minutes is not None:
        driver.deadline = time.monotonic() + 60 * minutes
    elif ledger.plan.trials is None:
        raise InputError("time alone ends this search: give --minutes, or --finish to name its winner now.")
    if ledger.winner is not None:
        return True
    try:
        with closing(driver.workers), display.running(ledger, driver.folder, driver.workers.described()):
            return driver.run() or ledger.plan.trials is None
    except (KeyboardInterrupt, Stopped):
        display.paused(driver.folder, "stopped")
        raise


def _conclude(journal: Journal, ledger: Ledger, folder: Path, own: OwnModel | None) -> None:
    """Name the winner, and only then open the test images, once."""
    if ledger.winner is None:
        best = ledger.choose_winner()
        if best is None:
            raise _nothing_to_choose(ledger, folder)
        _note(journal, ledger, {"event": "winner", "candidate": best.number})
    if ledger.tested is None:
        _note(journal, ledger, {"event": "tested", "test": _tested(ledger, folder, own)})


def _note(journal: Journal, ledger: Ledger, event: dict[str, Any]) -> None:
    journal.append(event)
    ledger.apply(event)


def _tested(ledger: Ledger, folder: Path, own: OwnModel | None) -> dict[str, Any]:
    """The winner's test accuracy over its seeds; a run that was tested before a kill is not tested again.

    The report is the last that testing writes: without it, a kill came in between.
    """
    assert ledger.winner is not None
    runs = Results(folder, ledger).runs(ledger.winner)
    for run in runs:
        if not run.report.is_file():
            evaluate(run, device=ledger.plan.device, progress=False, model=own)
    measured = [run.metrics["test"] for run in runs]
    accuracies, n = [test["accuracy"] for test in measured], measured[0]["n"]
    answers = [run.predictions("test") for run in runs]
    low, high = mean_interval(np.array([each.predicted == each.labels for each in answers]))
    return {
        "accuracy": fmean(accuracies),
        "accuracy_ci95": [low, high],
        "accuracies": accuracies,
        "n": n,
    }


def _nothing_to_choose(ledger: Ledger, folder: Path) -> TenfoldError:
    failed = [trial for trial in ledger.trials if trial.state == "failed"]
    if not failed:
        return TenfoldError(
            f"{folder}: no candidate is trained to the end yet. `{continue_command(folder)}` goes on."
        )
    return TenfoldError(
        f"{folder}: no candidate could be trained to the end; {len(failed)} of {len(ledger.trials)} trials failed, "
        f"the first ({failed[0].folder}) because: {failed[0].outcome['error']} When that is mended, "
        f"`{continue_command(folder)} --retry` tries them again."
    )


def _saved(folder: Path, ledger: Ledger) -> Results:
    results = Results(folder, ledger, importance_of(ledger))
    save_results(results)
    return results
