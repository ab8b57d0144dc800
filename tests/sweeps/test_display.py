"""What is shown while a sweep runs."""

import io
import re
from pathlib import Path

from ledgers import begun, ended, plan
from rich.console import Console

from tenfold.sweeps.display import SweepDisplay
from tenfold.sweeps.ledger import Ledger


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
