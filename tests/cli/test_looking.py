"""The verbs that look at what is there."""

import json

from small import SHAPES, draw_pictures

from tenfold.recipe import builtin_recipes


def test_recipes_are_listed_and_shown(command):
    listed = command("recipes")
    assert listed.status == 0
    assert all(name in listed.out for name in builtin_recipes())
    shown = command("show", "model-s-baseline", "fit.epochs=3")
    assert shown.status == 0
    assert "epochs = 3" in shown.out
    assert "156,074 parameters, 156,074 of them trainable" in shown.out
    wrong = command("show", "model-s-basline")
    assert wrong.status == 2
    assert "did you mean 'model-s-baseline'?" in wrong.err


def test_an_empty_folder_has_no_runs(command, tmp_path):
    assert command("runs", "gone", folder=tmp_path).status == 2
    (tmp_path / "runs").mkdir()
    answer = command("runs", "--json", folder=tmp_path)
    assert (answer.status, json.loads(answer.out)) == (0, [])


def test_a_look_at_data_ends_with_1_where_something_needs_attention(command, tmp_path):
    whole = draw_pictures(tmp_path / "whole", SHAPES, 20)
    (whole / "circle" / "00.png").write_bytes(b"")
    answer = command("inspect", whole, "data.bad_files_limit=0.5", "--json")
    assert answer.status == 1
    assert "00.png" in answer.out
    assert json.loads(answer.out)["attention"][0] == "1 file cannot be read; training leaves them out."


def test_augmentations_are_pictured_where_one_says(command, tmp_path):
    answer = command("show", "digits", "--augmentations", "digits", "--out", "a.png", folder=tmp_path)
    assert (answer.status, [path.name for path in tmp_path.iterdir()]) == (0, ["a.png"])
    assert "drawn in a.png" in answer.out
