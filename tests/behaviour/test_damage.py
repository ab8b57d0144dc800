"""A damaged file of a run is named with what helps, never used and never a traceback; and what helps does help."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from small import edit_json
from small import tenfold as shell

from tenfold.core.errors import InputError, TenfoldError
from tenfold.runs.files import FolderFile
from tenfold.runs.folder import Run, load_run

pytestmark = pytest.mark.usefixtures("undrawn")
FILES = {file.name: file for file in vars(Run).values() if isinstance(file, FolderFile)}
del FILES["onnx/weights"]  # A hash: where it is another, or none, the model beside it is made again.
# Not written for every run: only where features are cached, and only where it was asked for.
NOT_THERE = {"transfer.json", "robustness.json"}
GARBAGE = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe\x00",
    "NaN": b'{"test": NaN}',
}


@pytest.fixture
def run(finished, tmp_path) -> Run:
    """A finished run that a test may damage."""
    return load_run(shutil.copytree(finished[0], tmp_path / "run"))


def test_every_file_of_a_run_is_declared(finished):
    found = {path.relative_to(finished[0]).as_posix() for path in finished[0].rglob("*") if path.is_file()}
    # Another test may have asked it about a picture, which keeps a model in the folder.
    rest = {name for name in found if not name.startswith(("figures/", "onnx/"))}
    assert rest - {"report.html", "checkpoint/lock"} == FILES.keys() - NOT_THERE


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", FILES)
def test_garbage_is_named_with_the_remedy(name, garbage, run):
    path = run.path / name
    path.write_bytes(GARBAGE[garbage])
    if name in {"environment.json", "transfer.json"} and garbage == "object":
        return  # Any object will do.
    if (name, garbage) == ("layers.json", "list"):
        return  # A model without layers.
    with pytest.raises(InputError) as caught:
        FILES[name].read(run)
    assert str(caught.value).startswith(f"{path}: ")
    assert FILES[name].remedy_in(run) in str(caught.value)


@pytest.mark.parametrize("name", sorted(FILES.keys() - NOT_THERE - {"recipe.toml", "environment.json"}))
def test_a_file_cut_short_anywhere_is_named(name, run):
    path = run.path / name
    content = path.read_bytes()
    for length in np.linspace(0, len(content) - 2, 12).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=f"{path.name}: "):
            FILES[name].read(Run(run.path))


def leaves(value, path=()):
    """Where the values of nested JSON lie."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(leaf for key, entry in entries for leaf in leaves(entry, (*path, key)))]


@pytest.mark.parametrize("name", ["data.json", "model.json", "metrics.json", "layers.json"])
def test_wrong_types_are_named_or_harmless(name, run, command):
    """Any value of another type is refused by name when it is read, or what reads the run gets on with it."""
    whole = json.loads((run.path / name).read_text())
    if isinstance(whole, dict):
        whole.pop("blake2b")
    chosen = leaves(whole)[1 :: max(1, len(leaves(whole)) // 60)]
    for place in chosen:
        broken = json.loads(json.dumps(whole))
        parent = broken
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = {"unexpected": ["value"]}
        (run.path / name).write_text(json.dumps(broken))
        opened = Run(run.path)
        message = ""
        try:
            FILES[name].read(opened)
            opened.model()
        except InputError as error:
            message = str(error)
        assert not message or f"{run.path / name}: " in message


def test_a_changed_byte_of_the_weights_is_found(run):
    for file in (Run.weights, Run.state):
        path = run.path_of(file)
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged: its tensors have changed"):
        run.model()


def test_weights_of_other_names_or_none_at_all_are_refused(run):
    path = run.path_of(Run.weights)
    tensors = load_file(path)
    save_file(tensors, path)
    with pytest.raises(InputError, match="was not written by tenfold"):
        run.model()
    save_file(tensors, path, {"tenfold": json.dumps({"version": 99})})
    with pytest.raises(
        InputError, match=r"written in format 99, this tenfold reads formats 1 to 2; install a newer"
    ):
        run.model()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: [*rows[:-1], rows[-1][:3]], "line 3 has 3 values, expected 9"),
        (lambda rows: [rows[0], rows[2]], "line 2 is of epoch '2', expected 1"),
        (lambda rows: [rows[0], rows[1], ["2", *["x"] * 8]], "line 3: could not convert"),
        (lambda rows: [rows[0], rows[1], ["2", *["nan"] * 8]], "line 3 holds numbers that are not finite"),
        (lambda rows: rows[1:], "its first line must be epoch,loss"),
        (lambda rows: [*rows, rows[1]], "line 4 is of epoch '1', expected 3"),
    ],
)
def test_a_damaged_history_says_where(damage, message, run):
    path = run.path_of(Run.history)
    with path.open(newline="") as lines:
        rows = damage(list(csv.reader(lines)))
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=message):
        _ = run.history


