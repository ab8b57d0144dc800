"""`tenfold predict --cluster`: each picture once, whatever dies, and the answers that this machine alone gives."""

import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from images import scene
from PIL import Image
from small import tenfold, wait_for

from tenfold.core.errors import InputError
from tenfold.inference.on_cluster import Asked, Part, _finish, _kept, answer_part, check_place, side_by_side
from tenfold.inference.opening import open_model
from tenfold.inference.pictures import pictures_of
from tenfold.inference.predict import Question
from tenfold.inference.writers import parquet_note

# The command line, with parts of two pictures.
SMALL_PARTS = """
from tenfold.inference import on_cluster
on_cluster.PART = 2
from tenfold.cli import main
main()
"""
COUNT = 160


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of large photographs, which take a while to decode, and two files that are none."""
    folder = tmp_path_factory.mktemp("photographs")
    Image.fromarray(scene(0)).convert("RGB").resize((2400, 1800)).save(folder / "000.jpg")
    for number in range(1, COUNT):
        os.link(folder / "000.jpg", folder / f"{number:03}.jpg")
    for number in (7, 90):
        (folder / f"{number:03}.jpg").unlink()
        (folder / f"{number:03}.jpg").write_bytes(b"no picture")
    return folder


def parts(out):
    return sorted(out.glob("part-*.parquet"))


@pytest.mark.slow
def test_each_picture_is_answered_once_though_the_driver_and_a_node_die(
    nodes, finished, photographs, tmp_path
):
    run, _ = finished
    out = tmp_path / "answers"
    words = ["predict", run, photographs, "--cluster", nodes.address, "--out", "answers"]

    def started():
        line = [sys.executable, "-c", SMALL_PARTS, *map(str, words)]
        return subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    driver = started()
    wait_for(lambda: len(parts(out)) >= 3, driver)
    driver.kill()
    driver.communicate()
    kept = {path: path.stat().st_mtime_ns for path in parts(out)}
    assert 3 <= len(kept) < COUNT // 2
    driver = started()
    wait_for(lambda: len(parts(out)) >= len(kept) + 3, driver)
    nodes.tell("kill")
    reached = len(parts(out))
    _, said = driver.communicate(timeout=300)
    nodes.tell("add")
    assert reached < COUNT // 2 == len(parts(out)), "the node died in the middle"
    assert driver.returncode == 1, said
    assert "Traceback" not in said
    assert f"{COUNT - 2} pictures answered in answers" in said
    assert said.count("cannot be read: ") == 2
    assert all(path.stat().st_mtime_ns == changed for path, changed in kept.items())
    assert tenfold("predict", run, photographs, "--out", tmp_path / "here.parquet").status == 1
    here, there = pq.read_table(tmp_path / "here.parquet"), pq.read_table(out)
    assert there.column("path").to_pylist() == here.column("path").to_pylist()
    assert there.column("predicted").to_pylist() == here.column("predicted").to_pylist()
    assert there.column("probability").to_pylist() == pytest.approx(
        here.column("probability").to_pylist(), abs=1e-6
    )


@pytest.fixture
def asked(finished, tmp_path, monkeypatch):
    """A question about the run, from a folder of the test's own."""
    pytest.importorskip("ray", reason="Ray is not installed (extra: cluster)")
    monkeypatch.chdir(tmp_path)  # where it is asked, and taken back afterwards

    def ask(**changes):
        weights = open_model(finished[0]).contract.weights
        return Asked(
            **{
                "run": str(finished[0]),
                "weights": weights,
                "question": Question(),
                "folder": str(tmp_path),
                **changes,
            }
        )

    return ask


@pytest.fixture
def few(pictures, finished):
    return list(pictures_of([str(pictures)], open_model(finished[0]).contract.class_names))


def test_a_part_says_what_it_answers(asked, few, finished, tmp_path):
    path = tmp_path / "part-000000.parquet"
    path.write_bytes(answer_part(asked(), few))
    part = Part.of_file(path)
    assert (part.pictures, part.labelled, part.unreadable) == (48, 48, ())
    assert part.asked == asked().of(few)
    assert part.asked != asked().of(few[1:])
    assert part.asked != asked(question=Question(raw=True)).of(few)
    assert part.asked != asked(weights="others").of(few)
    assert [row["path"] for row in pq.read_table(path).to_pylist()] == [picture.name for picture in few]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"folder": "/nowhere"},
            "node .* does not see the folder /nowhere. The run and the pictures must lie in",
        ),
        ({"places": ("gone/photos",)}, "node .* does not see gone/photos. The run and the pictures must lie"),
        ({"run": "gone"}, "node .*: gone: is neither a run folder nor an exported one"),
        ({"weights": "others"}, "node .* has another model in"),
    ],
)
def test_a_node_that_does_not_see_the_same_says_so(asked, few, changes, message):
    with pytest.raises(InputError, match=message):
        answer_part(asked(**changes), few)


def test_a_folder_keeps_one_set_of_answers(asked, few, tmp_path):
    path = tmp_path / "part-000000.parquet"
    path.write_bytes(answer_part(asked(), few))
    assert _kept(path, asked().of(few)).pictures == 48
    with pytest.raises(
        InputError, match=r"is the answer of another model, to another question or about other"
    ):
        _kept(path, asked().of(few[1:]))
    (tmp_path / "part-000001.parquet").write_bytes(path.read_bytes())
    with pytest.raises(
        InputError, match=r"part-000001.parquet: is about pictures that are not there any more"
    ):
        _finish(tmp_path, asked(), [Part.of_file(path)])


def test_as_many_parts_are_answered_at_a_time_as_there_is_room_for():
    cluster = {"CPU": 8.0, "GPU": 2.0}
    assert [side_by_side("auto", device, cluster) for device in ("auto", "cpu", "cuda")] == [8, 8, 2]
    with pytest.raises(InputError, match="--cluster auto: its nodes offer no GPUs"):
        side_by_side("auto", "cuda", {"CPU": 8.0})
    with pytest.raises(InputError, match="--cluster auto: its nodes offer no CPUs"):
        side_by_side("auto", "cpu", {})
    with pytest.raises(InputError, match="--device mps: a cluster's nodes compute on CPUs"):
        side_by_side("auto", "mps", cluster)


def test_files_that_are_no_parts_are_refused(tmp_path):
    path = tmp_path / "part-000000.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"is no file of answers, or damaged\. Remove it"):
        parquet_note(path)


def test_the_place_of_the_parts_is_a_new_folder(tmp_path):
    assert check_place(tmp_path / "new", None, None) == tmp_path / "new"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    for out, form, top, message in (
        (None, None, None, "--cluster: the answers are Parquet files in a folder. Name it with --out DIR"),
        (tmp_path / "new", "csv", None, "--format csv: a cluster's answers are Parquet"),
        (tmp_path / "new", None, 3, "--top 3: Parquet has a column for every class"),
        (tmp_path / "full" / "mine.txt", None, None, "is a file. With --cluster, name a folder"),
        (tmp_path / "full", None, None, "holds other files. Name a new folder"),
    ):
        with pytest.raises(InputError, match=message):
            check_place(out, form, top)
