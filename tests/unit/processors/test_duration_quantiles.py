"""Quantiles from bins are within 1 % of the exact ones."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.processors.store.statistics import GAMMA, bin_value, quantile


def bin_of(us: float) -> int:
    """The bin of a duration, computed as the database does."""
    return math.ceil(math.log(max(us, 1)) / math.log(GAMMA))


@given(st.lists(st.integers(min_value=1, max_value=10**12), min_size=1), st.floats(min_value=0.001, max_value=1))
def test_quantile_is_within_one_percent(durations: list[int], q: float) -> None:
    """Any quantile of any durations in microseconds has a relative error of at most 1 %."""
    exact = sorted(durations)[max(0, math.ceil(q * len(durations)) - 1)]
    result = quantile(Counter(map(bin_of, durations)), q)
    assert result is not None
    assert result == pytest.approx(exact, rel=0.0100001)


@given(st.integers(min_value=1, max_value=10**15))
def test_bin_value_is_within_one_percent(us: int) -> None:
    """The value of a bin differs from every duration in it by at most 1 %."""
    assert bin_value(bin_of(us)) == pytest.approx(us, rel=0.0100001)


def test_no_durations_have_no_quantile() -> None:
    """Without bins, and with empty ones, the quantile is None."""
    assert quantile({}, 0.5) is None
    assert quantile({3: 0}, 0.5) is None
