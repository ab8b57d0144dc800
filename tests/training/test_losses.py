"""Losses for classes of unequal size: their values by hand, and what a model learns by them."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tenfold.core.errors import InputError
from tenfold.data.orders import balanced_order
from tenfold.recipe import Fit, load_recipe
from tenfold.training.losses import Criterion

COUNTS = [6, 3, 1]
LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [-1.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
LABELS = torch.tensor([0, 1, 2, 2])


def criterion(smoothing: float = 0.0, whole: bool = False, **options) -> Criterion:
    return Criterion(Fit(**options), COUNTS, torch.device("cpu"), whole=whole, smoothing=smoothing)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_without_any_of_it_the_loss_is_pytorchs_to_the_bit(reduction):
    expected = F.cross_entropy(LOGITS, LABELS, label_smoothing=0.1, reduction=reduction)
    for options in ({}, {"class_weights": "none"}, {"class_weights": (1.0, 1.0, 1.0)}):
        assert torch.equal(criterion(0.1, **options)(LOGITS, LABELS, reduction), expected)


def test_balanced_weights_give_every_class_the_same_sum():
    each = F.cross_entropy(LOGITS, LABELS, reduction="none")
    weights = torch.tensor([10 / 18, 10 / 9, 10 / 3])  # images / (classes * images of the class)
    assert criterion(class_weights="balanced")(LOGITS, LABELS).item() == pytest.approx(
        (weights[LABELS] * each).mean().item()
    )
    assert sum(w * n for w, n in zip(weights.tolist(), COUNTS, strict=True)) == pytest.approx(10)
    given = criterion(class_weights=(1.0, 2.0, 5.0))(LOGITS, LABELS, "sum").item()
    assert given == pytest.approx((torch.tensor([1.0, 2.0, 5.0])[LABELS] * each).sum().item())


def test_a_balanced_sampler_is_balanced_weights_where_all_images_are_learned_from_at_once():
    balanced = criterion(class_weights="balanced")(LOGITS, LABELS)
    assert torch.allclose(criterion(sampler="balanced", whole=True)(LOGITS, LABELS), balanced)
    assert criterion(sampler="balanced").plain


def test_logits_are_adjusted_by_the_logarithm_of_the_classes_shares():
    shifted = LOGITS + 0.5 * torch.tensor([0.6, 0.3, 0.1]).log()
    expected = F.cross_entropy(shifted, LABELS)
    assert criterion(logit_adjustment=0.5)(LOGITS, LABELS).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_is_that_of_its_paper(gamma):
    p = LOGITS.softmax(1)[torch.arange(4), LABELS]
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    assert criterion(focal_gamma=gamma)(LOGITS, LABELS).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    "options", [{"focal_gamma": 2.0}, {"class_weights": "balanced"}, {"logit_adjustment": 1.0}]
)
def test_shares_of_classes_are_targets_too(options):
    """A target that is all one class is that class; of two halves, each counts half."""
    loss, one_hot = criterion(**options), F.one_hot(LABELS, 3).float()
    assert torch.allclose(loss(LOGITS, one_hot), loss(LOGITS, LABELS))
    halves = (one_hot + one_hot.roll(1, 0)) / 2
    parts = [loss(LOGITS, one_hot), loss(LOGITS, one_hot.roll(1, 0))]
    assert loss(LOGITS, halves).item() == pytest.approx(sum(parts).item() / 2)


def test_an_image_that_is_sure_has_a_finite_gradient_in_the_focal_loss():
    logits = torch.tensor([[200.0, -200.0, -200.0]], requires_grad=True)
    criterion(focal_gamma=0.5)(logits, torch.tensor([0])).backward()
    assert torch.isfinite(logits.grad).all()


def test_what_emphasis_comes_of_each_way():
    assert Fit().emphasis(COUNTS) is None
    assert Fit(focal_gamma=2.0).emphasis(COUNTS) is None
    expected = [10 / 18, 10 / 9, 10 / 3]
    for options in ({"class_weights": "balanced"}, {"sampler": "balanced"}, {"logit_adjustment": 1.0}):
        assert Fit(**options).emphasis(COUNTS) == pytest.approx(expected), options
    assert Fit(class_weights="balanced").emphasis([5, 5, 5]) is None
    half = Fit(logit_adjustment=0.5).emphasis(COUNTS)
    assert half[2] / half[0] == pytest.approx(math.sqrt(6))


def test_weights_that_do_not_fit_the_classes_are_refused():
    with pytest.raises(InputError, match="2 numbers for 3 classes"):
        criterion(class_weights=(1.0, 2.0))
    with pytest.raises(InputError, match="a number above 0 for each class"):
        load_recipe("digits", ["fit.class_weights=[1,0]"])
    assert load_recipe("digits", ["fit.class_weights=none"]).fit.class_weights == "none"


def test_a_balanced_epoch_has_as_many_images_of_every_class(few_digits):
    split = few_digits.train.part(np.concatenate([np.flatnonzero(few_digits.train.labels == k)[:n] for k, n in
                                                  ((0, 12), (1, 6), (2, 2))]))  # fmt: skip
    order = balanced_order(split, 4, 0, 1)
    drawn = np.concatenate(order)
    assert [len(batch) for batch in order] == [4] * 5
    assert sorted(np.bincount(split.labels[drawn]).tolist()) == [6, 7, 7]
    seen = np.bincount(drawn, minlength=20)
    assert seen[:12].max() == 1, "of a large class none is drawn twice"
    assert seen[12:18].min() >= 1, "of a small class every image is drawn before any is drawn again"
    assert seen[18:].min() >= 3
    assert not np.array_equal(drawn, np.concatenate(balanced_order(split, 4, 0, 2)))
    assert np.array_equal(drawn, np.concatenate(balanced_order(split, 4, 0, 1)))
