"""Figures of drift against scipy and scikit-learn, which the training brings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from shared.intelligence import quality
from shared.intelligence.distributions import kolmogorov_smirnov, population_stability


@pytest.mark.parametrize("seed", range(5))
def test_kolmogorov_smirnov(seed: int) -> None:
    random = np.random.default_rng(seed)
    a = np.round(random.normal(0.0, 1.0, 700), 2)
    b = np.round(random.normal(0.2, 1.3, 450), 2)
    assert kolmogorov_smirnov(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)


@pytest.mark.parametrize("seed", range(5))
def test_population_stability_is_both_relative_entropies(seed: int) -> None:
    random = np.random.default_rng(seed)
    p, q = random.dirichlet(np.full(10, 5.0), 2)
    wanted = stats.entropy(p, q) + stats.entropy(q, p)
    assert population_stability(p, q) == pytest.approx(wanted)


def test_reliability_log_loss_and_brier() -> None:
    random = np.random.default_rng(8)
    p = random.dirichlet([3, 4, 3], 3_000)
    label = random.integers(0, 3, 3_000).astype(np.int8)
    assert quality.log_loss(p, label) == pytest.approx(log_loss(label, p))
    each = [brier_score_loss(label == c, p[:, c]) for c in range(3)]
    assert quality.brier(p, label) == pytest.approx(sum(each))
    for c, name in enumerate(("down", "flat", "up")):
        happened, predicted = calibration_curve(label == c, p[:, c], n_bins=10)
        bins = quality.calibration(p, label)[name]
        assert [b.happened for b in bins] == pytest.approx(happened.tolist())
        assert [b.predicted for b in bins] == pytest.approx(predicted.tolist())
