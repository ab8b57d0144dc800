"""The exported folder's own program reads and answers as tenfold does."""

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import asdict

import numpy as np
import pytest
from exported import run_script
from odd_pictures import odd_pictures
from PIL import Image

import tenfold as public
from tenfold.inference import standalone
from tenfold.inference.contract import Contract, Reading


def test_the_folders_program_bears_odd_names_plain_terminals_and_readers_who_leave(shapes, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "a.png")
    odd = tmp_path / os.fsdecode(b"\xff\xe7\x8c\xab.png")
    shutil.copyfile(tmp_path / "a.png", odd)
    line = [sys.executable, shapes / "export" / "predict.py"]
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*line, odd], capture_output=True, check=True, env=plain, timeout=300)
    assert json.loads(done.stdout)["path"] == str(odd)
    with subprocess.Popen([*line, *[odd] * 3000], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as leaving:
        assert leaving.stdout is not None
        assert leaving.stderr is not None
        leaving.stdout.readline()
        leaving.stdout.close()
        assert leaving.stderr.read() == b""


@pytest.mark.parametrize(
    ("shape", "reading"),
    [
        ((3, 24, 24), Reading()),
        ((1, 20, 20), Reading()),
        ((3, 18, 30), Reading()),
        ((3, 24, 24), Reading(fit="pad")),
        ((1, 18, 31), Reading(fit="pad", whole_range=(0.0, 4095.0), real_range=(0.5, 30.0))),
        ((3, 19, 30), Reading(fit="squash", whole_range=(100.0, 3000.0), real_range=(0.0, 255.0))),
    ],
)
def test_the_script_reads_every_kind_of_file_as_training_does(shape, reading, tmp_path):
    files = odd_pictures(tmp_path / "odd")
    picture = Image.open(tmp_path / "odd" / "large.jpg")
    small = picture.resize((31, 22))
    small.convert("P").save(tmp_path / "holes.png", transparency=3)
    small.save(tmp_path / "hole.png", transparency=small.getpixel((4, 4)))
    small.convert("F").point(lambda value: value / 255 + 0).save(tmp_path / "float.tif")
    picture.save(tmp_path / "several.jpg", format="MPO", save_all=True, append_images=[small])
    more = [tmp_path / name for name in ("holes.png", "hole.png", "float.tif", "several.jpg")]
    tall = picture.resize((15, 53))
    tall.save(tmp_path / "tall.png")
    Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(24, 50) * 3).save(tmp_path / "narrow.png")
    Image.fromarray(np.linspace(0.2, 40, 600, dtype=np.float32).reshape(20, 30)).save(tmp_path / "real.tif")
    more += [tmp_path / name for name in ("tall.png", "narrow.png", "real.tif")]
    for path in (*files, *more):
        contract = Contract(("a", "b"), shape, reading=reading)
        expected = contract.pixels(str(path))
        found = standalone.read(str(path), asdict(reading), *shape)
        assert found.tolist() == expected.tolist(), path.name


@pytest.mark.slow
def test_run_folder_script_and_python_give_the_same_answers_for_every_kind_of_file(shapes, tmp_path, command):
    files = odd_pictures(tmp_path / "odd")
    own = run_script(shapes / "export", *files)
    keys = ("path", "predicted", "probability", "probabilities", "unsure")
    for model in (shutil.copytree(shapes, tmp_path / "run"), shapes / "export"):
        answer = command("predict", model, *files, "--format", "jsonl")
        assert answer.status == 0, answer.err
        lines = [json.loads(line) for line in answer.out.splitlines()]
        for line, expected in zip(lines, own, strict=True):
            assert [line[key] for key in ("path", "predicted", "unsure")] == [
                expected[key] for key in ("path", "predicted", "unsure")
            ]
            assert set(keys) <= line.keys()
            assert line["probabilities"] == pytest.approx(expected["probabilities"], abs=2e-6)
    answers = public.predict(shapes / "export", tmp_path / "odd")
    assert answers.predicted == [answer["predicted"] for answer in own]


def test_the_script_names_what_it_cannot_read_and_goes_on(shapes, tmp_path):
    Image.new("RGB", (20, 20), "red").save(tmp_path / "good.png")
    Image.new("RGB", (20, 20), "red").save(tmp_path / "rare.tga")
    (tmp_path / "bad.jpg").write_text("no picture")
    script = shapes / "export" / "predict.py"
    names = ("bad.jpg", "rare.tga", "good.png", "none.png")
    command = [sys.executable, script, *(tmp_path / name for name in names)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()] == [str(tmp_path / "good.png")]
    for name in {*names} - {"good.png"}:
        assert f"{name}: " in done.stderr


@pytest.mark.slow
def test_the_folder_works_where_neither_tenfold_nor_pytorch_is_installed(shapes, pictures, tmp_path):
    venv.create(tmp_path / "fresh")
    python = str(tmp_path / "fresh" / "bin" / "python")
    # With the pip that is here, because a new one would first have to be installed.
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-compile"]
    subprocess.run([*pip, "onnxruntime", "pillow", "numpy"], check=True, timeout=500)
    for package in ("torch", "tenfold"):
        assert (
            subprocess.run([python, "-c", f"import {package}"], cwd=tmp_path, capture_output=True).returncode
            == 1
        )
    folder = shutil.copytree(shapes / "export", tmp_path / "copied")
    files = sorted(pictures.rglob("*.png"))[:20]
    assert run_script(folder, *files, python=python) == run_script(shapes / "export", *files)
