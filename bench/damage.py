"""What every command does where a file of a run is damaged: each file, each damage, each command that reads it.

    python bench/damage.py            # the table of docs/reliability.md, on copies of one tiny run
    python bench/damage.py --cost     # seconds and bytes that the hashes cost, file by file

A command must do without the file, make it anew, or be refused with the file's name and a remedy. Whatever it answers
must be what it answers where nothing is damaged. Exit status 1 where it is otherwise.
"""

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

SMALL = ("model.filters=[4]", "model.dense=8", "augment=[]", "fit.epochs=2")


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _of_other_types(content: bytes) -> bytes:
    """JSON whose first entry is of another type, without the hash that would tell; other files become JSON."""
    try:
        value = json.loads(content)
    except ValueError:
        return b'{"epoch": ["one"]}'
    if not isinstance(value, dict):
        return b'{"unexpected": ["value"]}'
    value.pop("blake2b", None)
    return json.dumps(value | {next(iter(value)): {"unexpected": ["value"]}}).encode()


# What becomes of a file's contents; None: it is gone.
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flipped byte": _flipped,
    "cut short": lambda content: content[: len(content) // 2],
    "deleted": lambda content: None,
    "empty": lambda content: b"",
    "null": lambda content: b"null",
    "[]": lambda content: b"[]",
    "{}": lambda content: b"{}",
    "[ x 100,000": lambda content: b"[" * 100_000,
    "not UTF-8": lambda content: b"\xff\xfe\x00",
    "other types": _of_other_types,
}

# The words of each command, for a run folder. `compare` has another run beside.
COMMANDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "runs": lambda run: ("runs", str(run.parent), "--json"),
    "report": lambda run: ("report", str(run)),
    "compare": lambda run: ("compare", str(run), str(run.with_name("other")), "--out", str(run.parent / "c")),
    "predict": lambda run: ("predict", str(run), str(run.parent / "pictures" / "red" / "0.png")),
    "evaluate": lambda run: ("evaluate", str(run)),
    "resume": lambda run: ("resume", str(run)),
    "export": lambda run: ("export", str(run), "--overwrite"),
}
# Which commands read a file; a sweep's journal is read by the sweep alone.
_ALL = ("report", "compare", "predict", "evaluate", "resume", "export", "runs")
READ_BY: dict[str, tuple[str, ...]] = {
    "recipe.toml": ("report", "compare", "evaluate", "resume", "export", "runs"),
    "data.json": _ALL,
    "environment.json": ("report", "runs"),
    "history.csv": ("report", "compare", "resume"),
    "metrics.json": ("report", "compare", "evaluate", "export", "runs"),
    "model.json": ("report", "predict", "evaluate", "resume", "export"),
    "model.safetensors": ("report", "predict", "evaluate", "resume", "export"),
    "inference.json": ("predict", "evaluate", "export"),
    "predictions/test.parquet": ("report", "compare", "evaluate", "export"),
    "predictions/validation.parquet": ("report", "evaluate", "export"),
    "layers.json": ("report", "evaluate"),
    "gradcam.npz": ("report", "evaluate"),
    "robustness.json": ("report", "evaluate", "resume"),
    "checkpoint/state.safetensors": ("evaluate", "resume"),
}
# The command that makes a file anew, where there is one, as the message about it says.
REMEDIES: dict[str, tuple[str, ...]] = {
    "history.csv": ("resume",),
    "model.json": ("resume",),
    "model.safetensors": ("resume",),
    "metrics.json": ("evaluate",),
    "inference.json": ("evaluate",),
    "predictions/test.parquet": ("evaluate",),
    "predictions/validation.parquet": ("evaluate",),
    "robustness.json": ("report", "--corruptions"),
}


@dataclass(frozen=True)
class Answer:
    """How a command ended: its exit status (None: it ended in a traceback) and what it printed."""

    status: int | None
    out: str
    err: str


