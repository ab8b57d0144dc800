"""Gradient steps: their tally, and the images that they are shown."""

import math

import pytest
import torch

from tenfold.runs.state import Within
from tenfold.training.method import NonFiniteLossError
from tenfold.training.steps import _Tally, reduced


def test_a_tally_read_seldom_is_the_same_as_one_read_at_each_step():
    steps = [(n, torch.rand(()), torch.randint(n, ())) for n in (8, 8, 5)]
    often, seldom = _Tally(1, Within()), _Tally(1, Within())
    for step in steps:
        often.add(*step)
        often.look()
        seldom.add(*step)
    seldom.look()
    assert (often.loss, often.accuracy, often.within) == (seldom.loss, seldom.accuracy, seldom.within)


def test_a_tally_read_seldom_still_names_the_first_bad_step():
    tally = _Tally(4, Within())
    for loss in (1.0, math.inf, math.nan):
        tally.add(2, torch.tensor(loss), torch.tensor(0))
    with pytest.raises(NonFiniteLossError, match="the loss became inf at step 2 of epoch 4"):
        tally.look()


def test_reducing_averages_and_keeps_the_memory_format():
    images = torch.randint(0, 256, (3, 5, 8, 12)).float().contiguous(memory_format=torch.channels_last)
    half = reduced(images, 0.5)
    assert half.shape == (3, 5, 4, 6)
    assert half.is_contiguous(memory_format=torch.channels_last)
    # A triangle four pixels wide, of 1, 3, 3 and 1 parts, stands at every second pixel.
    inner = images[:, :, 1:5, 1:5]
    weights = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    by_hand = torch.einsum("nchw,h,w->nc", inner, weights, weights)
    torch.testing.assert_close(half[:, :, 1, 1], by_hand)
    assert reduced(images, 1.0) is images
