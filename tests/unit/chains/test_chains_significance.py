"""The tests of fit, held against printed tables, and against samples drawn another way."""

from __future__ import annotations

import math
import random

import pytest

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.chains.statistics import cdf, chi_square, kolmogorov, ks_distance, pooled, upper_gamma


@pytest.mark.parametrize(
    ("degrees", "probability", "critical"),
    [
        (1, 0.05, 3.841),
        (1, 0.001, 10.828),
        (2, 0.01, 9.210),
        (5, 0.1, 9.236),
        (5, 0.95, 1.145),
        (10, 0.05, 18.307),
        (10, 0.001, 29.588),
        (30, 0.99, 14.953),
        (30, 0.01, 50.892),
        (100, 0.05, 124.342),
    ],
)
def test_chi_square_against_the_table(degrees: int, probability: float, critical: float) -> None:
    """The NIST handbook's critical values (§1.3.6.7.4) have their probabilities."""
    assert upper_gamma(degrees / 2, critical / 2) == pytest.approx(probability, rel=2e-3)


@pytest.mark.parametrize("x", [0.01, 0.5, 1.4, 1.6, 3.0, 30.0, 300.0])
def test_the_gamma_function_where_it_has_a_closed_form(x: float) -> None:
    """Q(1, x) is e^-x, Q(1/2, x) is erfc(√x), Q(2, x) is (1 + x) e^-x: on both sides of the two methods' border."""
    assert upper_gamma(1, x) == pytest.approx(math.exp(-x), rel=1e-12)
    assert upper_gamma(0.5, x) == pytest.approx(math.erfc(math.sqrt(x)), rel=1e-11)
    assert upper_gamma(2, x) == pytest.approx((1 + x) * math.exp(-x), rel=1e-12)


def test_chi_square_of_a_sample() -> None:
    """Sixty throws of a die that came out 5, 8, 9, 8, 10, 20 (statistic 13.4, 5 degrees of freedom)."""
    assert chi_square([5, 8, 9, 8, 10, 20], [10] * 6) == pytest.approx(0.0199, abs=1e-4)
    assert chi_square([10, 10], [10, 10]) == 1


def test_rare_cells_are_pooled() -> None:
    """Until each has enough, and no count is lost."""
    assert pooled([1, 2, 3, 94], [2, 2, 5, 91], 5) == ([6, 94], [9, 91])
    assert pooled([3], [3], 5) == ([3], [3])


@pytest.mark.parametrize(
    ("size", "probability", "critical"),
    [
        (10, 0.20, 0.323),
        (10, 0.05, 0.409),
        (10, 0.01, 0.489),
        (20, 0.05, 0.294),
        (20, 0.01, 0.352),
        (35, 0.05, 0.224),
        (100, 0.05, 0.1340),
        (1_000_000, 0.05, 0.001358),
        (1_000_000, 0.001, 0.0019495),
    ],
)
def test_kolmogorov_against_the_table(size: int, probability: float, critical: float) -> None:
    """Critical values as printed since Massey (JASA 46, 1951; corrected by Miller, JASA 51, 1956)."""
    assert kolmogorov(critical, size) == pytest.approx(probability, rel=0.05)


def test_kolmogorov_at_its_ends() -> None:
    """No distance is certain, the largest one impossible, and between them it falls."""
    values = [kolmogorov(d / 1000, 50) for d in range(1001)]
    assert values[0] == 1
    assert values[-1] < 1e-30
    assert values == sorted(values, reverse=True)


DELAYS: list[Delay] = [
    Uniform(minimum=20, maximum=90),
    Exponential(mean=200),
    Exponential(mean=200, minimum=50, maximum=400),
    LogNormal(median=100, p95=400),
    LogNormal(median=100, p95=400, minimum=80, maximum=300),
]


def drawn(delay: Delay, source: random.Random) -> float:
    """By the standard library, with rejection."""
    while True:
        match delay:
            case Uniform(minimum=low, maximum=high):
                return source.uniform(low, high)
            case Exponential(mean=mean):
                value = source.expovariate(1 / mean)
            case LogNormal(median=median, p95=p95):
                value = source.lognormvariate(math.log(median), math.log(p95 / median) / 1.6448536269514722)
            case Fixed(value=value):
                return value
        if delay.minimum <= value <= (delay.maximum or math.inf):
            return value


@pytest.mark.parametrize("delay", DELAYS, ids=repr)
def test_distributions_fit_samples_drawn_another_way(delay: Delay) -> None:
    """The standard library's samples, cut by rejection, are as near as chance has them."""
    source = random.Random(3)
    sample = [round(drawn(delay, source) * 1000) for _ in range(20_000)]
    assert kolmogorov(ks_distance(sample, [(1, delay)]), len(sample)) > 0.001
    assert kolmogorov(ks_distance([x + x // 20 for x in sample], [(1, delay)]), len(sample)) < 1e-6


def test_mixtures() -> None:
    """Several ways to one place count by their weights."""
    slow, fast = Uniform(minimum=100, maximum=200), Uniform(minimum=0, maximum=10)
    source = random.Random(3)
    sample = [round(drawn(slow if source.random() < 0.75 else fast, source) * 1000) for _ in range(5000)]
    assert kolmogorov(ks_distance(sample, [(3, slow), (1, fast)]), len(sample)) > 0.001
    assert kolmogorov(ks_distance(sample, [(1, slow), (1, fast)]), len(sample)) < 1e-6


def test_a_distribution_begins_and_ends_with_its_bounds() -> None:
    """Nothing lies outside them."""
    delay = LogNormal(median=100, p95=400, minimum=80, maximum=300)
    assert cdf(delay)(80) == 0
    assert cdf(delay)(300) == 1
    assert cdf(delay)(10) == 0
    assert cdf(Fixed(value=5))(4.9) == 0
    assert cdf(Fixed(value=5))(5) == 1
