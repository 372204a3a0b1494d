"""Delays are fitted by the simplest distribution that could have made them."""

from __future__ import annotations

import numpy as np
import pytest

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.chains.learning.fitting import fit, percentages, repetitions, round_between
from eventbus.chains.randomness import Integers
from eventbus.chains.sampling import sampler

DELAYS: list[Delay] = [
    Fixed(value=100),
    Uniform(minimum=50, maximum=150),
    Uniform(minimum=0, maximum=3),
    Exponential(mean=40, minimum=5),
    Exponential(mean=400, minimum=5, maximum=500),
    LogNormal(median=600, p95=2400),
    LogNormal(median=100, p95=120),
    LogNormal(median=400, p95=2000, maximum=1000),
]


def drawn(delay: Delay, size: int) -> Integers:
    """A sample."""
    return sampler(delay).at(np.random.default_rng(1).integers(0, 2**64, size, dtype=np.uint64))


@pytest.mark.parametrize("delay", DELAYS, ids=str)
def test_the_kind_and_the_figures_are_found(delay: Delay) -> None:
    """With the distance that chance makes; bounds that cut nothing off are left out."""
    found = fit(drawn(delay, 20_000))
    assert type(found.delay) is type(delay)
    assert found.distance < 1.3 / np.sqrt(20_000)
    assert found.size == 20_000
    for name in ("value", "mean", "median", "p95"):
        if hasattr(delay, name):
            assert getattr(found.delay, name) == pytest.approx(getattr(delay, name), rel=0.05)


@pytest.mark.parametrize("delay", DELAYS, ids=str)
@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_few_delays_are_fitted_too(delay: Delay, size: int) -> None:
    """By something whose delays are of the size of those that were seen."""
    seen = drawn(delay, size)
    again = drawn(fit(seen).delay, 1000)
    assert seen.min() / 2 - 1000 <= np.median(again) <= seen.max() * 2 + 1000


def test_a_few_wild_delays_do_not_hide_the_rest() -> None:
    """Clocks that are off stretch the bounds of a few delays: those are left out, and that is noted."""
    delays = drawn(Uniform(minimum=50, maximum=150), 5000)
    delays[:40] += 30_000_000
    found = fit(delays)
    assert isinstance(found.delay, Uniform)
    assert found.delay.maximum == pytest.approx(150, rel=0.03)
    assert found.trimmed


@pytest.mark.parametrize(
    ("low", "high", "number"),
    [(149.7, 150.4, 150), (-1, 2, 0), (0.9931, 1.002, 1), (1234, 1234, 1234), (-7.3, -6.8, -7)],
)
def test_the_roundest_number_is_taken(low: float, high: float, number: float) -> None:
    """Between two bounds."""
    assert round_between(low, high) == pytest.approx(number)


def test_shares_sum_to_100_and_nothing_seen_becomes_impossible() -> None:
    """With as many decimals as the observations can tell."""
    assert percentages([90_123, 9_877]) == [90.12, 9.88]
    assert percentages([1, 2]) == [33, 67]
    assert min(percentages([10_000_000, 1])) > 0
    assert sum(percentages([1, 1, 1, 1, 1, 1, 1])) == pytest.approx(100)


def test_lists_repeat_what_is_frequent() -> None:
    """Even shares are not repeated."""
    assert repetitions([1010, 990, 1000]) == [1, 1, 1]
    assert repetitions([6000, 2000, 2000]) == [3, 1, 1]