def test_a_history_that_lost_rows_is_no_base_for_a_report(run, command):
    lines = run.path_of(Run.history).read_text().splitlines(keepends=True)
    run.path_of(Run.history).write_text("".join(lines[:-1]))
    answer = command("report", run.path)
    assert answer.status == 2
    assert "history.csv: has 1 epochs, but metrics.json tells of 2" in answer.err
    assert command("resume", run.path).status == 0
    assert command("report", run.path).status == 0


@pytest.mark.parametrize("names", [["c", "b", "a"], ["x", "y"]])
def test_classes_in_another_order_are_refused(names, run):
    classes = run.description["class_names"]
    others = classes[::-1] if len(names) == 3 else [*classes[:-1], "other"]
    edit_json(run.path_of(Run.description), lambda described: described.update(class_names=others))
    with pytest.raises(InputError, match=r"model\.json: has other class names than data\.json"):
        run.model()


@pytest.mark.parametrize("content", [b"", None])
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("history.csv", "resume"),
        ("model.json", "resume"),
        ("model.safetensors", "resume"),
        ("metrics.json", "evaluate"),
        ("inference.json", "evaluate"),
        ("predictions/test.parquet", "evaluate"),
        ("predictions/validation.parquet", "evaluate"),
        ("layers.json", "evaluate"),
        ("gradcam.npz", "evaluate"),
    ],
)
def test_the_remedy_works(name, remedy, content, run, command):
    before = {path: path.read_bytes() for path in run.path.rglob("*.safetensors")}
    metrics = {split: run.metrics[split] for split in ("test", "validation")}
    path = run.path / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=f"`tenfold {remedy} {run.path}`"):
        FILES[name].read(run)
    answer = command(remedy, run.path)
    assert answer.status == 0, answer.err
    FILES[name].read(run)
    assert {path: path.read_bytes() for path in run.path.rglob("*.safetensors")} == before
    assert {split: run.metrics[split] for split in ("test", "validation")} == metrics


def test_an_edited_recipe_is_refused_and_may_be_insisted_on(run, command):
    path = run.path_of(Run.recipe)
    path.write_text(path.read_text().replace("epochs = 2", "epochs = 3"))
    for verb in ("resume", "evaluate", "report"):
        refused = command(verb, run.path)
        assert refused.status == 2
        assert f"{path}: has changed since the run began" in refused.err
        assert "remove the first line to go on with this one" in refused.err
    path.write_text(path.read_text().partition("\n")[2])
    assert command("resume", run.path).status == 0


def test_robustness_is_measured_anew(run, command):
    run.path_of(Run.robustness).write_text("[")
    answer = command("report", run.path)
    assert answer.status == 2
    assert f"`tenfold report {run.path} --corruptions` measures it anew" in answer.err
    assert command("report", run.path, "--corruptions").status == 0
    assert command("report", run.path).status == 0


def test_a_report_does_without_the_environment(run, command):
    run.path_of(Run.environment).unlink()
    assert command("report", run.path).status == 0


def test_a_failed_run_says_so_everywhere_and_what_to_lower(tmp_path, command):
    answer = command(
        "train",
        "digits",
        "optimizer.name=sgd",
        "optimizer.lr=1e30",
        "fit.epochs=2",
        "--out",
        tmp_path,
        "--name",
        "lost",
    )
    assert answer.status == 1
    lost = tmp_path / "lost"
    again = f"`tenfold train {lost}/recipe.toml optimizer.lr=1e+29 --data digits`"
    assert again in answer.err
    for arguments in (("resume", lost), ("evaluate", lost), ("report", lost), ("compare", lost, lost / "..")):
        answer = command(*arguments)
        assert answer.status != 0
        if arguments[0] != "compare":
            assert "The run failed" in answer.err
            assert again in answer.err
            assert "`tenfold resume" not in answer.err
    listed = json.loads(command("runs", tmp_path, "--json").out)
    assert [row["state"] for row in listed] == ["failed"]
    with pytest.raises(TenfoldError, match="The run failed, and no epoch ended with a usable model"):
        _ = load_run(lost).metrics


def test_opening_a_run_and_describing_its_model_needs_nothing_heavy(finished):
    code = (
        "import sys\nfrom tenfold.runs.folder import load_run\n"
        f"run = load_run({str(finished[0])!r})\n"
        "heavy = {'torch', 'numpy', 'pyarrow', 'sklearn', 'matplotlib', 'pydantic', 'PIL', 'filelock'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "run.description, run.state, run.metrics\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
    assert shell("runs", finished[0].parent).status == 0
