"""The command line: one thin function per verb. Heavy imports wait inside the verbs, so that `--help` is instant."""

import errno
import os
import sys
from typing import Annotated

import typer

from tenfold.cli import looking, training, using
from tenfold.cli.options import with_groups
from tenfold.core.errors import TenfoldError, first_line, is_out_of_memory
from tenfold.core.machine import address_space
from tenfold.core.signals import Stopped, raised
from tenfold.core.terminal import forgiving_output
from tenfold.core.text import printable

LEAST_SPACE = 4 << 30  # bytes of address space that PyTorch maps when it is loaded, of which it uses little
app = typer.Typer(
    name="tenfold",
    help="A folder of labelled images in; a trained, tested and explained classifier out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would take longer to import than all the rest of --help
)
# In the order of `tenfold --help`.
VERBS = {
    "train": training.train,
    "resume": training.resume,
    "evaluate": training.evaluate,
    "predict": using.predict,
    "export": using.export,
    "push": using.push,
    "sweep": training.sweep,
    "serve": using.serve,
    "report": looking.report,
    "compare": looking.compare,
    "relabel": looking.relabel,
    "runs": looking.list_runs,
    "inspect": looking.inspect_data,
    "pack": looking.pack,
    "recipes": looking.recipes,
    "show": looking.show,
    "cache": looking.cache,
    "weights": looking.weights,
}
for _name, _verb in VERBS.items():
    app.command(_name)(with_groups(_verb))


def _say_version(wanted: bool) -> None:
    if wanted:
        from tenfold import __version__

        print(f"tenfold {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and exit."),
    ] = False,
) -> None:
    """Train, test, explain and use image classifiers."""


def main() -> None:
    """Run the command line; errors that tenfold explains end it with their message and exit status."""
    _wait_politely()
    try:
        with raised(), forgiving_output():
            _run()
    except Stopped as stopped:
        stopped.die()


def _run() -> None:
    try:
        app(prog_name="tenfold")
    except TenfoldError as error:
        print(f"tenfold: {printable(str(error), keep=chr(10))}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(training.STOPPED)
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        lacking = _lacking(error)
        if lacking is None:
            raise
        print(f"tenfold: {lacking}", file=sys.stderr)
        sys.exit(1)


def _lacking(error: Exception) -> str | None:
    """What to do where memory or open files are used up, by what limits them; None where it is something else."""
    said, space = printable(first_line(error)), address_space()
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        return f"too many files are open at once ({said}). `ulimit -n 64` and more is enough."
    if not is_out_of_memory(error):
        return None
    if space is not None and space < LEAST_SPACE:
        return (
            f"the address space of {space / 2**30:.1f} GiB that `ulimit -v` allows is used up ({said}). PyTorch "
            f"alone takes up to {LEAST_SPACE >> 30} GiB of it: `ulimit -v unlimited` lifts the limit."
        )
    return (
        f"the memory is used up ({said}). Halve fit.batch_size or data.image_size, choose a smaller model, or allow "
        "the process more memory."
    )


def _wait_politely() -> None:
    """Let PyTorch's threads spin only briefly for each other, unless the user has chosen how they wait.

    libgomp, which PyTorch on Linux brings, spins for milliseconds by default; beside another busy process that
    makes training several times slower (docs/log.md). It reads this when PyTorch is first imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
