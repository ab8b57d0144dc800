"""The command line: one thin function per verb. Heavy imports wait inside the verbs, so that `--help` is instant."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenfold.core.errors import TenfoldError
from tenfold.core.terminal import forgiving_output, make_console
from tenfold.core.text import printable

if TYPE_CHECKING:
    from tenfold.models import OwnModel

SOURCES = (".zip", ".tar", ".tar.gz", ".tgz", ".npz", ".parquet")
# The exit status after Ctrl-C, as shells have it: 128 and the number of the signal.
STOPPED = 130

app = typer.Typer(
    name="tenfold",
    help="A folder of labelled images in; a trained, tested and explained classifier out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would take longer to import than all the rest of --help
)

DataOption = Annotated[
    str | None,
    typer.Option("--data", metavar="SOURCE", help="A folder, archive or file, or digits, cifar10, cifar100."),
]
TrainOption = Annotated[
    list[str] | None, typer.Option("--train", metavar="DIR", help="Training folder; repeatable.")
]
ValidationOption = Annotated[
    list[str] | None, typer.Option("--validation", metavar="DIR", help="Validation folder; repeatable.")
]
TestOption = Annotated[
    list[str] | None, typer.Option("--test", metavar="DIR", help="Test folder; repeatable.")
]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="MODULE:NAME", help="A module of your own; needs --trust-code."),
]
TrustOption = Annotated[
    bool, typer.Option("--trust-code", help="Confirm that the code which --model names may run.")
]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="First compare every image with what the cache was made from.")
]
MovedOption = Annotated[
    str | None,
    typer.Option("--data", metavar="SOURCE", help="Where the run's images are now, if they have moved."),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or its name below runs/.")]


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


@app.command()
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE] [KEY=VALUE]...", help="A recipe, and values to change in it."),
    ] = None,
    data: DataOption = None,
    train: TrainOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of run folders.")] = Path("runs"),
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
    model: ModelOption = None,
    trust_code: TrustOption = False,
    verify: VerifyOption = False,
) -> None:
    """Train a recipe on a source, test it, and write its report."""
    began = time.perf_counter()  # Loading what trains takes seconds, and they count.
    from tenfold.workbench import verbs as workbench

    recipe, overrides = _recipe_and_overrides(words or [])
    if recipe and data is None and _is_source(recipe):
        recipe, data = None, recipe  # `tenfold train photos/`
    workbench.train(
        recipe,
        data=data,
        train=train or (),
        validation=validation or (),
        test=test or (),
        out=out,
        name=name,
        overwrite=overwrite,
        track=track,
        minutes=minutes,
        began=began,
        seed=seed,
        device=device,
        overrides=overrides,
        model=_own_model(model, trust_code),
        verify=verify,
    )


@app.command()
def resume(
    run: RunArgument,
    data: MovedOption = None,
    device: DeviceOption = "auto",
    model: ModelOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Go on with an interrupted run from its last finished epoch."""
    from tenfold.workbench import verbs as workbench

    workbench.resume(run, device=device, model=_own_model(model, trust_code), data=data)


