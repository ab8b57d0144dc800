import json

import pytest
from constructed import answered_run, rights

from tenfold.core.errors import InputError
from tenfold.runs.leaderboard import COLUMNS, describe_runs, list_runs


@pytest.fixture
def folder(tmp_path):
    for name, share, lr in (("low", 0.3, 0.01), ("high", 0.9, 0.02), ("middle", 0.6, 0.03)):
        answered_run(tmp_path / name, rights(300, share, 0), lr=lr)
    (answered_run(tmp_path / "unfinished", rights(30, 0.5, 0)).path / "metrics.json").unlink()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "recipe.toml").write_text("not = [a recipe")
    (tmp_path / "no run").mkdir()
    return tmp_path


def names(rows):
    return [row["name"] for row in rows]


def test_best_accuracy_first_and_what_has_none_last(folder):
    rows = list_runs(folder)
    assert names(rows) == ["high", "middle", "low", "damaged", "unfinished"]
    assert [row["state"] for row in rows[2:]] == ["done", "unreadable", "unfinished"]
    assert all(tuple(row) == COLUMNS for row in rows)
    json.dumps(rows, allow_nan=False)


def test_sorting(folder):
    assert names(list_runs(folder, "-accuracy"))[:3] == ["low", "middle", "high"]
    assert names(list_runs(folder, "name")) == ["damaged", "high", "low", "middle", "unfinished"]
    assert names(list_runs(folder, "-name"))[0] == "unfinished"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (["accuracy>=0.5"], ["high", "middle"]),
        (["accuracy<0.5"], ["low"]),
        (["name=*i*"], ["high", "middle", "unfinished"]),
        (["name!=high", "state=done"], ["middle", "low"]),
        (["model=nothing"], []),
    ],
)
def test_filters(folder, where, expected):
    assert names(list_runs(folder, where=where)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sort": "acuracy"}, "did you mean 'accuracy'"),
        ({"where": ["acc=1"]}, "no column 'acc'"),
        ({"where": ["accuracy"]}, "expected COLUMN=VALUE"),
        ({"where": ["accuracy>much"]}, "'much' is not a number"),
    ],
)
def test_faults_are_named(folder, options, message):
    with pytest.raises(InputError, match=message):
        list_runs(folder, **options)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        list_runs(tmp_path / "gone")


def test_texts_for_a_terminal(folder):
    texts = describe_runs(list_runs(folder))
    assert texts[0][0] == "high"
    assert texts[-1][1] == "unfinished"
    assert {len(line) for line in texts} == {8}
