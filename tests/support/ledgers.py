"""Sweeps whose trials were never trained: their plans, events and scores."""

from small import small_recipe

from tenfold.data import Source
from tenfold.sweeps.journal import VERSION
from tenfold.sweeps.ledger import Ledger
from tenfold.sweeps.plan import SweepPlan, plan_sweep
from tenfold.sweeps.propose import propose
from tenfold.sweeps.settings import SweepSettings

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