@app.command()
def evaluate(
    run: RunArgument,
    data: DataOption = None,
    device: DeviceOption = "auto",
    model: ModelOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Test a run's model again, on its data or on other images."""
    from tenfold.workbench import verbs as workbench

    workbench.evaluate(run, data=data, device=device, model=_own_model(model, trust_code))


@app.command()
def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run, an exported folder, or hf:OWNER/NAME.")],
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[IMAGES]...",
            help="Files, folders, globs, archives, tables, sources, http(s) addresses, or - for standard input.",
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="Only the K most probable classes.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="table|csv|jsonl|parquet", help="How to write the answers."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write them to FILE (its ending names the format).")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Probabilities without the temperature.")] = False,
    accuracy: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Call an answer unsure below what is so accurate on validation."),
    ] = 0.95,
    conformal: Annotated[
        float | None,
        typer.Option(metavar="COVERAGE", help="Add the set of classes that holds the true one so often."),
    ] = None,
    device: DeviceOption = "auto",
    model: ModelOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Say what is on pictures: classes with probabilities.

    Exit status 1 where some could not be read.
    """
    from tenfold.inference.command import predict_command
    from tenfold.inference.predict import Question

    question = Question(accuracy, conformal, raw)
    own = _own_model(model, trust_code)
    if not predict_command(run, images or [], question, top=top, form=form, out=out, device=device, own=own):
        raise typer.Exit(1)


@app.command()
def export(
    run: RunArgument,
    format: Annotated[
        str, typer.Option(metavar="onnx,torch,openvino", help="Formats; ONNX is always among them.")
    ] = "onnx",
    quantize: Annotated[
        str | None, typer.Option(metavar="int8", help="Also a model in integers of 8 bits.")
    ] = None,
    max_loss: Annotated[
        float, typer.Option(metavar="SHARE", help="Validation accuracy that int8 may lose at most.")
    ] = 0.01,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder to make (default: RUN/export).")
    ] = None,
    license: Annotated[
        str | None, typer.Option(metavar="NAME", help="For the model card, such as apache-2.0.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    model: ModelOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Make a folder of a run that works without tenfold.

    Every format is proven to answer as the run did.
    """
    from tenfold.inference.export import export as make

    exported = make(
        run,
        format=[name.strip() for name in format.split(",") if name.strip()],
        quantize=quantize,
        max_loss=max_loss,
        out=out,
        license=license,
        overwrite=overwrite,
        model=_own_model(model, trust_code),
    )
    make_console().print(exported)
    for line in exported.remarks():
        print(line)


@app.command()
def push(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run that was exported, or an exported folder.")
    ],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME on the hub.")],
    private: Annotated[bool, typer.Option("--private", help="For you alone, where it is new.")] = False,
) -> None:
    """Upload an exported folder to the Hugging Face hub."""
    from tenfold.inference.export import push as upload

    print(upload(run, repository, private=private))
    print(f"try it: tenfold predict hf:{repository} picture.jpg")


@app.command()
def sweep(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE] [KEY=V1,V2 | KEY=LOW..HIGH[:log] | KEY=VALUE]...",
            help="A recipe, what to vary in it, and values to change.",
        ),
    ] = None,
    data: DataOption = None,
    train: TrainOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of run folders.")] = Path("runs"),
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
    model: ModelOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Vary a recipe over values and seeds; test the winner once."""
    given = _options(locals())
    given["model"] = _own_model(given["model"], given.pop("trust_code"))
    from tenfold.sweeps.conduct import sweep as conduct
    from tenfold.sweeps.space import split_words

    recipe, rest = _recipe_and_overrides(words or [])
    space, overrides = split_words(rest)
    try:
        conduct(recipe, space, overrides=overrides, **given)
    except KeyboardInterrupt:  # The sweep has said how to go on.
        raise typer.Exit(STOPPED) from None


@app.command()
def serve(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or an exported one.")],
    host: Annotated[
        str, typer.Option(metavar="H", help="Where to listen; elsewhere than here, with a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0: a free one.")] = 8000,
    corrections: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where corrections go (default: corrections/NAME)."),
    ] = None,
    model: ModelOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Serve a model: a page to drop pictures on, and JSON.

    Ctrl-C ends it. Elsewhere than on this machine, clients need the token in TENFOLD_TOKEN, or the one printed.
    """
    from tenfold.serving.verb import make_server

    own = _own_model(model, trust_code)
    make_server(run, host=host, port=port, corrections=corrections, model=own).run(announce=print)


