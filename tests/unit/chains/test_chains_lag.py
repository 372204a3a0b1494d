"""The histogram of lags."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.chains.pacing.statistics import LagHistogram


@given(lags=st.lists(st.integers(0, 10**13), min_size=1, max_size=60), share=st.floats(0.01, 1))
@settings(deadline=None)
def test_quantiles_are_right_to_two_digits(lags: list[int], share: float) -> None:
    """A quantile is never below the exact one, and at most 1/64 above."""
    histogram = LagHistogram()
    for lag in lags:
        histogram.add(np.array([lag]))
    exact = sorted(lags)[max(0, int(np.ceil(share * len(lags) - 1e-9)) - 1)]
    assert exact <= histogram.quantile(share) <= exact + exact // 64 + 1
    assert histogram.maximum == max(lags)


def test_without_lags_all_is_zero() -> None:
    """No lag has been seen."""
    assert (LagHistogram().quantile(0.99), LagHistogram().maximum) == (0, 0)


def test_early_is_not_late() -> None:
    """A negative lag counts as none."""
    histogram = LagHistogram()
    histogram.add(np.array([-5, -1]))
    assert histogram.quantile(1.0) == 0
