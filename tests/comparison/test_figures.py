"""Figures that set recipes side by side."""

from logged import NOTEBOOK_01

from tenfold.comparison import figures as versus


def test_curves_of_many_runs_and_their_cost():
    rows = [
        {
            "name": f"r{k}",
            "accuracy": 0.7,
            "accuracy_ci95": [0.6, 0.8],
            "seconds": 10.0**k,
            "parameters": 10**k,
        }
        for k in range(1, 4)
    ]
    assert len(versus.cost(rows).axes[0].collections) == 6
    figure = versus.overlaid_curves({"a": [NOTEBOOK_01, NOTEBOOK_01], "b": [NOTEBOOK_01]})
    assert len(figure.axes[0].get_lines()) == 3
