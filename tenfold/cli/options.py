"""Options that several verbs have, and groups of them that always travel together, each written down once.

A verb takes a group as one parameter: a dataclass whose fields are options, and whose `keywords` are those of the
function that the verb calls.
"""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from tenfold.core.errors import InputError
from tenfold.core.text import printable

if TYPE_CHECKING:
    from tenfold.models import OwnModel

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="SOURCE",
        help="A folder, archive, file, hf:OWNER/NAME, digits or cifar10/100.",
    ),
]
LabelsOption = Annotated[
    str | None,
    typer.Option("--labels", metavar="FILE", help="A table of the labels: CSV, TSV, JSON lines or Parquet."),
]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
VerifyOption = Annotated[
    bool, typer.Option("--verify", help="First compare every image with what the cache was made from.")
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or its name below runs/.")]
RunsFolder = Annotated[Path, typer.Option(metavar="DIR", help="The folder of run folders.")]


@dataclass(frozen=True)
class FolderWords:
    """What names a source beside its place: the table of its labels, or instead the folders of each split."""

    labels: LabelsOption = None

    train: Annotated[
        list[str] | None, typer.Option("--train", metavar="DIR", help="Training folder; repeatable.")
    ] = None
    validation: Annotated[
        list[str] | None, typer.Option("--validation", metavar="DIR", help="Validation folder; repeatable.")
    ] = None
    test: Annotated[
        list[str] | None, typer.Option("--test", metavar="DIR", help="Test folder; repeatable.")
    ] = None

    @property
    def keywords(self) -> dict[str, Any]:
        """Those of `make_source`; what is not given is empty."""
        folders = {"train": self.train, "validation": self.validation, "test": self.test}
        return {"labels": self.labels, **{split: paths or () for split, paths in folders.items()}}


@dataclass(frozen=True)
class SourceWords:
    """The words that name a source: one place, or the folders of each split; and maybe a table of labels."""

    data: DataOption = None
    folders: FolderWords = FolderWords()

    @property
    def keywords(self) -> dict[str, Any]:
        """Those of `make_source`."""
        return {"data": fetched(self.data), **self.folders.keywords}


@dataclass(frozen=True)
class MovedWords:
    """The words that say where a run's images and their labels are now."""

    data: Annotated[
        str | None,
        typer.Option("--data", metavar="SOURCE", help="Where the run's images are now, if they have moved."),
    ] = None
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="FILE", help="Where the table of their labels is now, if it has."),
    ] = None

    @property
    def keywords(self) -> dict[str, Any]:
        """Those of `load_run`."""
        return {"data": fetched(self.data), "labels": self.labels}


@dataclass(frozen=True)
class OwnWords:
    """The words that name a module of the user's own."""

    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODULE:NAME", help="A module of your own; needs --trust-code."),
    ] = None
    trust_code: Annotated[
        bool, typer.Option("--trust-code", help="Confirm that the code which --model names may run.")
    ] = False

    @property
    def given(self) -> "OwnModel | None":
        """The model that `--model` names, imported only if `--trust-code` confirms it."""
        if self.model is None and not self.trust_code:
            return None  # without PyTorch, which a prediction may do without
        from tenfold.models import named_model

        return named_model(self.model, self.trust_code)

    @property
    def keywords(self) -> dict[str, Any]:
        """That of the verbs that take a model."""
        return {"model": self.given}


@dataclass(frozen=True)
class ProcessWords:
    """The words that ask for several processes, here or on a cluster; each of them runs the same command."""

    processes: Annotated[
        int | None,
        typer.Option(
            "--processes", min=1, metavar="N", help="Learn in so many processes of this machine together."
        ),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Learn on a Ray cluster: HOST:PORT, auto or local; needs --workers.",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, metavar="N", help="How many processes of the cluster learn together."
        ),
    ] = None

    def start(self, device: str) -> None:
        """Run this very command in those processes, and end with them; nothing where none are asked for.

        Raises InputError for words that do not go together.
        """
        self._check()
        if self.cluster is not None and self.workers is not None:
            from tenfold.workbench.cluster import Asked, launch

            launch(Asked(self.cluster, self.workers, _without("--cluster", "--workers"), device))
        elif (self.processes or 1) > 1:
            from tenfold.workbench.processes import launch

            launch(self.processes or 1, _without("--processes"))
        else:
            return
        raise typer.Exit

    def _check(self) -> None:
        if self.cluster is not None and self.processes is not None:
            raise InputError(
                f"--processes {self.processes}: is for this machine alone. Say --workers N with --cluster."
            )
        if self.cluster is None and self.workers is not None:
            raise InputError(
                f"--workers {self.workers}: on which cluster? Add --cluster ADDRESS, or say --processes "
                f"{self.workers} for this machine alone."
            )
        if self.cluster is not None and self.workers is None:
            raise InputError(
                f"--cluster {self.cluster}: how many processes shall learn together? Add --workers N, at most one "
                "for each CPU of the cluster, or for each GPU where it has any."
            )

    @property
    def keywords(self) -> dict[str, Any]:
        """None: no verb hears of them."""
        return {}


