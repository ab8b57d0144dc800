"""The benchmarks of the fast recipes at a size of seconds: real runs, a peer's output read."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from small import SHAPES, Answer, draw_pictures

from tenfold.core.errors import InputError
from tenfold.findings import answers
from tenfold.recipe import load_recipe
from tenfold.runs.folder import load_run

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import common  # noqa: E402
import null_rates  # noqa: E402
import time_to_accuracy  # noqa: E402
from choosing import halve  # noqa: E402
from peer_output import Outcome, read_outcomes  # noqa: E402
from seeds import spread  # noqa: E402
from time_to_accuracy import Variant  # noqa: E402

# A network of a moment, for pictures of 16x16.
TINY = """
[model]
name = "swift"
widths = [8]
depths = [1]
pooled = 1
views = 2
[optimizer]
name = "muon"
[[augment]]
name = "flip"
alternate = true
[fit]
epochs = 2
batch_size = 32
"""
AIRBENCH_LIKE = """
|  run   |  epoch  |  train_acc  |  val_acc  |  tta_val_acc  |  time_seconds  |
| warmup |   eval  |     0.1000  |   0.1000  |       0.1000  |        9.0000  |
|     0  |      7  |     0.9200  |   0.9300  |               |        1.9000  |
|        |   eval  |     0.9300  |   0.9310  |       0.9402  |        2.1000  |
|     1  |      7  |     0.9200  |   0.9300  |               |        1.9000  |
|        |   eval  |     0.9300  |   0.9310  |       0.9404  |        2.2000  |
Mean: 0.9403    Std: 0.0001
"""


@pytest.fixture
def bench(monkeypatch, capsys) -> Callable[..., Answer]:
    """`python bench/SCRIPT WORDS` in this process; its runs and peers have their own.

    How fast matrix products are is measured for a moment only.
    """
    product_rate = common.product_rate
    monkeypatch.setattr(common, "product_rate", lambda dtype, size, seconds: product_rate(dtype, 64, 0.01))

    def call(script: str, *words: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        capsys.readouterr()
        status, reason = 0, ""
        try:
            import_module(script.removesuffix(".py")).main()
        except SystemExit as end:
            status, reason = (end.code, "") if isinstance(end.code, int) else (1, str(end.code))
        said = capsys.readouterr()
        return Answer(status, said.out, said.err + reason)

    return call


@pytest.fixture(scope="session")
def notebook_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train1 ... train5 and test as the notebooks have them, of a few drawn pictures."""
    root = tmp_path_factory.mktemp("notebooks")
    for name in (*(f"train{k}" for k in range(1, 6)), "test"):
        draw_pictures(root / name, SHAPES, 16)
    return root


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[[str], Path]:
    """The tiny recipe under a name."""

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(TINY)
        return path

    return write


def table_rows(out: str) -> list[list[str]]:
    """The cells of every table row but the header's."""
    rows = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| ")]
    return rows[1:]


@pytest.mark.slow
def test_time_to_accuracy_trains_draws_and_does_not_repeat_finished_runs(
    notebook_folders, tiny, tmp_path, bench
):
    out, figure = tmp_path / "runs", tmp_path / "time.svg"
    out.mkdir()
    # What Keras' own processes would have taken.
    records = [
        {
            "notebook": number,
            **{key: seconds for key in ("seconds_a_step", "cpu_seconds_a_step")},
            "versions": "K",
        }
        for number, seconds in (("01", 0.05), ("01", 0.07), ("01", 0.06), ("03", 0.5))
    ]
    (out / "keras.json").write_text(json.dumps(records))
    words = ["--data", notebook_folders, "--out", out, "--figure", figure, "--precision", "float32"]
    words += ["--recipes", tiny("fast-72"), tiny("fast-94"), "--seeds", "1", "2", "--first-seed", "4"]
    words += ["--", "fit.epochs=1"]
    first = bench("time_to_accuracy.py", *words)
    assert first.status == 0, first.err
    rows = table_rows(first.out)
    assert [row[:3] for row in rows] == [
        [f"fast-{k}-float32", "float32", n] for k, n in ((72, "1"), (94, "2"))
    ]
    assert float(rows[0][5]) > float(rows[0][4]), "the command takes longer than training"
    assert [row[6] for row in rows] == [f"{0.06 * 628 * 17:.0f}", f"{0.5 * 628 * 30:.0f}"]
    assert "1 % of the images" in first.out
    assert "notebook 01" in figure.read_text()
    runs = [out / f"fast-{k}-float32-seed4" for k in (72, 94)]
    assert images_of(runs[0]) == (4 * 48, 48)
    assert sum(images_of(runs[1])) == 5 * 48

    written = [(run / "metrics.json").stat().st_mtime_ns for run in runs]
    second = bench("time_to_accuracy.py", *words)
    assert second.status == 0, second.err
    assert [(run / "metrics.json").stat().st_mtime_ns for run in runs] == written
    assert [row[:10] for row in table_rows(second.out)] == [row[:10] for row in rows]

    two = [load_run(run) for run in runs]
    cells = time_to_accuracy.row(Variant("fast-72", None), two, [], {"float32": 100.0}).split(" | ")
    assert " to " in cells[3]
    assert cells[6:8] == ["-", "-"], "Keras was not measured"


