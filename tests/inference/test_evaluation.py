"""A model on a split: its loss and shares as counted by hand, and its predictions in the split's order."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score
from small import first
from torch.nn import functional as F

from tenfold.data.feeds import feed
from tenfold.inference.evaluation import (
    changed_statistics,
    predict_split,
    sample,
    score,
    split_logits,
    split_statistics,
)
from tenfold.inference.familiarity import pixel_statistics
from tenfold.models import build_model
from tenfold.recipe.components import Choice

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(cache):
    return build_model(Choice(name="model-s-deep", filters=(2,), dense=3, dense_l2=0.1), (1, 8, 8), 10)


@pytest.fixture(scope="module")
def split(digits):
    return first(digits.test, 40)


def outputs(model, split) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(torch.from_numpy(split.images(slice(None))).permute(0, 3, 1, 2))


@pytest.mark.parametrize("emphasis", [None, tuple(map(float, range(1, 11)))])
def test_the_score_is_the_mean_over_all_images_and_the_penalty(model, split, emphasis):
    calls: list[int] = []
    model.train()
    found = score(model, feed(split, CPU), emphasis, lambda: calls.append(1))
    assert model.training, "it is left as it was"
    assert calls
    logits, labels = outputs(model, split), torch.from_numpy(np.asarray(split.labels))
    weights = None if emphasis is None else torch.tensor(emphasis, dtype=torch.float)
    expected = F.cross_entropy(logits, labels, weights) + model.penalty()
    assert found.loss == pytest.approx(expected.item(), rel=1e-5)
    predicted = logits.argmax(1).numpy()
    assert found.accuracy == pytest.approx((predicted == split.labels).mean())
    assert found.f1_macro == pytest.approx(
        f1_score(split.labels, predicted, average="macro", zero_division=0)
    )
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(split.labels, predicted))


def test_predictions_are_in_the_order_of_the_split(model, split):
    names = tuple("0123456789")
    found = predict_split(model, split, names, CPU)
    assert list(found.paths) == list(split.paths)
    assert found.class_names == names
    np.testing.assert_allclose(found.probabilities, outputs(model, split).softmax(1).numpy(), atol=1e-6)
    np.testing.assert_allclose(split_logits(model, split, CPU), outputs(model, split).numpy(), atol=1e-6)
    back = np.arange(len(split))[::-1]
    turned = split.part(back.copy())
    np.testing.assert_allclose(
        predict_split(model, turned, names, CPU).probabilities[::-1], found.probabilities, atol=1e-6
    )


def test_statistics_are_of_every_image_and_of_four_changes_of_each(split):
    plain = split_statistics(split)
    np.testing.assert_allclose(plain, pixel_statistics(split.images(slice(None))), rtol=1e-6)
    assert changed_statistics(split).shape == (4 * len(split), plain.shape[1])


def test_a_sample_is_spread_over_the_whole_order(split):
    assert sample(split, 40) is split
    few = sample(split, 4)
    assert list(few.paths) == [split.paths[place] for place in (0, 13, 26, 39)]
