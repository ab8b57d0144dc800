"""The journal and what it says: torn lines, halving, proposals, verdicts; nothing here trains."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats
from small import small_recipe

from tenfold.core.errors import InputError, TenfoldError
from tenfold.data import Source
from tenfold.recipe import Stop
from tenfold.sweeps import figures
from tenfold.sweeps.display import SweepDisplay
from tenfold.sweeps.journal import FILE, VERSION, Journal, read_events
from tenfold.sweeps.ledger import MOST_LOSSES, Ledger, read_ledger
from tenfold.sweeps.plan import SweepPlan, plan_sweep
from tenfold.sweeps.propose import propose
from tenfold.sweeps.results import Results, importance_of, kept_epoch
from tenfold.sweeps.settings import SweepSettings
from tenfold.sweeps.space import Range
from tenfold.sweeps.verdict import judge, noise_of

SIZES = [4, 8, 16, 32, 64]


def plan(varied: dict | None = None, **settings) -> SweepPlan:
    varied = varied or {"model.dense": SIZES}
    return plan_sweep(
        "digits", small_recipe("fit.epochs=16"), SweepSettings(varied, **settings), Source("digits")
    )


def begun(plan: SweepPlan, count: int | None = None) -> list[dict]:
    """The events of a sweep whose first candidates were proposed."""
    events: list[dict] = [{"event": "plan", "version": VERSION, "plan": plan.to_json()}]
    ledger = Ledger(events)
    while (count is None or len(ledger.candidates) < count) and (values := propose(plan, ledger.candidates)):
        events.append({"event": "candidate", "candidate": len(ledger.candidates), "values": values})
        ledger.apply(events[-1])
    return events


def ended(trial: int, score: float, *, rung: int = 0, state: str = "done", **more) -> dict:
    outcome = {
        "score": score,
        "loss": 1 - score,
        "best_epoch": 3,
        "epochs": 4,
        "seconds": 1.5,
        "parameters": 100,
    }
    return {"event": "ended", "trial": trial, "rung": rung, "state": state, "outcome": {**outcome, **more}}


def scored(scores: list[list[float]], **settings) -> Ledger:
    """A finished sweep over `model.dense` with these scores by seed; parameters grow with the size."""
    made = plan({"model.dense": SIZES[: len(scores)]}, seeds=len(scores[0]), **settings)
    ledger = Ledger(begun(made))
    for number, each in enumerate(scores):
        for seed, score in enumerate(each):
            ledger.apply(ended(number * len(each) + seed, score, parameters=100 * (number + 1)))
    if (best := ledger.choose_winner()) is not None:
        ledger.apply({"event": "winner", "candidate": best.number})
    return ledger


# The journal ---------------------------------------------------------------------------------------------------


def test_a_journal_cut_at_any_byte_is_its_whole_lines(tmp_path):
    journal = Journal(tmp_path)
    for event in begun(plan(), 2):
        journal.append(event)
    whole = journal.path.read_bytes()
    for length in range(len(whole)):
        journal.path.write_bytes(whole[:length])
        torn = Journal(tmp_path)
        assert torn.events == journal.events[: whole[:length].count(b"\n")]
        if torn.events:
            with torn.lock():
                torn.append({"event": "started", "trial": 0})
            assert read_events(torn.path) == torn.events


def test_a_line_damaged_in_the_middle_is_named(tmp_path):
    (tmp_path / FILE).write_text('{"event": "plan", "version": 1}\n{"event": \n{"event": "x"}\n')
    with pytest.raises(InputError, match="line 2 is damaged"):
        Journal(tmp_path)


def some_events() -> list[dict]:
    """A plan, two candidates, and what became of them."""
    trials = [
        {"event": "started", "trial": 0},
        ended(0, 0.5),
        {"event": "started", "trial": 1},
        ended(1, 0.6),
    ]
    return [*begun(plan(), 2), *trials]


def another_digit(line: bytes) -> bytes:
    return re.sub(rb"\d", lambda found: b"7" if found[0] != b"7" else b"8", line, count=1)


def some_journal(folder: Path) -> Journal:
    journal = Journal(folder)
    with journal.lock():
        for event in some_events():
            journal.append(event)
    return journal


@pytest.mark.parametrize("line", range(1, 5))
@pytest.mark.parametrize(
    "damage",
    [
        lambda lines, at: lines[:at] + lines[at + 1 :],
        lambda lines, at: [*lines[:at], another_digit(lines[at]), *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], b"null", *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], b"[" * 100_000, *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], b"\xff\xfe", *lines[at + 1 :]],
        lambda lines, at: [*lines[:at], lines[at], *lines[at:]],
    ],
)
def test_a_line_that_is_missing_or_has_changed_is_named(damage, line, tmp_path):
    path = some_journal(tmp_path).path
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"".join(part + b"\n" for part in damage(lines, line)))
    with pytest.raises(
        InputError, match=r"sweep\.jsonl: line \d is damaged .* begin a sweep of another --name"
    ):
        Journal(tmp_path)


@pytest.mark.parametrize(
    "event",
    [
        {"event": "dance"},
        {},
        {"event": ["x"]},
        {"event": "started", "trial": 99},
        {"event": "started", "trial": "x"},
        {"event": "ended", "trial": 0},
        {"event": "winner", "candidate": {}},
        {"event": "plan", "plan": None},
    ],
)
def test_a_line_that_makes_no_sense_is_named(event, tmp_path):
    journal = some_journal(tmp_path)
    with journal.lock():
        journal.append(event)
    with pytest.raises(InputError, match=rf"line {len(journal.events)} is damaged"):
        read_ledger(Journal(tmp_path))


def test_a_journal_of_version_0_1_has_no_hashes_and_goes_on_without(tmp_path):
    lines = [json.dumps(event) + "\n" for event in some_events()]
    (tmp_path / FILE).write_text("".join(lines))
    journal = Journal(tmp_path)
    with journal.lock():
        journal.append({"event": "retry", "trial": 1})
    assert Journal(tmp_path).events == journal.events
    assert (tmp_path / FILE).read_text().count("blake2b") == 0
    assert read_ledger(Journal(tmp_path)).trials[1].state == "waiting"


def test_two_drivers_cannot_hold_one_journal(tmp_path):
    first, second = Journal(tmp_path), Journal(tmp_path)
    with first.lock():
        with pytest.raises(TenfoldError, match="another process is driving"), second.lock():
            pass
        first.append({"event": "plan", "version": VERSION})
    with second.lock():
        assert second.events == first.events


# The ledger ----------------------------------------------------------------------------------------------------


def test_trials_are_candidates_times_seeds_and_running_ones_are_taken_up():
    ledger = Ledger(begun(plan(seeds=2)))
    assert [(trial.number, trial.candidate, trial.seed) for trial in ledger.trials[:3]] == [
        (0, 0, 0), (1, 0, 1), (2, 1, 0),
    ]  # fmt: skip
    ledger.apply({"event": "started", "trial": 0})
    assert ledger.ready[0].number == 1
    ledger.forget_running()
    assert ledger.ready[0].number == 0


def test_what_is_left_is_counted_by_the_trials_that_ended_and_no_epoch_that_patience_saved():
    ledger = Ledger(begun(plan()))
    assert ledger.epochs_left() == 5 * 16
    ledger.apply(ended(0, 0.5))
    assert ledger.epochs_left() == 4 * 4, "the recipe's 16 epochs were 4 at last"
    ledger.apply(ended(1, 0.5, state="failed", epochs=1))
    assert ledger.epochs_left() == 3 * 4
    for trial in (2, 3, 4):
        ledger.apply(ended(trial, 0.5, epochs=6))
    assert ledger.epochs_left() == 0


def test_a_trial_that_loses_its_workers_again_and_again_has_failed():
    ledger = Ledger(begun(plan()))
    for _ in range(MOST_LOSSES):
        assert ledger.ready[0].number == 0
        ledger.apply({"event": "started", "trial": 0})
        ledger.apply({"event": "lost", "trial": 0, "reason": "killed by signal 9"})
    assert ledger.trials[0].state == "failed"
    ledger.apply({"event": "retry", "trial": 0})
    assert ledger.ready[0].number == 0


@settings(deadline=None, max_examples=30)
@given(scores=st.lists(st.floats(0, 1), min_size=5, max_size=5), order=st.permutations(range(5)))
def test_halving_keeps_the_best_whatever_the_order_of_their_ends(scores, order):
    made = plan(prune=True)
    assert made.rungs == (1, 4, None)
    ledger = Ledger(begun(made))
    assert ledger.next_cut() is not None
    for number in order:
        assert not ledger.arrived
        ledger.apply(ended(number, scores[number], state="paused"))
    assert ledger.arrived
    cut = ledger.next_cut()
    assert cut is not None
    best = sorted(range(5), key=lambda number: (-scores[number], 1 - scores[number], number))[:2]
    assert cut["kept"] == sorted(best)
    ledger.apply(cut)
    assert [trial.number for trial in ledger.ready] == sorted(best)
    for number in best:
        ledger.apply(ended(number, scores[number], rung=1, state="paused"))
    ledger.apply(ledger.next_cut() or {})
    assert [trial.number for trial in ledger.ready] == best[:1]
    ledger.apply(ended(best[0], scores[best[0]], rung=2))
    assert ledger.next_cut() is None
    assert ledger.choose_winner() is ledger.candidates[best[0]]


def test_a_failed_candidate_cannot_win_and_ties_go_to_the_smaller():
    ledger = Ledger(begun(plan()))
    ledger.apply(ended(0, 0.9, state="failed", error="NaN"))
    for number, parameters in ((1, 300), (2, 200), (3, 400)):
        ledger.apply(ended(number, 0.8, parameters=parameters))
    winner = ledger.choose_winner()
    assert winner is not None
    assert winner.number == 2


# Proposals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_proposals_depend_on_the_ledger_alone_and_stay_in_the_space(search):
    made = plan({"optimizer.lr": "1e-4..1e-1:log", "model.dense": [8, 16]}, search=search, trials=15)
    events = begun(made, 12)
    for number in range(12):
        events.append(ended(number, 0.5 + 0.01 * number))
    first, again = propose(made, Ledger(events).candidates), propose(made, Ledger(events).candidates)
    assert first == again
    candidates = Ledger(events).candidates
    assert len({json.dumps(candidate.values) for candidate in candidates}) == 12
    for candidate in candidates:
        assert 1e-4 <= candidate.values["optimizer.lr"] <= 1e-1
        assert candidate.values["model.dense"] in (8, 16)


def test_tpe_goes_where_the_scores_are_better():
    made = plan({"optimizer.lr": "1e-4..1e-1:log"}, search="tpe", trials=60)
    events = begun(made, 0)
    ledger = Ledger(events)
    for number in range(40):
        values = propose(made, ledger.candidates)
        assert values is not None
        ledger.apply({"event": "candidate", "candidate": number, "values": values})
        ledger.apply(ended(number, 1 - abs(np.log10(values["optimizer.lr"]) + 2)))
    tried = [abs(np.log10(candidate.values["optimizer.lr"]) + 2) for candidate in ledger.candidates]
    assert np.median(tried[20:]) < np.median(tried[:10]) / 2


def test_a_small_space_is_used_up_rather_than_repeated():
    events = begun(plan(search="random", trials=50))
    assert sorted(event["values"]["model.dense"] for event in events[1:]) == SIZES


# The verdict ---------------------------------------------------------------------------------------------------


def sentences(ledger: Ledger) -> str:
    return "\n".join(finding.sentence for finding in judge(ledger, {}))


def test_the_margin_is_tukeys():
    scores = [[0.70, 0.71, 0.69], [0.72, 0.73, 0.74], [0.60, 0.61, 0.62]]
    noise = noise_of(scores)
    assert noise is not None
    differences = np.abs(np.subtract.outer(np.mean(scores, axis=1), np.mean(scores, axis=1)))
    assert ((differences > noise.margin) == (stats.tukey_hsd(*scores).pvalue < 0.05)).all()
    assert noise.deviation == pytest.approx(0.01)
    assert noise_of([[0.5], [0.6]]) is None


def test_noise_alone_seldom_names_a_difference():
    scores = np.random.default_rng(0).normal(0.7, 0.01, (200, 5, 3))
    noises = [noise_of(each.tolist()) for each in scores]
    wrong = sum(
        noise is not None and np.ptp(each.mean(axis=1)) > noise.margin
        for each, noise in zip(scores, noises, strict=True)
    )
    assert wrong <= 20  # 5% are expected; 20 of 200 would be beyond 0.999 of the binomial's mass.


def test_differences_within_the_noise_mean_that_there_is_no_ideal_size():
    text = sentences(scored([[0.70, 0.72, 0.69], [0.71, 0.70, 0.72], [0.69, 0.72, 0.71]]))
    assert (
        "There is no ideal value of model.dense among those tried: none of the 3 candidates differs" in text
    )
    assert "model.dense=4 cannot be told from it and is smaller: 100 parameters instead of 200" in text


def test_differences_beyond_the_noise_are_named_and_so_is_the_edge():
    text = sentences(scored([[0.60, 0.61, 0.60], [0.70, 0.71, 0.70], [0.80, 0.81, 0.80]]))
    assert (
        "model.dense=16 wins with a validation accuracy of 80.3% (standard deviation 0.6 points over 3"
        in text
    )
    assert "better than model.dense=8 and model.dense=4 by more than the noise between seeds explains" in text
    assert "16 is the largest value of model.dense tried, so that a larger one may be better still" in text
    assert "is smaller" not in text
    text = sentences(scored([[0.80, 0.81, 0.80], [0.70, 0.71, 0.70], [0.60, 0.61, 0.60]]))
    assert "4 is the smallest value of model.dense tried, so that a smaller one" in text


def test_one_seed_tells_nothing_about_noise():
    assert "With one seed each, the differences (at most 10.0 points) cannot be told" in sentences(
        scored([[0.6], [0.7]])
    )


def test_failures_and_those_left_behind_are_told():
    ledger = Ledger(begun(plan(prune=True)))
    for number in range(4):
        ledger.apply(ended(number, 0.1 * number, state="paused"))
    ledger.apply(
        {"event": "ended", "trial": 4, "rung": 0, "state": "failed", "outcome": {"error": "no room"}}
    )
    ledger.apply(ledger.next_cut() or {})
    text = sentences(ledger)
    assert "No winner is named yet: 0 candidates are trained to the end." in text
    assert (
        "3 of 5 candidates were left behind by successive halving, which compared them after epoch 1 and 4"
        in text
    )
    assert "1 of 5 trials failed" in text
    assert "trial-0004 (model.dense=64): no room" in text


# Figures and tables --------------------------------------------------------------------------------------------


def test_importance_finds_the_key_that_matters():
    made = plan({"optimizer.lr": "1e-4..1e-1:log", "model.dropout": "0.0..0.9"}, search="random", trials=30)
    events = begun(made)
    for number, event in enumerate(events[1:]):
        events.append(ended(number, 0.9 - 0.2 * abs(np.log10(event["values"]["optimizer.lr"]) + 2.5)))
    shares = importance_of(Ledger(events))
    assert list(shares) == ["optimizer.lr", "model.dropout"]
    assert shares["optimizer.lr"] > 0.8
    assert importance_of(Ledger(begun(plan()))) == {}


def test_the_table_ranks_and_the_figures_show_what_there_is(tmp_path):
    ledger = scored([[0.6, 0.62], [0.8, 0.82], [0.7, 0.72]])
    results = Results(tmp_path, ledger)
    assert [(row.state, row.values["model.dense"]) for row in results.rows] == [
        ("winner", 8), ("done", 16), ("done", 4),
    ]  # fmt: skip
    assert results.rows[0].cells == ["8", "81.00%", "1.41", "3 of 4", "200", "1.5 s", "winner"]
    assert results.winner == {"model.dense": 8}
    points = [figures.Point({"model.dense": size}, [0.5, 0.6], "other") for size in (16, 1024)]
    figure = figures.by_value(points, figures.Axis("model.dense", log=figures.spread_out([16, 1024])))
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["16", "1024"]


def test_the_overlay_marks_each_best_epoch():
    curves = [figures.Curves(f"size {n}", [0.1, 0.2, 0.3], [0.1, 0.3, 0.2], 2) for n in range(12)]
    figure = figures.overlay(curves)
    for axes, value in zip(figure.axes, (0.2, 0.3), strict=True):
        rings = [line for line in axes.lines if line.get_marker() == "o"]
        assert len(rings) == figures.LEGIBLE
        assert all((line.get_xdata()[0], line.get_ydata()[0]) == (2, value) for line in rings)
    assert figure.legends[0].get_title().get_text() == "the best 10 of 12, by rank"


def test_the_mean_curve_is_marked_at_its_own_best_epoch():
    lower, higher = Stop(monitor="validation_loss"), Stop(monitor="validation_accuracy")
    assert kept_epoch([0.5, 0.3, 0.3, 0.4], lower) == 2
    assert kept_epoch([0.5, 0.3, 0.6, 0.4], higher) == 3
    assert kept_epoch([0.5, 0.45, 0.3], Stop(monitor="validation_loss", min_delta=0.1)) == 3


def test_parallel_coordinates_run_from_the_lowest_to_the_highest():
    points = [
        figures.Point({"model.name": name, "optimizer.lr": lr}, [score], rank)
        for name, lr, score, rank in (
            ("a", 1e-4, 0.5, "other"),
            ("b", 1e-2, 0.9, "winner"),
            ("a", 1e-3, 0.7, "other"),
        )
    ]
    figure = figures.parallel(
        points, [figures.Axis("model.name", names=["a", "b"]), figures.Axis("optimizer.lr", True)]
    )
    lines = [list(line.get_ydata()) for line in figure.axes[0].lines if len(line.get_ydata()) == 3]
    assert sorted(lines) == [pytest.approx(ends) for ends in ([0, 0, 0], [0, 0.5, 0.5], [1, 1, 1])]
    assert figure.axes[0].get_xticklabels()[-1].get_text() == "validation accuracy"


def test_the_live_table_shows_what_runs_and_how_far_it_is():
    ledger = Ledger(begun(plan()))
    for trial in (0, 1):
        ledger.apply({"event": "started", "trial": trial})
    screen = io.StringIO()
    display = SweepDisplay()
    display.console = Console(file=screen, force_terminal=True, width=120, highlight=False, color_system=None)
    with display.running(ledger, Path("runs/x"), "2 workers of 1 thread"):
        display.epoch(1, {"epoch": 3, "loss": 0.5, "validation_accuracy": 0.75})
        display.update(ledger, 100.0, 60.0)
        assert display.live is not None
        display.live.refresh()
        ledger.apply(ended(0, 0.8))
        display.ended(ledger, ledger.trials[0])
        display.update(ledger, 50.0, 60.0)
    text = screen.getvalue()
    assert "digits, grid search, 5 candidates, to runs/x" in text
    assert re.search(r"0 +model.dense=4 +starting", text)
    assert re.search(r"1 +model.dense=8 +3 +0.5000 +75.00%", text)
    assert "at this pace all trials take about 1 min 40 s more, and the time is up in 60.0 s" in text
    assert "trial 0 (model.dense=4)  validation accuracy 80.00% at epoch 3 of 4, 1.5 s  *" in text
    assert "1 of 5 trials done; best so far 80.00% with model.dense=4; about 50.0 s left" in text


def test_a_range_is_drawn_by_its_own_scale():
    made = plan({"optimizer.lr": "1e-4..1e-1:log"}, trials=3)
    assert made.dimensions == {"optimizer.lr": Range(1e-4, 1e-1, True)}
    assert Results(Path(), Ledger(begun(replace(made, trials=1))))._axis("optimizer.lr").log
