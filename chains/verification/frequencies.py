"""What holds only on average: shares of chains and branches, and the distributions of delays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from catalog import Catalog, Delay, Fixed
from chains.verification.distribution import distance
from chains.verification.report import Check, Finding
from chains.verification.significance import chi_square, kolmogorov, pooled
from chains.verification.trails import Trail
from chains.walk import Choice, Walk

LEAST_EXPECTED = 10
"""In each cell of a chi-square test."""
LEAST_DELAYS = 10
"""In a Kolmogorov–Smirnov test."""
FAR = -(1 << 30)
"""A step so long before the last one allowed that every way is open."""


class Test(NamedTuple):
    """One test of fit: how likely chance alone goes so far."""

    check: str
    probability: float
    sentence: str


@dataclass
class Tally:
    """Counts of chains, of the ways they took, and the delays on them."""

    chains: Counter[str]
    ways: dict[tuple[str, str], Counter[str]]
    """By chain and state, where all ways were open: how often each target was next."""
    delays: dict[tuple[str, str, str], list[int]]
    """By chain, state and target: microseconds."""


def checks(trails: Sequence[Trail], catalog: Catalog, wrong: Collection[str], significance: float) -> list[Check]:
    """The three checks of figures; only chains of which exactly one walk is possible are counted.

    Args:
        wrong: ids of events whose time is wrong: their delays do not count.
        significance: the probability that any test at all fails by chance; shared among the tests (Bonferroni).
    """
    walks = {chain.name: Walk(chain) for chain in catalog.chains.values() if chain.weight > 0}
    tally = _tally(trails, walks, wrong)
    tests = [*_shares(tally, catalog), *_branches(tally, walks), *_delays(tally, walks)]
    limit = significance / max(len(tests), 1)
    rules = {
        "shares": "chains begin in the catalog's shares (chi-square)",
        "branches": "chains branch in the catalog's shares (chi-square)",
        "delays": "delays have the catalog's distributions (Kolmogorov–Smirnov)",
    }
    return [
        Check(
            name,
            rule,
            sum(test.check == name for test in tests),
            [
                Finding(None, None, (), f"{test.sentence}; by chance in {test.probability:.1e} of all runs")
                for test in tests
                if test.check == name and test.probability < limit
            ],
        )
        for name, rule in rules.items()
    ]


def _tally(trails: Sequence[Trail], walks: Mapping[str, Walk], wrong: Collection[str]) -> Tally:
    tally = Tally(Counter(), defaultdict(Counter), defaultdict(list))
    for trail in trails:
        if len(trail.walks) != 1:
            continue
        (name, states), events = trail.walks[0], trail.events
        tally.chains[name] += 1
        walk = walks[name]
        for step, (state, to) in enumerate(pairwise(states)):
            every = walk.choice(state, FAR)
            if walk.choice(state, step) is every and len(every.branches) > 1:
                tally.ways[name, state][to] += 1
            cause, effect = events[step], events[step + 1]
            if trail.whole and cause.event_id not in wrong and effect.event_id not in wrong:
                tally.delays[name, state, to].append(effect.time - cause.time)
    return tally


def _shares(tally: Tally, catalog: Catalog) -> Iterator[Test]:
    weights = {chain.name: chain.weight for chain in catalog.chains.values() if chain.weight > 0}
    yield from _fit("shares", "chains", tally.chains, weights)


def _branches(tally: Tally, walks: Mapping[str, Walk]) -> Iterator[Test]:
    for (name, state), counts in tally.ways.items():
        yield from _fit("branches", f"after {state} of {name}", counts, _weights(walks[name].choice(state, FAR)))


def _weights(choice: Choice) -> dict[str, float]:
    weights: dict[str, float] = defaultdict(float)
    for branch, share in zip(choice.branches, np.diff(choice.edges.astype(float), prepend=0.0), strict=True):
        weights[branch.to] += float(share)
    return weights


def _fit(check: str, what: str, counts: Mapping[str, int], weights: Mapping[str, float]) -> Iterator[Test]:
    total, weight = sum(counts.values()), sum(weights.values())
    expected = [total * share / weight for share in weights.values()]
    observed, wanted = pooled([counts.get(name, 0) for name in weights], expected, LEAST_EXPECTED)
    if len(wanted) > 1 and wanted[0] >= LEAST_EXPECTED:
        shown = ", ".join(
            f"{name} {counts.get(name, 0):,} instead of {e:,.0f}" for name, e in zip(weights, expected, strict=True)
        )
        yield Test(check, chi_square(observed, wanted), f"{what}: {shown}")


def _delays(tally: Tally, walks: Mapping[str, Walk]) -> Iterator[Test]:
    for (name, state, to), delays in tally.delays.items():
        chain = walks[name].chain
        ways = [(way.weight, way.delay) for way in chain.states[state].next if way.to == to and way.weight > 0]
        what = f"from {state} to {to} of {name}"
        if len(ways) == 1 and isinstance(ways[0][1], Fixed):
            yield _always(what, delays, ways[0][1])
        elif len(delays) >= LEAST_DELAYS:
            yield _distributed(what, delays, ways)


def _always(what: str, delays: list[int], fixed: Fixed) -> Test:
    others = sum(abs(delay - fixed.value * 1000) > 1 for delay in delays)
    sentence = f"{what}: {others:,} of {len(delays):,} delays are not {fixed.value:g} ms"
    return Test("delays", 0.0 if others else 1.0, sentence)


def _distributed(what: str, delays: list[int], ways: Sequence[tuple[float, Delay]]) -> Test:
    far = distance(delays, ways)
    middle = float(np.median(delays)) / 1000
    sentence = f"{what}: {len(delays):,} delays with a median of {middle:,.6g} ms, {far:.3f} off the distribution"
    return Test("delays", kolmogorov(far, len(delays)), sentence)
