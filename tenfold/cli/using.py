"""The verbs of a trained model at work: predict, export, push, serve."""

from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.options import OWN, DeviceOption, OwnWords, RunArgument
from tenfold.core.loading import loading
from tenfold.core.terminal import make_console


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
        Path | None,
        typer.Option(
            metavar="FILE", help="Write them to FILE (its ending names the format), of a cluster to a folder."
        ),
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
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Answer on a Ray cluster, into Parquet files in the folder of --out."
        ),
    ] = None,
    device: DeviceOption = "auto",
    own: OwnWords = OWN,
) -> None:
    """Say what is on pictures: classes with probabilities.

    Exit status 1 where some could not be read.
    """
    with loading():
        from tenfold.inference.command import predict_command
        from tenfold.inference.predict import Question

    question = Question(accuracy, conformal, raw)
    if not predict_command(
        run,
        images or [],
        question,
        top=top,
        form=form,
        out=out,
        device=device,
        own=own.given,
        cluster=cluster,
    ):
        raise typer.Exit(1)


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
    own: OwnWords = OWN,
) -> None:
    """Make a folder of a run that works without tenfold.

    Every format is proven to answer as the run did.
    """
    with loading():
        from tenfold.inference.export import export as make

    exported = make(
        run,
        format=[name.strip() for name in format.split(",") if name.strip()],
        quantize=quantize,
        max_loss=max_loss,
        out=out,
        license=license,
        overwrite=overwrite,
        model=own.given,
    )
    make_console().print(exported)
    for line in exported.remarks():
        print(line)


def push(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run that was exported, or an exported folder.")
    ],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME on the hub.")],
    private: Annotated[bool, typer.Option("--private", help="For you alone, where it is new.")] = False,
) -> None:
    """Upload an exported folder to the Hugging Face hub."""
    with loading():
        from tenfold.inference.export import push as upload

    print(upload(run, repository, private=private))
    print(f"try it: tenfold predict hf:{repository} picture.jpg")


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
    own: OwnWords = OWN,
) -> None:
    """Serve a model: a page to drop pictures on, and JSON.

    Ctrl-C ends it. Elsewhere than on this machine, clients need the token in TENFOLD_TOKEN, or the one printed.
    """
    with loading():
        from tenfold.serving.verb import serve

    serve(run, host=host, port=port, corrections=corrections, model=own.given, start=False).run()
