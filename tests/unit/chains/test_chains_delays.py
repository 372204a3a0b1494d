"""Delays: integers from random words, as the catalog describes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, chain_keys, draw, purpose
from eventbus.chains.sampling import sampler
from tests.unit.chains.catalogs import delays
from tests.unit.chains.draws import drawn_delay, quantile

SAMPLE = 200_000


def sample(delay: Delay, size: int = SAMPLE) -> Integers:
    return sampler(delay).at(draw(chain_keys(purpose("seed", "11"), np.arange(size)), purpose("delay")))


@given(delay=delays, words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=50))
@settings(deadline=None)
def test_a_column_is_the_scalar_drawn_many_times(delay: Delay, words: list[int]) -> None:
    """Every word gives what interpolation of the quantile function by hand gives."""
    assert sampler(delay).at(np.array(words, np.uint64)).tolist() == [drawn_delay(delay, word) for word in words]


@pytest.mark.parametrize("word", [0, 2**64 - 1, 4095 << 52, (4095 << 52) - 1, (4096 << 52) - (1 << 32)])
@pytest.mark.parametrize(
    "delay", [Exponential(mean=300), LogNormal(median=400, p95=2000), Uniform(minimum=1, maximum=9)]
)
def test_the_ends_of_the_table(delay: Delay, word: int) -> None:
    """The first and last cells, and the cells of the tail, hold no surprise."""
    assert sampler(delay).at(np.array([word], np.uint64)).tolist() == [drawn_delay(delay, word)]


@given(delay=delays)
@settings(deadline=None, max_examples=50)
def test_delays_rise_with_the_word(delay: Delay) -> None:
    """The quantile function never falls, across cells and into the tail."""
    words = np.linspace(0, 2**64 - 2**12, 5000).astype(np.uint64)
    assert (np.diff(sampler(delay).at(words)) >= 0).all()


@given(delay=delays)
@settings(deadline=None, max_examples=50)
def test_the_longest_delay_is_known(delay: Delay) -> None:
    """No delay exceeds `maximum`, which sizes the tables of elapsed times."""
    table = sampler(delay)
    assert table.at(np.array([2**64 - 1], np.uint64))[0] <= table.maximum


@pytest.mark.parametrize(
    "delay",
    [
        Uniform(minimum=100, maximum=300),
        Exponential(mean=300),
        Exponential(mean=300, minimum=50, maximum=900),
        LogNormal(median=400, p95=2000),
        LogNormal(median=400, p95=2000, minimum=20, maximum=1500),
    ],
    ids=str,
)
def test_delays_fit_their_distribution(delay: Delay) -> None:
    """Kolmogorov–Smirnov over 200,000 draws: the largest distance from the distribution is below its 0.1 % bound."""
    found = np.sort(sample(delay)) / 1000
    shares = np.linspace(0.001, 0.999, 999)
    expected = np.array([quantile(delay)(p) for p in shares])
    distance = np.abs(found.searchsorted(expected) / SAMPLE - shares).max()
    assert distance < 1.95 / SAMPLE**0.5


def test_median_and_95th_percentile_are_what_was_written() -> None:
    """A log-normal delay is given by these two numbers, and has them."""
    found = sample(LogNormal(median=400, p95=2000)) / 1000
    assert np.median(found) == pytest.approx(400, rel=0.01)
    assert np.quantile(found, 0.95) == pytest.approx(2000, rel=0.01)


def test_bounds_cut_the_distribution() -> None:
    """`min` and `max` are kept by truncation: there is no heap of values at the bounds."""
    found = sample(Exponential(mean=300, minimum=50, maximum=900)) / 1000
    assert found.min() >= 50
    assert found.max() <= 900
    assert (found == 50).mean() < 0.001
    assert (found == 900).mean() < 0.001


def test_the_tail_reaches_far() -> None:
    """An open distribution gives its one-in-a-million values, not only those of the last of 4,096 cells."""
    found = sampler(Exponential(mean=300)).at(np.array([2**64 - (1 << 44)], np.uint64)) / 1000
    assert found[0] > 300 * 13


@pytest.mark.parametrize(
    "delay",
    [
        Fixed(value=1e18),
        Uniform(minimum=0, maximum=1e17),
        LogNormal(median=10, p95=5),
        LogNormal(median=10, p95=20, minimum=1e9),
        Exponential(mean=1, minimum=5, maximum=5),
    ],
    ids=str,
)
def test_delays_that_cannot_be_are_refused(delay: Delay) -> None:
    """The error shows the delay."""
    with pytest.raises(InvalidSetting, match="expected"):
        sampler(delay)
