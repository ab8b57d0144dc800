"""A run's report made anew, with what it takes the model to say."""

from pathlib import Path

from tenfold.environment import choose_device
from tenfold.explain import explain, robustness
from tenfold.report import write_report
from tenfold.run import Run, load_run


def renew_report(run: str | Path | Run, *, corruptions: bool = False, device: str = "auto") -> Path:
    """Write a run's figures and report again, with Grad-CAM and, if asked for, accuracy under corruptions.

    Raises InputError where the run has no metrics yet, or where its data or model are gone.
    """
    run = run if isinstance(run, Run) else load_run(run)
    splits, model, where = run.splits(), run.model(), choose_device(device)
    with run.lock():
        explain(run, model, splits.test, where)
        if corruptions:
            robustness(run, model, splits.test, where)
        return write_report(run, splits)