@app.command()
def report(
    run: RunArgument,
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Also measure accuracy under noise, blur and the like.")
    ] = False,
    data: MovedOption = None,
    device: DeviceOption = "auto",
    model: ModelOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Draw a run's figures and report again.

    With where the model looked in the telling images.
    """
    from tenfold.workbench.verbs import renew_report

    own = _own_model(model, trust_code)
    print(renew_report(run, corruptions=corruptions, device=device, model=own, data=data))


@app.command()
def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more, tested on the same images.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the page.")] = Path("comparison"),
) -> None:
    """Compare runs with paired statistics, as table and page.

    Runs that differ only in their seed are pooled.
    """
    from tenfold.comparison import compare, print_comparison

    print_comparison(compare(runs, out))


@app.command("runs")
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


@app.command("inspect")
def inspect_data(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="A folder, archive or file, or a source's name.")
    ] = None,
    train: TrainOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to draw counts and samples.")] = Path(
        "inspection"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and draw nothing.")] = False,
    verify: VerifyOption = False,
) -> None:
    """Look at data: counts, balance, bad files, duplicates.

    Exit status 1 where something needs attention.
    """
    from tenfold.workbench.show import show_inspection
    from tenfold.workbench.verbs import make_source

    folders = make_source(source, train or (), validation or (), test or ())
    if show_inspection(folders, out=out, as_json=as_json, verify=verify):
        raise typer.Exit(1)


@app.command()
def recipes() -> None:
    """List the built-in recipes with what was measured of them."""
    from tenfold.workbench.show import show_recipes

    show_recipes()


@app.command()
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
    from tenfold.workbench.show import picture_recipe, show_recipe

    recipe, overrides = _recipe_and_overrides(words)
    if augmentations is not None:
        picture_recipe(recipe or "digits", overrides, augmentations, out)
    else:
        show_recipe(recipe or "digits", overrides, data)


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything in it.")] = False,
) -> None:
    """Show what the cache holds, or remove it."""
    from tenfold.workbench.show import show_cache

    show_cache(clear)


@app.command()
def weights(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[BACKBONE]...", help="Backbones whose weights to fetch.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the checksums that are stated.")
    ] = False,
) -> None:
    """List, fetch and verify pretrained weights."""
    from tenfold.workbench.show import show_weights

    show_weights(names or [], verify)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """A verb's options by their names, which are the keywords of the function it calls: all but its words.

    Those that may be repeated are empty where they are not given.
    """
    repeatable = ("train", "validation", "test")
    return {
        name: value or () if name in repeatable else value for name, value in given.items() if name != "words"
    }


def _own_model(code: str | None, trusted: bool) -> "OwnModel | None":
    """The model that `--model` names, imported only if `--trust-code` confirms it."""
    if code is None and not trusted:
        return None  # without PyTorch, which a prediction may do without
    from tenfold.models import named_model

    return named_model(code, trusted)


def main() -> None:
    """Run the command line; errors that tenfold explains end it with their message and exit status."""
    _wait_politely()
    with forgiving_output():
        try:
            app(prog_name="tenfold")
        except TenfoldError as error:
            print(f"tenfold: {printable(str(error), keep=chr(10))}", file=sys.stderr)
            sys.exit(error.exit_status)
        except KeyboardInterrupt:
            sys.exit(STOPPED)


def _wait_politely() -> None:
    """Let PyTorch's threads spin only briefly for each other, unless the user has chosen how they wait.

    libgomp, which PyTorch on Linux brings, spins for milliseconds by default; beside another busy process that
    makes training several times slower (docs/log.md). It reads this when PyTorch is first imported.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _is_source(word: str) -> bool:
    """Whether a word in a recipe's place is a source: a folder, or written as a path, but not as a recipe's."""
    if word.endswith(".toml"):
        return False
    return (
        Path(word).is_dir() or any(mark in word for mark in ("/", os.sep)) or word.lower().endswith(SOURCES)
    )


def _recipe_and_overrides(words: list[str]) -> tuple[str | None, list[str]]:
    """The first word without '=' is the recipe; the others are overrides, or the recipe loader's faults."""
    if words and "=" not in words[0]:
        return words[0], words[1:]
    return None, words
