"""Schedules: every one over its whole course; the plateau on recorded losses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.recipe.components import Choice
from tenfold.training.schedules import SCHEDULES, build_schedule, improves


@given(st.sampled_from(sorted(SCHEDULES)), st.floats(0, 1))
def test_every_schedule_keeps_the_rate_between_zero_and_the_optimizers(name, progress):
    assert 0 <= build_schedule(Choice(name=name)).factor(progress) <= 1


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"plateau"}))
def test_schedules_of_progress_alone_ignore_the_records(name):
    schedule = build_schedule(Choice(name=name))
    before = [schedule.factor(i / 20) for i in range(21)]
    schedule.observe({"validation_loss": 1.0, "validation_accuracy": 0.5})
    assert [schedule.factor(i / 20) for i in range(21)] == before
    assert schedule.memory == {}


def test_cosine_warms_up_linearly_and_ends_at_its_final_factor():
    schedule = build_schedule(Choice(name="cosine", warmup=0.2, final=0.1))
    points = [schedule.factor(progress) for progress in (0, 0.1, 0.2, 0.6, 1)]
    assert points == pytest.approx([0, 0.5, 1, 0.55, 0.1])


def test_one_cycle_rises_to_its_peak_and_falls():
    schedule = build_schedule(Choice(name="one-cycle", peak=0.25, start=0.2, final=0.1))
    points = [schedule.factor(progress) for progress in (0, 0.125, 0.25, 0.625, 1)]
    assert points == pytest.approx([0.2, 0.6, 1, 0.55, 0.1])


def test_step_drops_at_its_milestones():
    schedule = build_schedule(Choice(name="step", milestones=(0.5, 0.75), gamma=0.1))
    points = [schedule.factor(progress) for progress in (0, 0.49, 0.5, 0.74, 0.75, 1)]
    assert points == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def plateau_factors(monitor: str, values: list[float], **options) -> list[float]:
    schedule = build_schedule(Choice(name="plateau", monitor=monitor, **options))
    factors = []
    for value in values:
        schedule.observe({monitor: value})
        factors.append(schedule.factor(0.0))
    return factors


# A descent, a plateau and a rise; the expected factors are those of Keras 3.15's ReduceLROnPlateau on them.
LOSSES = [1.50, 1.20, 1.00, 0.99995, 1.00, 1.01, 0.95, 0.96, 0.97, 0.98, 0.99]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # 0.99995 is no improvement, because it is within min_delta of 1.00.
        ({"patience": 3}, [1] * 5 + [0.1] * 4 + [0.01] * 2),
        ({"patience": 3, "min_delta": 0.0}, [1] * 9 + [0.1] * 2),
        ({"patience": 1}, [1] * 3 + [0.1, 0.01, 1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]),
        ({"patience": 1, "floor": 0.01}, [1] * 3 + [0.1] + [0.01] * 7),
        ({"patience": 1, "cooldown": 2}, [1] * 3 + [0.1] * 2 + [0.01] * 2 + [1e-3] * 2 + [1e-4] * 2),
    ],
)
def test_the_plateau_drops_the_rate_where_keras_did_on_the_same_losses(options, expected):
    assert plateau_factors("validation_loss", LOSSES, **options) == pytest.approx(expected)


def test_the_plateau_of_an_accuracy_looks_upwards():
    assert plateau_factors("validation_accuracy", [0.5, 0.6, 0.6, 0.55], patience=2, gamma=0.5) == [
        1,
        1,
        1,
        0.5,
    ]


def test_the_plateau_goes_on_from_its_memory():
    options = {"monitor": "validation_loss", "patience": 2, "cooldown": 1}
    whole, begun, resumed = (build_schedule(Choice(name="plateau", **options)) for _ in range(3))
    for value in LOSSES[:5]:
        whole.observe({"validation_loss": value})
        begun.observe({"validation_loss": value})
    resumed.memory = dict(begun.memory)
    for value in LOSSES[5:]:
        whole.observe({"validation_loss": value})
        resumed.observe({"validation_loss": value})
        assert resumed.factor(0) == whole.factor(0)


def test_improving_is_downwards_for_a_loss_and_upwards_for_an_accuracy():
    assert improves("validation_loss", 0.9, 1.0)
    assert not improves("validation_loss", 0.9, 1.0, min_delta=0.2)
    assert improves("validation_accuracy", 0.9, 0.8)
    assert not improves("validation_accuracy", 0.8, 0.8)
    assert improves("validation_loss", 7.0, None)
    assert not improves("validation_loss", math.nan, None)
