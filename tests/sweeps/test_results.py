"""A sweep's table, the importance of its keys, and what its figures are drawn from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from ledgers import begun, ended, plan, scored

from tenfold.recipe import Stop
from tenfold.sweeps import figures
from tenfold.sweeps.ledger import Ledger
from tenfold.sweeps.results import Results, importance_of, kept_epoch
from tenfold.sweeps.space import Range


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


def test_the_mean_curve_is_marked_at_its_own_best_epoch():
    lower, higher = Stop(monitor="validation_loss"), Stop(monitor="validation_accuracy")
    assert kept_epoch([0.5, 0.3, 0.3, 0.4], lower) == 2
    assert kept_epoch([0.5, 0.3, 0.6, 0.4], higher) == 3
    assert kept_epoch([0.5, 0.45, 0.3], Stop(monitor="validation_loss", min_delta=0.1)) == 3


def test_a_range_is_drawn_by_its_own_scale():
    made = plan({"optimizer.lr": "1e-4..1e-1:log"}, trials=3)
    assert made.dimensions == {"optimizer.lr": Range(1e-4, 1e-1, True)}
    assert Results(Path(), Ledger(begun(replace(made, trials=1))))._axis("optimizer.lr").log
