"""Proposals depend on the ledger alone."""

import json

import numpy as np
import pytest
from ledgers import SIZES, begun, ended, plan

from tenfold.sweeps.ledger import Ledger
from tenfold.sweeps.propose import propose


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
