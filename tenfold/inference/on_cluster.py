"""`tenfold predict --cluster`: a folder of Parquet parts, each answered by a task of a Ray cluster.

The pictures are listed here, one after the other, and dealt out in parts that do not depend on the cluster; a part's
file is written, whole, when its answers have come. So each picture is answered once, a part whose node died is
answered elsewhere, and the same command goes on with the parts that are missing.
"""

import hashlib
import io
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenfold.core.cluster import connect, first_line, handed_on, need_ray
from tenfold.core.errors import InputError, TenfoldError
from tenfold.core.files import MARK, atomic, make_output_folder, write_json
from tenfold.inference.decoding import blocks, chunks
from tenfold.inference.opening import Model, open_model
from tenfold.inference.pictures import Picture, Pictures
from tenfold.inference.predict import Question, asking, joined
from tenfold.inference.predictor import Predictor
from tenfold.inference.writers import parquet_file, parquet_note

if TYPE_CHECKING:
    from tenfold.models import OwnModel

# Pictures in a part, and bytes of those that come from archives and tables. Whole batches: as without a cluster.
PART, PART_BYTES = 2048, 64 << 20
# So often a part is tried again whose process or node died.
RETRIES = 5
# Parts on their way for each CPU of the cluster: one that is answered, and one that waits.
WAITING = 2
# Says that all parts are there; readers of Parquet folders pass over names that begin so.
DONE = "_answers.json"