def images_of(run: Path) -> tuple[int, int]:
    """How many training and validation images a run had."""
    splits = json.loads((run / "data.json").read_text())["splits"]
    return splits["train"]["images"], splits["validation"]["images"]


def test_one_value_has_no_spread_and_two_have_the_t_interval():
    assert np.isnan(spread([0.5])[1:]).all()
    mean, deviation, half = spread([1.0, 3.0])
    assert (mean, deviation) == (2.0, pytest.approx(2**0.5))
    assert half == pytest.approx(12.7062, rel=1e-4)


def test_time_to_accuracy_wants_one_number_of_seeds_or_one_for_each_recipe(notebook_folders, tmp_path, bench):
    answer = bench(
        *("time_to_accuracy.py", "--data", notebook_folders, "--out", tmp_path),
        *("--recipes", "fast-72", "fast-86", "fast-90", "--seeds", "1", "2"),
    )
    assert answer.status != 0
    assert "one for each of the 3 recipes" in answer.err


def test_time_to_accuracy_names_a_recipe_that_is_not_there_before_it_measures(
    notebook_folders, tmp_path, bench, capsys
):
    with pytest.raises(InputError, match="fast-1"):
        bench("time_to_accuracy.py", "--data", notebook_folders, "--recipes", "fast-1", "--out", tmp_path)
    assert not capsys.readouterr().out


@pytest.mark.slow
def test_a_budget_of_minutes_is_planned_and_told(notebook_folders, tmp_path, bench):
    answer = bench(
        *("budget.py", notebook_folders / "train1", "--minutes", "0.2", "--out", tmp_path / "runs"),
    )
    assert answer.status == 0, answer.err
    assert "plan for 0.2 minutes: " in answer.out
    cells = table_rows(answer.out)[-1]
    assert cells[0] == "train1"
    assert cells[3:5] == ["3", "0.2"]
    run = load_run(tmp_path / "runs" / "train1-0.2")
    assert float(cells[5]) > run.metrics["training"]["seconds"], "the command takes longer than training"
    assert cells[7] == f"{100 * run.metrics['test']['accuracy']:.1f}"


def test_a_speedrun_on_the_cpu_in_turn_with_a_peer(notebook_folders, tiny, tmp_path, bench):
    script = tmp_path / "peer.py"
    script.write_text(f"print('''{AIRBENCH_LIKE}''')")
    answer = bench(
        *("gpu_speedrun.py", "--data", notebook_folders, "--recipes", tiny("tiny"), "--device", "cpu"),
        *("--images", "60", "--runs", "2", "--rounds", "2", "--epochs", "1", "--peer", f"other={script}"),
        *("--standard-error", "-1"),  # two runs may be equally good by chance
    )
    assert answer.status == 0, answer.err
    rows = {row[0]: row[1:] for row in table_rows(answer.out)}
    assert rows["tiny"][0] == "4"
    assert 0 <= float(rows["tiny"][1]) <= 100
    assert rows["other"] == ["4", "94.030", "0.006", "2.150 ± 0.058", "94 %"]
    assert "60 training and 12 test images" in answer.out
    assert "says nothing of a GPU" in answer.out
    assert "94 %: other in 2.150 s" in answer.out


def test_a_speedrun_without_a_gpu_says_so(notebook_folders, bench):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    answer = bench("gpu_speedrun.py", "--data", notebook_folders)
    assert answer.status == 1
    assert "no CUDA device" in answer.err
    assert "unmeasured" in answer.err


