"""What a journal says: trials, halving, the winner; nothing here trains."""

from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import begun, ended, plan

from tenfold.sweeps.ledger import MOST_LOSSES, Ledger


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