def call(words: tuple[str, ...]) -> Answer:
    """`tenfold WORDS` in this process."""
    from tenfold import cli

    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    status: int | None = 0
    with (
        mock.patch.object(sys, "argv", ["tenfold", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except Exception as error:
            return Answer(None, "", f"{type(error).__name__}: {error}")
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
    return Answer(status, out.read(), err.read())


def make(folder: Path) -> Path:
    """Train the run that is damaged, and another to compare it with; give its folder."""
    random = np.random.default_rng(0)
    for number, name in enumerate(("red", "green", "blue")):
        (folder / "pictures" / name).mkdir(parents=True)
        for i in range(16):
            pixels = random.integers(0, 120, (12, 12, 3), np.uint8)
            pixels[..., number] += 100
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{i}.png")
    for name, seed in (("run", "0"), ("other", "1")):
        words = ("--data", str(folder / "pictures"), "--out", str(folder), "--name", name, "--seed", seed)
        answer = call(("train", "digits", *SMALL, *words))
        assert answer.status == 0, answer.err
    answer = call(("report", str(folder / "run"), "--corruptions"))
    assert answer.status == 0, answer.err
    return folder / "run"


@dataclass(frozen=True)
class Case:
    """A file, what is done to it, and the command that meets it."""

    file: str
    damage: str
    command: str


def outcome(case: Case, whole: Path, results: Mapping[str, object]) -> str:
    """What the command does with a damaged copy of the run `whole`: "named", "fine", or what is wrong with it."""
    with tempfile.TemporaryDirectory() as place:
        run = copied(whole, Path(place))
        path = run / case.file
        damaged = DAMAGES[case.damage](path.read_bytes())
        path.unlink() if damaged is None else path.write_bytes(damaged)
        answer = call(COMMANDS[case.command](run))
        return judged(case, answer, run, results)


def judged(case: Case, answer: Answer, run: Path, results: Mapping[str, object]) -> str:
    """Whether the answer is one that may be given: see `outcome`."""
    said = answer.err + answer.out
    if answer.status is None or "Traceback" in said:
        return f"traceback: {answer.err[-200:]}"
    if answer.status != 0:
        if case.file not in said and str(run) not in said:
            return f"the message does not name the file: {said[-200:]}"
        helps = any(word in said for word in ("`tenfold", "Restore", "Remove", "Undo"))
        return "named" if helps else f"the message does not help: {said[-200:]}"
    known = found(run)
    remade = case.command in {"evaluate", "resume"}
    wrong = [
        name for name, value in results.items() if (remade or name != case.file) and known.get(name) != value
    ]
    return f"another result in {', '.join(wrong)}" if wrong else "fine"


def found(run: Path) -> dict[str, object]:
    """What a command that ends well must leave as it was: numbers of the test, by the files that hold them."""
    import pyarrow.parquet as pq

    results: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        results["metrics.json"] = json.loads((run / "metrics.json").read_bytes())["test"]
    with contextlib.suppress(OSError, ValueError):
        results["predictions/test.parquet"] = pq.read_table(run / "predictions" / "test.parquet").to_pydict()
    return results


def copied(whole: Path, place: Path) -> Path:
    """A copy of the run and of the one beside it, with the pictures where they are."""
    for name in (whole.name, "other"):
        shutil.copytree(whole.with_name(name), place / name)
    (place / "pictures").symlink_to(whole.with_name("pictures"))
    return place / whole.name


def cases(every: bool = True) -> Iterator[Case]:
    """All cases; without `every`, one damage for each file and the first command that reads it."""
    for file, commands in READ_BY.items():
        for command in commands if every else commands[:1]:
            yield from (Case(file, damage, command) for damage in (DAMAGES if every else ["cut short"]))


# What is printed ---------------------------------------------------------------------------------------------


def table(outcomes: Mapping[Case, str]) -> list[str]:
    """A row for each file: in how many of the damages it is named, and for the others that the command does fine."""
    names = list(COMMANDS)
    lines = ["| file | " + " | ".join(names) + " | remedy |", "|---|" + "---|" * (len(names) + 1)]
    for file in READ_BY:
        cells = []
        for command in names:
            of_both = [o for case, o in outcomes.items() if (case.file, case.command) == (file, command)]
            named = of_both.count("named")
            cells.append(f"{named} of {len(of_both)}" if of_both else "")
        remedy = (
            f"`tenfold {' '.join((REMEDIES[file][0], 'RUN', *REMEDIES[file][1:]))}`"
            if file in REMEDIES
            else ""
        )
        lines.append(f"| `{file}` | {' | '.join(cells)} | {remedy} |")
    return lines


def cost(run: Path, times: int = 200) -> list[str]:
    """What the hashes cost: seconds to read a file of the run as it is, and of them for hashing, in milliseconds."""
    from tenfold.core.checksums import hash_of

    lines = ["| file | bytes | reading, ms | hashing, ms |", "|---|---|---|---|"]
    from tenfold.runs.folder import Run

    for attribute, file in vars(Run).items():
        if file.__class__.__name__ in {"JsonFile", "RecipeFile"} and (run / file.name).is_file():
            content = (run / file.name).read_bytes()
            reading = _milliseconds(lambda name=attribute: getattr(Run(run), name), times)
            hashing = _milliseconds(lambda content=content: hash_of(content), times)
            lines.append(f"| `{file.name}` | {len(content):,} | {reading:.2f} | {hashing:.3f} |")
    return lines


def _milliseconds(work: Callable[[], object], times: int) -> float:
    work()
    began = time.perf_counter()
    for _ in range(times):
        work()
    return 1000 * (time.perf_counter() - began) / times


def main() -> int:
    """Print the table, or what hashes cost; 1 where a command did what it may not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cost", action="store_true", help="only what the hashes cost")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep what each case came to there")
    parser.add_argument("--few", action="store_true", help="the cases of the test, not all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run = make(Path(place))
        if options.cost:
            print("\n".join(cost(run)))
            return 0
        results = found(run)
        outcomes: dict[Case, str] = {}
        for case in cases(not options.few):
            began = time.perf_counter()
            outcomes[case] = outcome(case, run, results)
            took = time.perf_counter() - began
            print(
                f"{case.file}, {case.damage}, {case.command}: {outcomes[case]} ({took:.1f} s)",
                file=sys.stderr,
            )
    if options.json:
        rows = [{**asdict(case), "outcome": said} for case, said in outcomes.items()]
        options.json.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    faults = {case: said for case, said in outcomes.items() if said not in {"named", "fine"}}
    print("\n".join(table(outcomes)))
    print(f"\n{len(outcomes):,} cases, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