@dataclass(frozen=True)
class Asked:
    """What the nodes are told: whose model answers what, and where the pictures are.

    `folder` is where the command was given, and `places` are those of its words that are paths; nodes must see both.
    """

    run: str
    weights: str
    question: Question
    folder: str
    places: tuple[str, ...] = ()
    device: str = "auto"
    exactly: bool = False
    own: "OwnModel | None" = None
    key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def of(self, pictures: Sequence[Picture]) -> str:
        """A hash of the question and of the pictures' names, by which a part is known."""
        asked = [self.weights, repr(self.question), *(picture.name for picture in pictures)]
        return hashlib.blake2b(json.dumps(asked).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Part:
    """What a part's file says of itself: how many pictures it answers, and of them how many as their labels."""

    asked: str
    pictures: int
    right: int
    labelled: int
    unreadable: tuple[tuple[str, str], ...]

    @classmethod
    def of_file(cls, file: Any) -> "Part":
        """The note in a Parquet file. Raises InputError for a file that is none of these."""
        note = parquet_note(file)
        return cls(**{**note, "unreadable": tuple((name, why) for name, why in note["unreadable"])})


def check_place(out: Path | None, form: str | None, top: int | None) -> Path:
    """The folder of the parts. Raises InputError for options that do not suit one."""
    if form not in (None, "parquet"):
        raise InputError(f"--format {form}: a cluster's answers are Parquet files. Leave --format out.")
    if top is not None:
        raise InputError(f"--top {top}: Parquet has a column for every class. Leave --top out.")
    if out is None:
        raise InputError("--cluster: the answers are Parquet files in a folder. Name it with --out DIR.")
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file. With --cluster, name a folder for the Parquet files.")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise InputError(f"--out {out}: holds other files. Name a new folder.")
    return out


def answers_on_cluster(
    address: str, asked: Asked, pictures: Pictures, out: Path, say: Callable[[str], None]
) -> Iterator[Part]:
    """Answer all pictures in `out/part-NNNNNN.parquet`; each part as soon as it is there, in any order.

    Parts that are there already are not answered again. Raises InputError where the cluster cannot be reached, where
    nodes do not see the run or the pictures, and where `out` holds answers to something else.
    """
    make_output_folder(out)
    ray = connect(address, handed_on())
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if not cpus:
            raise InputError(
                f"--cluster {address}: its nodes offer no CPUs. Add one (`ray start --address`)."
            )
        found: list[Part] = []
        for part in _answered(ray, asked, _parts(pictures, out), WAITING * cpus, say):
            found.append(replace(part, unreadable=()))
            yield part
        _finish(out, asked, found)
    finally:
        ray.shutdown()


def side_by_side(address: str, device: str, resources: Mapping[str, float]) -> int:
    """How many parts are answered at a time: one for each CPU, or GPU. Raises InputError where there is none."""
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(
            f"--device {device}: a cluster's nodes compute on CPUs, or with --device cuda on GPUs."
        )
    kind = "GPU" if device == "cuda" else "CPU"
    count = int(min(resources.get(name, 0) for name in {kind, "CPU"}))
    if not count:
        raise InputError(
            f"--cluster {address}: its nodes offer no {kind}s. Add a node that has some (`ray start --address`)."
        )
    return count


def _parts(pictures: Iterable[Picture], out: Path) -> Iterator[tuple[Path, list[Picture]]]:
    for number, part in enumerate(chunks(pictures, PART, PART_BYTES)):
        yield out / f"part-{number:06}.parquet", part


def _answered(
    ray: Any,
    asked: Asked,
    parts: Iterator[tuple[Path, list[Picture]]],
    most: int,
    say: Callable[[str], None],
) -> Iterator[Part]:
    """Those that are there, and the others as they come, of which at most so many are on their way."""
    resources = {"num_cpus": 1, "num_gpus": int(asked.device == "cuda")}
    task = ray.remote(max_retries=RETRIES, **resources)(answer_part)
    told = ray.put(asked)
    pending: dict[Any, Path] = {}
    for path, pictures in parts:
        if path.exists():
            yield _kept(path, asked.of(pictures))
            continue
        if len(pending) >= most:
            yield _next(ray, pending, say)
        pending[task.remote(told, pictures)] = path
    while pending:
        yield _next(ray, pending, say)


def _kept(path: Path, expected: str) -> Part:
    part = Part.of_file(path)
    if part.asked != expected:
        raise InputError(
            f"{path}: is the answer of another model, to another question or about other pictures. Name another "
            f"folder, or remove {path.parent}."
        )
    return part


def _next(ray: Any, pending: dict[Any, Path], say: Callable[[str], None]) -> Part:
    """Wait for the next part, and write its file."""
    ready: list[Any] = []
    while not ready:
        ready, _ = ray.wait(list(pending), num_returns=1, timeout=60)
        if not ready:
            say("no part has come for a minute; `ray status` shows what the cluster does")
    path = pending.pop(ready[0])
    try:
        content = ray.get(ready[0])
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, TenfoldError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise TenfoldError(
            f"{path}: its process died {RETRIES + 1} times ({first_line(error)}). What is answered is kept; the same "
            "command goes on. Look for pictures of enormous size among its own."
        ) from None
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return Part.of_file(io.BytesIO(content))


def _finish(out: Path, asked: Asked, parts: Sequence[Part]) -> None:
    """Note that all is answered. Raises InputError where there are more parts than the pictures fill."""
    if others := sorted(out.glob("part-*.parquet"))[len(parts) :]:
        raise InputError(f"{others[0]}: is about pictures that are not there any more. Remove {out}.")
    write_json(
        out / DONE,
        {
            "pictures": sum(part.pictures for part in parts),
            "parts": len(parts),
            "weights": asked.weights,
        },
    )


# On a node ---------------------------------------------------------------------------------------------------

_opened: dict[str, tuple[Model, Predictor]] = {}


def answer_part(asked: Asked, pictures: list[Picture]) -> bytes:
    """A part's Parquet file; the model is opened once in each process."""
    if asked.key not in _opened:
        _opened[asked.key] = _open(asked)
    model, predictor = _opened[asked.key]
    ask = asking(model, predictor, asked.question)
    # Decoded here: each CPU of the node has a task of its own.
    work = blocks(pictures, model.contract.target, predictor.batch, inline=True)
    answers = joined([ask(block) for block in work], model)
    right, labelled = answers.right
    note = {"asked": asked.of(pictures), "pictures": len(answers), "right": right, "labelled": labelled}
    return parquet_file(answers, {**note, "unreadable": answers.unreadable})


def _open(asked: Asked) -> tuple[Model, Predictor]:
    node = f"node {need_ray('ray.util').get_node_ip_address()}"
    try:
        os.chdir(asked.folder)
    except OSError:
        raise InputError(f"{node} does not see the folder {asked.folder}. {_SHARE}") from None
    for place in asked.places:
        if not Path(place).exists():
            raise InputError(f"{node} does not see {place}. {_SHARE}")
    try:
        model = open_model(asked.run, asked.own)
    except InputError as error:
        raise InputError(f"{node}: {error}") from None
    if model.contract.weights != asked.weights:
        raise InputError(f"{node} has another model in {asked.run}. {_SHARE}")
    device = "cuda" if asked.device == "cuda" else "cpu"  # a GPU that no task was given is another one's
    return model, model.predictor(False, device, exactly=asked.exactly)


_SHARE = "The run and the pictures must lie in folders that all nodes share, by the same paths."
