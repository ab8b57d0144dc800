"""A new run's folder: made beside its place, with all that is known before the first epoch, and renamed into it.

So a kill leaves a run that can be gone on with, or nothing but a hidden folder that a later run removes.
"""

import errno
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from tenfold.core.errors import InputError
from tenfold.core.files import put_folder, remove_leftovers, sync, whole_folder
from tenfold.core.world import launch_name
from tenfold.runs.files import FolderFile, Place
from tenfold.runs.folder import Run


def create_run(
    out: Path, name: str | None, default_name: str, begin: Callable[[Run], None], *, overwrite: bool = False
) -> Run:
    """Make a new run `out/name`, or `out/default_name-N` with the first free number, with what `begin` writes in it.

    Raises InputError where `name` exists and `overwrite` is not set, where the folder is not a run, or where `out`
    cannot be written, and TenfoldError where the disk is full or another process works on the run.
    """
    if name is not None and (name in {"", ".."} or Path(name).name != name):
        raise InputError(f"--name {name!r}: expected a plain folder name; use --out for the folder above it.")
    if name is not None:
        _check_place(out / name, overwrite)
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_leftovers(out)
        with whole_folder(out / (name or default_name)) as beside:
            begin(Run(beside))
            sync(beside)
            path = _number(beside, out, default_name) if name is None else _replace(beside, out / name)
        sync(out)
        return Run(path)
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written ({error.strerror}). Choose another folder with --out."
        ) from error


def restarted_run(out: Path) -> Run | None:
    """The run in `out` that processes of the same launch began, before some of them were lost."""
    for path in sorted(out.iterdir()) if out.is_dir() else ():
        run = Run(path)
        if run.has(Run.environment) and run.environment.get("launch") == launch_name():
            return run
    return None


def _number(beside: Path, out: Path, default_name: str) -> Path:
    """Rename the folder to the first free number; another process may take it between the look and the rename."""
    number = 1
    while True:
        path = out / f"{default_name}-{number}"
        if not path.exists():
            try:
                return beside.rename(path)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
        number += 1


def _replace(beside: Path, path: Path) -> Path:
    """Put the folder where a run may lie already, which nobody may be working on."""
    with Run(path).lock() if path.exists() else nullcontext():
        put_folder(beside, path)
    return path


def _check_place(path: Path, overwrite: bool) -> None:
    """Raise InputError where `path` is taken by something that is not to be replaced."""
    if not path.exists():
        return
    if not overwrite:
        raise InputError(f"{path}: exists already. Choose another --name, or give --overwrite to replace it.")
    if not path.is_dir() or not (Run(path).has(Run.recipe) or _abandoned(path)):
        raise InputError(
            f"{path}: is not a run folder, so it is not overwritten. Choose another --name, or remove it yourself."
        )


def _abandoned(path: Path) -> bool:
    """Whether a folder without recipe holds nothing, or only what a run of tenfold's that lost its recipe would."""
    names = {entry.name for entry in path.iterdir() if not entry.match(".*.[0-9]*.tmp")}
    if not names:
        return True
    known = {Path(kind.name).parts[0] for kind in vars(Run).values() if isinstance(kind, FolderFile | Place)}
    run = Run(path)
    return names <= known and (run.has(Run.state) or (run.checkpoint / "lock").is_file())
