"""Where training stands between beginning and end, by epochs or by the clock, and the rates that follow."""

import time

import pytest
import torch
from small import small_recipe
from torch import nn

from tenfold.core.world import World
from tenfold.recipe.components import Choice
from tenfold.training.method import JUDGED, Pace, never
from tenfold.training.schedules import build_schedule

FALLING = Choice(name="cosine", warmup=0.0, final=0.0)


def pace(*overrides: str, schedule: Choice = FALLING, **more) -> Pace:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": 0.1}]
    groups.append({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.1, "lr_scale": 0.5})
    return Pace(small_recipe(*overrides), build_schedule(schedule), torch.optim.SGD(groups), **more)


def test_rates_follow_the_schedule_and_each_group_keeps_its_scale():
    found = pace("fit.epochs=4")
    assert found.set_rates(1) == pytest.approx(0.1)
    assert found.set_rates(3) == pytest.approx(0.05)
    assert found.set_rates(4, 1.0) == pytest.approx(0.0, abs=1e-9)
    found.set_rates(1)
    assert [group["lr"] for group in found.optimizer.param_groups] == pytest.approx([0.1, 0.05])


def test_an_epoch_counts_for_the_images_that_it_learns_from():
    found = pace("fit.epochs=3", "fit.hardest=[1, 0.5, 0.5]")
    assert found.set_rates(2) == pytest.approx(0.05)
    assert found.set_rates(2, 0.5) == pytest.approx(pace("fit.epochs=8").set_rates(6), rel=1e-6)


def test_the_clock_decides_where_it_is_ahead_of_the_epochs():
    found = pace("fit.epochs=4", "fit.minutes=1")
    assert found.share_of_time() < 0.1
    found.spent_before = 30.0
    assert found.share_of_time() == pytest.approx(0.5, abs=0.02)
    assert found.set_rates(1) == pytest.approx(0.05, abs=0.005)
    found.saw_validation(15.0)
    assert found.share_of_time() == pytest.approx(0.75, abs=0.02)
    found.spent_before = 600.0
    assert found.set_rates(1) == pytest.approx(0, abs=1e-9)
    assert pace("fit.epochs=4").share_of_time() == 0


def test_a_validation_that_was_not_seen_is_expected_by_the_images_that_it_has(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    found = pace("fit.minutes=1")
    found.judged = 50
    for _ in range(4):
        now[0] += 1.0
        found.took_step(10)
    assert found.validation_seconds == pytest.approx(JUDGED * 50 * 0.1), "the first two steps do not count"
    found.saw_validation(3.0)
    found.took_step(10)
    assert found.validation_seconds == 3.0


def test_the_clock_of_a_world_is_its_first_processs():
    class Told(World):
        def first_says(self, number: float) -> float:
            return 15.0

    assert pace("fit.minutes=1", world=Told()).share_of_time() == 0.25
    assert never() is None
