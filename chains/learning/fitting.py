"""Fits distributions to recorded delays, and rounds what was measured as far as its precision allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.catalog import Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.chains.randomness import Integers
from eventbus.chains.statistics import chi_square, ks_distance


def round_between(low: float, high: float) -> float:
    """The number between two bounds with the fewest digits; 0 if they include it."""
    if low <= 0 <= high:
        return 0.0
    if high < 0:
        return -round_between(-high, -low)
    for digits in range(math.ceil(math.log10(high)) + 1, -16, -1):
        step = 10.0**digits
        for multiple in (step, step / 2):
            candidate = math.ceil(low / multiple * (1 - 1e-15)) * multiple
            if low <= candidate <= high:
                return round(candidate, max(0, 1 - digits))
    return (low + high) / 2


def percentages(counts: Sequence[int]) -> list[float]:
    """Percentages that sum to 100, with as many decimals as the sample size supports (largest remainder method)."""
    total = sum(counts)
    decimals = max(math.ceil(math.log10(total) / 2) - 1, 0)
    while decimals < 12 and min(counts) * 10**decimals * 100 < total:  # nothing that was observed becomes impossible
        decimals += 1
    units = 100 * 10**decimals
    shares = [count * units // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda i: (-(counts[i] * units % total), i))
    for index in by_remainder[: units - sum(shares)]:
        shares[index] += 1
    return [round(share / 10**decimals, decimals) for share in shares]


MAX_COPIES = 60
"""Repeated items of a list, beyond one of each value."""
SIGNIFICANCE = 1e-4
"""Significance level below which counts are not uniform."""


def repetitions(counts: Sequence[int]) -> list[int]:
    """How often to list each value so that draws from the list reproduce the observed shares.

    Once each, if the counts are compatible with a uniform distribution.
    """
    total = sum(counts)
    if len(counts) == 1 or chi_square(counts, [total / len(counts)] * len(counts)) > SIGNIFICANCE:
        return [1] * len(counts)
    sizes = range(len(counts), len(counts) + MAX_COPIES + 1)
    candidates = [[max(1, round(count * size / total)) for count in counts] for size in sizes]
    return min(candidates, key=lambda copies: (_error(copies, counts), sum(copies)))


def _error(copies: Sequence[int], counts: Sequence[int]) -> float:
    """The largest difference between shares, but at least the sampling error."""
    total, size = sum(counts), sum(copies)
    worst = max(abs(copy / size - count / total) for copy, count in zip(copies, counts, strict=True))
    return max(worst, 0.5 / math.sqrt(total), 0.005)


Floats = npt.NDArray[np.float64]

MAX_SAMPLE = 2048
"""Delays, evenly spaced by rank, against which candidates are compared."""
BOUND_SPACINGS = 4.0
"""How far a bound may lie beyond the outermost delay, in mean spacings of the delays there."""
GOOD_DISTANCE = 1.2
"""A distribution fits well if its distance is below this, in units of 1/√n."""
NEAR_BEST = 1.1
"""A simpler distribution is preferred if its distance is at most this factor above the best."""
TRIMMED_SHARES, MIN_TRIMMED, TRIM_GAIN = (0.01, 0.03), 100, 1.2
"""If nothing fits well, these shares are trimmed at either end as outliers, as long as so many delays remain and the
distance shrinks by this factor squared."""
FIXED_SHARE = 0.8
"""Delays are fixed if this share of them is equal."""
MIN_MASS = 1e-6
"""Smallest probability that a distribution must have between its bounds."""
P95 = NormalDist().inv_cdf(0.95)
PERCENTS = np.arange(1, 100) / 100
NORMAL = np.array([NormalDist().inv_cdf(share) for share in PERCENTS.tolist()])


class Fit(NamedTuple):
    """A distribution and how well it fits."""

    delay: Delay
    distance: float
    """Kolmogorov–Smirnov distance to the sample."""
    size: int
    trimmed: bool = False
    """Whether its bounds exclude the outermost delays."""

    @property
    def is_good(self) -> bool:
        """Whether the distance is within sampling error."""
        return self.distance <= GOOD_DISTANCE / math.sqrt(self.size)


def fit(delays: Integers) -> Fit:
    """Fits the simplest distribution that fits well, or else the best-fitting one.

    Args:
        delays: at least one delay, in microseconds.
    """
    ordered = np.sort(delays)
    if ordered[-1] - ordered[0] <= 2:  # times are whole microseconds
        fixed = Fixed(value=_ms(float(np.median(ordered))))
        return Fit(fixed, ks_distance(ordered[:: -(-ordered.size // MAX_SAMPLE)].tolist(), [(1, fixed)]), ordered.size)
    ranks = np.linspace(0, ordered.size - 1, min(ordered.size, MAX_SAMPLE)).astype(np.int64)
    sample = ordered[ranks].tolist()

    def fits(part: Integers, *, trimmed: bool = False) -> Iterator[Fit]:
        for delay in _candidates(part / 1000):
            yield Fit(delay, ks_distance(sample, [(1, delay)]), ordered.size, trimmed)

    best = _simplest(fits(ordered))
    if best.is_good:
        return best
    for share in TRIMMED_SHARES:
        inner = ordered[math.ceil(share * ordered.size) : -math.ceil(share * ordered.size)]
        if inner.size >= MIN_TRIMMED and inner[-1] - inner[0] > 2:
            trimmed = _simplest(fits(inner, trimmed=True))
            best = min(
                best,
                trimmed,
                key=lambda candidate: candidate.distance * (TRIM_GAIN if candidate.trimmed else 1 / TRIM_GAIN),
            )
    return best


def _simplest(fits: Iterable[Fit]) -> Fit:
    """The first good fit, or else the first that is nearly as good as the best."""
    candidates: list[Fit] = []
    for candidate in fits:
        candidates.append(candidate)
        if candidate.is_good:
            return candidate
    limit = NEAR_BEST * min(candidate.distance for candidate in candidates)
    return next(candidate for candidate in candidates if candidate.distance <= limit)


def _candidates(ms: Floats) -> Iterator[Delay]:
    """Candidate distributions, the simplest first."""
    middle = float(np.median(ms))
    if np.mean(np.abs(ms - middle) <= 0.002) > FIXED_SHARE:
        yield Fixed(value=_ms(1000 * middle))
    spread = BOUND_SPACINGS * (ms[-1] - ms[0]) / ms.size
    low, high = _lower(ms[0], spread), _upper(ms[-1], spread)
    yield Uniform(minimum=low, maximum=high)
    yield from filter(None, (_exponential(ms, None), _exponential(ms, high)))
    yield from filter(None, (_lognormal(ms, None), _lognormal(ms, high)))


def _exponential(ms: Floats, high: float | None) -> Exponential | None:
    above = float(ms.mean() - ms[0])  # memoryless: the excess over any bound has the same mean
    low = _lower(ms[0], BOUND_SPACINGS * above / ms.size)
    mean = above if high is None else _mean_below(float(ms.mean()) - low, high - low)
    if mean is None or mean <= 0 or math.exp(-low / mean) * -math.expm1(-((high or math.inf) - low) / mean) < MIN_MASS:
        return None
    error = mean / math.sqrt(ms.size) / 2
    return Exponential(mean=round_between(mean - error, mean + error), minimum=low, maximum=high)


def _mean_below(observed: float, width: float) -> float | None:
    """The mean of the exponential distribution that has the observed mean when truncated at `width`, if any."""
    if observed >= width / 2:  # at one half it is uniform, beyond that increasing
        return None
    return _root(lambda mean: mean - width / math.expm1(width / mean) - observed, width / 500, width * 500)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """The root of an increasing function, by bisection on a logarithmic scale."""
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return low


def _lognormal(ms: Floats, high: float | None) -> LogNormal | None:
    logs = np.log(np.maximum(ms, 0.0005))
    low = 0.0
    # a line through the percentiles: robust against a few outliers
    deviation, mean = map(float, np.polyfit(NORMAL, np.quantile(logs, PERCENTS), 1))
    if high is not None:
        low = _lower(ms[0], BOUND_SPACINGS * float(ms[ms.size // 20] - ms[0]) / max(ms.size / 20, 1))
        truncated = _truncated_normal(logs, math.log(max(low, 0.0005)), math.log(high))
        if truncated is None:
            return None
        mean, deviation = truncated
    if not 1e-4 < deviation < 20 or abs(mean) > 40:
        return None
    normal = NormalDist(mean, deviation)
    if (1.0 if high is None else normal.cdf(math.log(high))) - normal.cdf(math.log(low or 1e-9)) < MIN_MASS:
        return None
    error = deviation / math.sqrt(ms.size) / 2
    median = round_between(math.exp(mean - error), math.exp(mean + error))
    top = mean + P95 * deviation
    p95 = round_between(math.exp(top - 2 * error), math.exp(top + 2 * error))
    return LogNormal(median=median, p95=p95, minimum=low, maximum=high) if p95 > median else None


def _truncated_normal(values: Floats, low: float, high: float) -> tuple[float, float] | None:
    """Maximum-likelihood mean and deviation of a normal distribution truncated at two bounds.

    Newton's method on the natural parameters matches the first two moments.
    """
    centre, scale = float(values.mean()), float(values.std()) or 1.0
    grid = np.linspace((low - centre) / scale, (high - centre) / scale, 2001)
    powers = np.stack([grid, grid**2])
    observed = np.array([0.0, 1.0])
    natural = np.array([0.0, -0.5])
    for _ in range(100):
        exponent = natural @ powers
        weights = np.exp(exponent - exponent.max())
        weights /= weights.sum()
        moments = powers @ weights
        covariance = (powers * weights) @ powers.T - np.outer(moments, moments)
        step = np.linalg.lstsq(covariance, observed - moments, rcond=None)[0]
        natural = natural + step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    if not natural[1] < -1e-3:
        return None
    deviation = math.sqrt(-0.5 / natural[1])
    return centre + scale * natural[0] * deviation**2, scale * deviation


def _lower(ms: float, spread: float) -> float:
    return _ms(1000 * round_between(max(ms - spread, 0.0), ms)) if ms > 0 else 0.0


def _upper(ms: float, spread: float) -> float:
    return _ms(1000 * round_between(ms, ms + max(spread, 0.001)))


def _ms(microseconds: float) -> float:
    return round(microseconds) / 1000