def test_choosing_among_equal_epochs_flatters_by_chance_alone_and_one_epoch_does_not():
    right = np.random.default_rng(0).random((200, 2000)) < 0.7
    flattery, epochs = halve(right, 100, np.random.default_rng(0))
    # The highest of 200 normal values lies 2.75 deviations up, for each half of 1,000 images by itself.
    assert flattery.mean() == pytest.approx(2.75 * np.sqrt(0.7 * 0.3 / 1000), abs=0.01)
    assert len(set(epochs)) > 10
    flattery, _ = halve(right[:1], 100, np.random.default_rng(0))
    assert abs(flattery.mean()) < 0.01


def test_what_choosing_flatters_is_measured_without_the_test_images(notebook_folders, tiny, bench):
    answer = bench("choosing.py", tiny("tiny"), "--data", notebook_folders, "--halvings", "10")
    assert answer.status == 0, answer.err
    assert "2 epochs, seed 0" in answer.out
    assert "choosing on one half flatters by" in answer.out


@pytest.mark.parametrize("path", sorted((BENCH / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_the_benchs_recipes_can_be_used(path):
    assert load_recipe(path).model.name == "swift"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (AIRBENCH_LIKE, [Outcome(0.9402, 2.1), Outcome(0.9404, 2.2)]),
        (
            "| epoch | acc | time |\n| 1 | 0.5 | 1.0 |\n| 2 | 0.9 | 2.0 |\n| 1 | 0.4 | 1.1 |\n| 2 | 0.8 | 2.1 |",
            [Outcome(0.9, 2.0), Outcome(0.8, 2.1)],
        ),
        ("run 1: accuracy: 94.5%, time: 1.99 s\nMean accuracy 94.5%", [Outcome(0.945, 1.99)]),
        ("run 1  acc=0.945 in 1.99s", [Outcome(0.945, 1.99)]),
        ("nothing to be read here", []),
    ],
)
def test_a_peers_output_is_read_whatever_its_form(text, expected):
    assert [(pytest.approx(o.accuracy), o.seconds) for o in read_outcomes(text)] == [
        (o.accuracy, o.seconds) for o in expected
    ]


def test_ideas_are_compared_on_validation_images_in_turn(notebook_folders, bench):
    small = "model.widths=[4, 6, 8] fit.epochs=1 fit.batch_size=20".replace(", ", ",")
    answer = bench(
        "ideas.py",
        "fast-86",
        "--data",
        notebook_folders,
        "--only",
        "--seeds",
        "2",
        "--try",
        small,
        f"{small} optimizer.lr=0.3",
    )
    lines = answer.out.splitlines()
    assert [line.split("seed ")[1][0] for line in lines[:4]] == ["0", "0", "1", "1"]
    assert lines[4].startswith("| change | n |")
    assert [row.split(" | ")[1] for row in lines[6:]] == ["2", "2"]


@pytest.mark.parametrize("size", [(10, 1), (50, 3)])
@pytest.mark.parametrize(
    "rule", ["classes_apart", "confused_pairs", "false_positives", "areas_under_roc", "calibration", "gap"]
)
def test_rules_seldom_speak_where_there_is_nothing_to_find(rule, size):
    random = np.random.default_rng(1)
    alarms = sum(null_rates.RULES[rule](*size, random) for _ in range(40))
    assert alarms <= 6, "binomial: more than 6 of 40 at 5 % has a chance of 0.3 %"


def test_rules_speak_where_there_is_something_to_find():
    random = np.random.default_rng(1)
    good = null_rates.drawn(10, 100, random)
    wrong = (good.labels == 3) & (random.random(1000) < 0.5)
    probabilities = good.probabilities.copy()
    probabilities[wrong] = np.eye(10)[4]
    told = null_rates.evidence_of(replace(good, probabilities=probabilities))
    first = next(iter(answers.classes_apart(told)))
    assert list(first.numbers["recall"]) == ["3"]
    assert next(iter(answers.confused_pairs(told))).numbers["pair"] == ["3", "4"]
    assert "4" in next(iter(answers.false_positives(told))).numbers["rates"]
    assert next(iter(answers.areas_under_roc(told))).numbers["worst"] == ["3"]
