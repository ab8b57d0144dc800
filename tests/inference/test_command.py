"""`tenfold predict`: every way to name pictures, every format, and what is said beside the answers."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from images import save, scene
from odd_pictures import odd_pictures
from predicted import CLASSES, ROUNDING
from small import words

import tenfold
from tenfold.core.errors import InputError
from tenfold.inference import command
from tenfold.inference.command import ENOUGH, accuracy_line, predict_command
from tenfold.inference.predict import Question


@pytest.fixture
def ask(command):
    """`tenfold predict ARGUMENTS`: exit status, standard output and standard error."""

    def call(*arguments, stdin: bytes = b"") -> tuple[int, str, str]:
        answer = command("predict", *arguments, stdin=stdin)
        return answer.status, answer.out, answer.err

    return call


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_an_accuracy_is_stated_of_enough_pictures_only():
    few = accuracy_line(ENOUGH - 1, ENOUGH - 1)
    assert few.endswith(
        "19 of 19 pictures are named as their class folders say; these are too few to state an accuracy"
    )
    enough = accuracy_line(1500, 2000)
    assert enough.startswith("accuracy 75.0% (95% interval 73.0 to 76.9%): 1,500 of 2,000")


def test_without_pictures_it_says_how_to_name_them():
    with pytest.raises(InputError, match=r"no pictures were named: `tenfold predict my-run picture\.jpg`"):
        predict_command("my-run", [], Question())


def test_a_log_has_a_line_now_and_then_with_the_rate_and_what_is_left(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    log = command._Log(4000)
    now[0] += command.LOG_EVERY - 1
    log.note(1000)
    assert capsys.readouterr().err == ""
    now[0] += 1
    log.note(1500)
    assert capsys.readouterr().err == "tenfold: 1,500 of 4,000, 50 s left, 50 pictures/s\n"
    log = command._Log(None)
    now[0] += command.LOG_EVERY
    log.note(1500)
    assert capsys.readouterr().err == "tenfold: 1,500, 50 pictures/s\n"


@pytest.mark.slow
def test_the_command_answers_without_pytorch_once_the_run_is_prepared(trained, ask):
    root, run = trained
    picture = root / "test" / "2" / "exif6.jpg"
    first = ask(run.path, picture, "--format", "jsonl")
    assert first[0] == 0, first[2]
    code = "import sys; from tenfold.cli import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    line = [sys.executable, "-c", code, "predict", str(run.path), str(picture), "--format", "jsonl"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    answer, modules = done.stdout.splitlines()
    assert not {"torch", "scipy", "pyarrow", "sklearn", "pandas"} & set(modules.split())
    assert records(answer)[0]["predicted"] == records(first[1])[0]["predicted"]


def test_every_way_to_name_pictures_gives_the_same_answers(trained, tmp_path, ask):
    _, run = trained
    flat = tmp_path / "flat" / "deep"
    names = [p.name for p in odd_pictures(flat, seed=3)]
    (flat / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for name in names:
            archive.write(flat / name, f"inner/{name}")
    with tarfile.open(tmp_path / "flat.tar.gz", "w:gz") as archive:
        for name in names:
            archive.add(flat / name, f"inner/{name}")
    expected = tenfold.predict(run, tmp_path / "flat")
    assert [Path(path).name for path in expected.paths] == names
    ways = {
        "files": [str(flat / name) for name in names],
        "glob": [str(flat / "*.*g*"), str(flat / "*.bmp"), str(flat / "*.webp"), str(flat / "rare.*")],
        "zip": [str(tmp_path / "flat.zip")],
        "tar": [str(tmp_path / "flat.tar.gz")],
    }
    for way, given in ways.items():
        status, out, err = ask(run.path, *given, "--format", "jsonl")
        assert status == 0, (way, err)
        found = {Path(record["path"]).name: record for record in records(out)}
        assert sorted(found) == names, way
        for name, row in zip(names, expected.probabilities, strict=True):
            got = np.array(list(found[name]["probabilities"].values()), np.float32)
            assert np.abs(got - row).max() <= ROUNDING, (way, name)
            assert list(found[name]["probabilities"]) == list(CLASSES)


def test_names_and_pictures_come_on_standard_input(trained, tmp_path, ask):
    _, run = trained
    picture = save(tmp_path / "ä b.png", scene(5, 12))
    lines = f"{picture}\n{tmp_path}/missing.png\r\nhttps://localhost/x.png\n{tmp_path}\n"
    status, out, err = ask(run.path, "-", "--format", "jsonl", stdin=lines.encode())
    assert status == 1
    assert [record["path"] for record in records(out)] == [str(picture), str(picture)]
    assert "missing.png: cannot be read: there is no such file" in err
    assert "only where it is given on the command line" in err
    status, nul, _ = ask(run.path, "-", "--format", "jsonl", stdin=f"{picture}\0{picture}".encode())
    assert (status, nul) == (0, out)
    status, own, _ = ask(run.path, "-", "--format", "jsonl", stdin=picture.read_bytes())
    assert status == 0
    (alone,), listed = records(own), records(out)[0]
    for name, probability in alone["probabilities"].items():  # two in a batch differ from one by rounding
        assert abs(probability - listed["probabilities"][name]) <= ROUNDING
    numbers = {"path": "-", "probability": alone["probability"], "probabilities": alone["probabilities"]}
    assert alone == {**listed, **numbers}


def test_unreadable_files_are_listed_and_the_rest_goes_on(trained, tmp_path, ask):
    _, run = trained
    save(tmp_path / "good.png", scene(5, 12))
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    whole = save(tmp_path / "b.jpg", scene(6, 200)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    status, out, err = ask(run.path, tmp_path, "--format", "csv")
    assert status == 1
    assert len(out.splitlines()) == 1 + 2
    for name in ("empty.png", "text.jpg", "cut.jpg", "gone.png"):
        assert f"{name}: cannot be read: " in err
    assert "4 of 6 pictures cannot be read" in err


@pytest.mark.parametrize("form", ["table", "csv", "jsonl", "parquet"])
def test_every_format_goes_to_a_file_and_nothing_is_left_half_written(trained, tmp_path, form, ask):
    root, run = trained
    out = tmp_path / f"answers.{form}"
    status, printed, err = ask(run.path, root / "validation", "--format", form, "--out", out)
    assert (status, printed) == (0, ""), err
    assert "48 pictures answered" in err
    assert "accuracy" in err
    if form == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(out)
        assert table.num_rows == 48
        assert table.column_names[-4:] == [f"probability:{name}" for name in CLASSES]
    else:
        assert len(out.read_text(encoding="utf-8").splitlines()) == 48 + (form == "csv")
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no pictures were named"),
        (("nowhere.png",), "no such file or folder"),
        (("digits", "--format", "xml"), "no such format"),
        (("digits", "--format", "parquet"), "--out FILE"),
        (("digits", "--accuracy", "95"), "between 0 and 1"),
        (("digits", "--conformal", "0.999"), "support at most"),
        (("digits", "--top", "2", "--format", "csv"), "a column for every class"),
        (("digits", "--out", "/dev/null"), "/dev/null: is no regular file"),
        (("digits", "--out", "no/such/folder.csv"), "there is no folder no/such"),
    ],
)
def test_calls_that_cannot_be_answered_end_with_two_before_anything_is_read(trained, arguments, message, ask):
    status, out, err = ask(trained[1].path, *arguments)
    assert (status, out) == (2, ""), err
    assert message in err
    assert "Traceback" not in err


def test_a_folder_that_is_no_run_is_refused(tmp_path, ask):
    status, _, err = ask(tmp_path, "digits")
    assert status == 2
    assert "neither a run folder nor an exported one" in err


def test_sets_unsure_and_top_are_said(trained, ask):
    root, run = trained
    status, out, _ = ask(
        run.path, root / "validation", "--format", "jsonl", "--conformal", "0.8", "--top", "2"
    )
    assert status == 0
    found = records(out)
    assert {"set", "unsure", "unlike"} <= set(found[0])
    covered = [Path(record["path"]).parent.name in record["set"] for record in found]
    assert np.mean(covered) >= 0.8
    assert all(len(record["probabilities"]) == 2 for record in found)
    assert all(isinstance(record["unsure"], bool) and isinstance(record["unlike"], bool) for record in found)


def test_pictures_without_a_class_of_the_model_are_said_not_to_count(trained, tmp_path, ask):
    _, run = trained
    for name in ("2", "elsewhere"):
        save(tmp_path / "some" / name / "a.png", scene(5, 12))
    status, _, err = ask(run.path, tmp_path / "some")
    assert status == 0
    assert "of 1 pictures are named" in err
    assert "1 picture not counted" in err


@pytest.mark.parametrize("form", ["csv", "jsonl", "table"])
def test_what_programs_read_is_utf8_whatever_the_terminals_language(trained, form):
    root, run = trained
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    line = words("predict", run.path, root / "test" / "日本" / "exif6.jpg", "--format", form)
    done = subprocess.run(line, capture_output=True, env=plain, timeout=400)
    assert done.returncode == 0, done.stderr
    assert ("Ärger" in done.stdout.decode("utf-8")) == (form != "table")


def test_an_empty_list_on_standard_input_is_an_error(trained, tmp_path, ask):
    _, run = trained
    status, out, err = ask(run.path, "-", "--format", "csv", "--out", tmp_path / "a.csv", stdin=b"\n\n")
    assert (status, out) == (2, "")
    assert "no pictures came" in err
    assert not list(tmp_path.iterdir())
