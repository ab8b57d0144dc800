"""The verb: opens the runs, has them compared, and writes the page."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from tenfold.comparison.page import write_comparison
from tenfold.comparison.pairing import Comparison, compare_runs
from tenfold.core.errors import InputError
from tenfold.core.files import make_output_folder, write_json
from tenfold.runs.folder import Run, load_run


def compare(runs: Iterable[str | Path | Run], out: str | Path = "comparison") -> Comparison:
    """Compare two or more runs; write `comparison.html` and `comparison.json` into the folder `out`.

    Raises InputError for fewer than two runs, and, with the difference named, for runs that were tested on
    different images or classes.
    """
    opened = [run if isinstance(run, Run) else load_run(run) for run in runs]
    if len({run.path.resolve() for run in opened}) < 2:
        raise InputError("compare needs two different runs or more; `tenfold runs` lists those there are.")
    out = Path(out)
    comparison = compare_runs(opened, out / "comparison.html")
    make_output_folder(out)
    pairs = [asdict(pair) for pair in comparison.pairs]
    write_json(out / "comparison.json", {"rows": comparison.rows, "pairs": pairs})
    write_comparison(comparison)
    return comparison