def _without(*options: str) -> tuple[str, ...]:
    """The words of this command but for those options and their values."""
    left: list[str] = []
    words = iter(sys.argv[1:])
    for word in words:
        name, equals, _ = word.partition("=")
        if name not in options:
            left.append(word)
        elif not equals:
            next(words, None)
    return tuple(left)


# What a verb's parameter is without any of its options.
FOLDERS, SOURCE, OWN, PROCESSES = FolderWords(), SourceWords(), OwnWords(), ProcessWords()
MOVED = MovedWords()
_KIND = inspect.Parameter.KEYWORD_ONLY  # as typer calls a verb


def with_groups(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb with the options of its groups in the groups' places, as typer wants to read them."""
    signature, hints = inspect.signature(verb), get_type_hints(verb, include_extras=True)
    groups = {name: hints[name] for name in signature.parameters if is_dataclass(hints[name])}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        one = inspect.Parameter(name, _KIND, default=parameter.default, annotation=hints[name])
        parameters += _options(groups[name]) if name in groups else [one]

    @wraps(verb)
    def spread_out(**given: Any) -> Any:
        gathered = {name: _gathered(group, given) for name, group in groups.items()}
        return verb(**gathered, **given)

    spread_out.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    spread_out.__annotations__ = {one.name: one.annotation for one in parameters}
    return spread_out


def _options(group: type[Any]) -> list[inspect.Parameter]:
    """The options of a group, those of the groups within it too."""
    hints, found = get_type_hints(group, include_extras=True), []
    for one in fields(group):
        if is_dataclass(hints[one.name]):
            found += _options(hints[one.name])
        else:
            found.append(inspect.Parameter(one.name, _KIND, default=one.default, annotation=hints[one.name]))
    return found


def _gathered(group: type[Any], given: dict[str, Any]) -> Any:
    """The group of those options, which are removed from `given`."""
    hints = get_type_hints(group)
    return group(
        **{
            one.name: _gathered(hints[one.name], given)
            if is_dataclass(hints[one.name])
            else given.pop(one.name)
            for one in fields(group)
        }
    )


def keywords(given: dict[str, Any]) -> dict[str, Any]:
    """A verb's options by their names, which are the keywords of the function it calls: all but its words."""
    said: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, FolderWords | SourceWords | OwnWords | ProcessWords):
            said |= value.keywords
        elif name != "words":
            said[name] = value
    return said


def fetched(place: str | None) -> str | None:
    """A source's place; what lies at an http(s) address is fetched into the cache, and its checksum printed."""
    if place is None or not place.lower().startswith(("http://", "https://")):
        return place
    from tenfold.data.shards.opening import is_address

    if is_address(place):
        return place
    from tenfold.data.sources.download import fetch_address

    path, checksum = fetch_address(place)
    print(
        f"{printable(place)}: {path.stat().st_size:,} bytes, SHA-256 {checksum}, in {path}", file=sys.stderr
    )
    return str(path)


def recipe_and_overrides(words: list[str] | None) -> tuple[str | None, list[str]]:
    """The first word without '=' is the recipe; the others are overrides, or the recipe loader's faults."""
    if words and ("=" not in words[0] or "://" in words[0].partition("=")[0]):
        return words[0], words[1:]
    return None, words or []


def is_source(word: str) -> bool:
    """Whether a word in a recipe's place is a source: a folder, or written as a path, but not as a recipe's."""
    from tenfold.data import is_source_name

    if word.endswith(".toml"):
        return False
    return Path(word).is_dir() or any(mark in word for mark in ("/", os.sep)) or is_source_name(word)
