"""Quantiles from bins are within 1 % of the exact ones."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.processors.store.statistics import GAMMA, bin_value, quantile


def bin_of(us: float) -> int:
    """As the database bins."""
    return math.ceil(math.log(max(us, 1)) / math.log(GAMMA))


@given(st.lists(st.integers(min_value=1, max_value=10**12), min_size=1), st.floats(min_value=0.001, max_value=1))
def test_quantile_is_within_one_percent(durations: list[int], q: float) -> None:
    """For any durations in microseconds and any share of them."""
    exact = sorted(durations)[max(0, math.ceil(q * len(durations)) - 1)]
    found = quantile(Counter(map(bin_of, durations)), q)
    assert found is not None
    assert found == pytest.approx(exact, rel=0.0100001)


@given(st.integers(min_value=1, max_value=10**15))
def test_value_of_a_bin_is_within_one_percent_of_all_in_it(us: int) -> None:
    """The value that stands for a bin."""
    assert bin_value(bin_of(us)) == pytest.approx(us, rel=0.0100001)


def test_nothing_has_no_quantile() -> None:
    """Neither no bins nor empty ones."""
    assert quantile({}, 0.5) is None
    assert quantile({3: 0}, 0.5) is None
