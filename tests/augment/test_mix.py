"""What mixes images weighs their targets alike."""

import numpy as np
import pytest
import torch
from pipelines import images_of, pipeline_of, run
from scipy import stats

from tenfold.augment.mix import symmetric_beta


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 3.0])
def test_mixing_shares_follow_the_beta_distribution(alpha):
    u = torch.from_numpy(np.random.default_rng(0).random((20_000, 2), dtype=np.float32))
    shares = symmetric_beta(u.double(), alpha).numpy()
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_mixup_weighs_images_as_it_weighs_targets():
    images = torch.zeros(32, 1, 4, 4, dtype=torch.uint8)
    images[::2] = 200
    changed, targets = pipeline_of("mixup", alpha=1.0).epoch(0, 0)(
        images, torch.arange(32) % 2, torch.arange(32)
    )
    torch.testing.assert_close(changed[:, 0, 0, 0], 200 * targets[:, 0], rtol=0, atol=1e-3)


def test_cutmix_weighs_targets_by_the_area_that_it_pastes():
    images = torch.zeros(32, 1, 12, 16, dtype=torch.uint8)
    images[::2] = 100
    changed, targets = pipeline_of("cutmix").epoch(0, 0)(images, torch.arange(32) % 2, torch.arange(32))
    torch.testing.assert_close(changed.mean((1, 2, 3)), 100 * targets[:, 0], rtol=0, atol=1e-3)
    assert set(changed.unique().tolist()) == {0.0, 100.0}


def test_mixing_twice_still_gives_probabilities():
    _, targets = run(pipeline_of("mixup", "cutmix", alpha=1.0), images_of(32))
    torch.testing.assert_close(targets.sum(1), torch.ones(32))
    assert (targets.count_nonzero(1) > 2).any()
