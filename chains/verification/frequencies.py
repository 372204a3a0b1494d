"""What holds only on average: shares of chains and branches, and the distributions of delays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Catalog, Chain, Delay, Fixed
from eventbus.catalog.graph.expand import graph_of
from eventbus.chains.statistics import chi_square, distance, kolmogorov, pooled
from eventbus.chains.verification.report import Check, Finding
from eventbus.chains.verification.traces import MatchedWalk, PhasedCatalog, Step, Trace

LEAST_EXPECTED = 10
"""In each cell of a chi-square test."""
LEAST_DELAYS = 10
"""In a Kolmogorov–Smirnov test."""
STOPPED = -1
"""In place of the next node, where a chain was abandoned."""

Ways = tuple[tuple[float, Delay], ...]


class FitTest(NamedTuple):
    """One test of fit: how likely chance alone goes so far."""

    check: str
    probability: float
    sentence: str


class Passage(NamedTuple):
    """From one event to another that it causes."""

    chain: str
    state: str
    to: str
    ways: Ways
    """Weights and delays of the edges that lead there."""


class Cell(NamedTuple):
    """Something that was counted."""

    label: str
    seen: int
    weight: float


@dataclass
class Counts:
    """Counts of chains, of the ways they took, and the delays on them."""

    chains: Counter[str] = field(default_factory=Counter)
    landings: dict[str, Counter[str | None]] = field(default_factory=lambda: defaultdict(Counter))
    """By chain: the pages on which sessions began."""
    ways: dict[tuple[str, int], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By chain and node, where all ways were open: how often each node was next."""
    caused: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By chain and state: how often each chain was caused."""
    visits: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By chain and state."""
    delays: dict[Passage, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Microseconds."""


def checks(trails: Sequence[Trace], course: PhasedCatalog, wrong: Collection[str], significance: float) -> list[Check]:
    """The three checks of figures; only chains of which exactly one walk is possible are counted.

    Args:
        wrong: ids of events whose time is wrong: their delays do not count.
        significance: the probability that any test at all fails by chance; shared among the tests (Bonferroni).
    """
    tests = [test for number in range(len(course.catalogs)) for test in _tests(trails, course, number, wrong)]
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


def _tests(trails: Sequence[Trace], course: PhasedCatalog, number: int, wrong: Collection[str]) -> Iterator[FitTest]:
    """The tests of chains that began while one catalog held."""
    catalog, tally = course.catalogs[number], Counts()
    for trail in trails:
        if trail.catalog == number and len(trail.walks) == 1:
            tally.chains[trail.walks[0].chain] += 1
            tally.landings[trail.walks[0].chain][trail.events[0].landing] += 1
            _count(tally, trail, trail.walks[0], catalog, wrong)
    for part in (_shares, _landings, _branches, _causes, _delays):
        for test in part(tally, catalog):
            yield test._replace(sentence=test.sentence + course.marks[number])


def _count(tally: Counts, trail: Trace, walked: MatchedWalk, catalog: Catalog, wrong: Collection[str]) -> None:
    """Adds a walk, and those that it caused."""
    chain = catalog.chain(walked.chain)
    _count_ways(tally, chain, walked.steps)
    _count_caused(tally, chain, walked)
    for caused in walked.caused:
        _count(tally, trail, caused.walked, catalog, wrong)
    if trail.whole:
        state_of = {step.event: graph_of(chain).state(step.node).name for step in walked.steps}
        for step in walked.steps[1:]:
            cause, effect = trail.events[step.cause], trail.events[step.event]
            if cause.event_id in wrong or effect.event_id in wrong or any(edge.scaled_by for edge in step.ways):
                continue  # how slow an item is comes from the seed, which a stream does not tell
            ways = tuple((edge.weight, edge.delay) for edge in step.ways)
            passage = Passage(chain.name, state_of[step.cause], state_of[step.event], ways)
            tally.delays[passage].append(effect.time - cause.time)


def _count_ways(tally: Counts, chain: Chain, steps: Sequence[Step]) -> None:
    graph = graph_of(chain)
    after = {step.cause: step.node for step in steps}
    for place, step in enumerate(steps):
        node = graph.nodes[step.node]
        if node.edges and place + node.fan_out * (graph.max_distance + 1) + 1 < chain.max_steps:
            tally.ways[chain.name, step.node][after.get(step.event, STOPPED)] += 1


def _count_caused(tally: Counts, chain: Chain, walked: MatchedWalk) -> None:
    if not chain.caused:
        return
    state_of = {step.event: graph_of(chain).state(step.node).name for step in walked.steps}
    tally.visits.update((chain.name, state) for state in state_of.values())
    for caused in walked.caused:
        if caused.event in state_of:
            tally.caused[chain.name, state_of[caused.event]][caused.walked.chain] += 1


def _shares(tally: Counts, catalog: Catalog) -> Iterator[FitTest]:
    cells = [Cell(one.name, tally.chains[one.name], one.weight) for one in catalog.weighted]
    yield from _fit("shares", "chains", cells)


def _landings(tally: Counts, catalog: Catalog) -> Iterator[FitTest]:
    """Where sessions begin: by the journeys that begin there, and anywhere for those without a way."""
    for name, counts in tally.landings.items():
        visitors = catalog.chain(name).visitors
        if visitors is None:
            continue
        weights = dict.fromkeys((page.path for page in visitors.pages.values()), 0.0)
        for journey in visitors.active_journeys:
            pages = [visitors.pages[journey.stops[0].page]] if journey.stops else list(visitors.pages.values())
            for page in pages:
                weights[page.path] += journey.weight / len(pages)
        cells = [Cell(path, counts[path], weight) for path, weight in weights.items() if weight]
        yield from _fit("shares", f"first pages of {name}", cells)


def _branches(tally: Counts, catalog: Catalog) -> Iterator[FitTest]:
    for (name, number), counts in tally.ways.items():
        graph = graph_of(catalog.chain(name))
        node = graph.nodes[number]
        weights: dict[int, float] = defaultdict(float, {STOPPED: node.abandon} if node.abandon else {})
        for edge in node.edges:
            weights[edge.to] += edge.weight
        cells = [
            Cell("nothing" if to == STOPPED else graph.nodes[to].state, counts[to], weight)
            for to, weight in weights.items()
        ]
        yield from _fit("branches", f"after {node.state} of {name}", cells)


def _causes(tally: Counts, catalog: Catalog) -> Iterator[FitTest]:
    for (name, state), visits in tally.visits.items():
        causes = catalog.chain(name).states[state].causes
        every = Counter(one.chain for one in causes)
        for one in causes:
            if every[one.chain] > 1:
                continue  # which of them it was cannot be told
            count = tally.caused[name, state][one.chain]
            cells = [Cell(one.chain, count, one.weight), Cell("nothing", visits - count, 100 - one.weight)]
            yield from _fit("branches", f"caused by {state} of {name}", cells)


def _fit(check: str, what: str, cells: Sequence[Cell]) -> Iterator[FitTest]:
    total, weight = sum(cell.seen for cell in cells), sum(cell.weight for cell in cells)
    expected = [total * cell.weight / weight for cell in cells]
    observed, wanted = pooled([cell.seen for cell in cells], expected, LEAST_EXPECTED)
    if len(wanted) > 1 and wanted[0] >= LEAST_EXPECTED:
        shown = (f"{cell.label} {cell.seen:,} instead of {e:,.0f}" for cell, e in zip(cells, expected, strict=True))
        yield FitTest(check, chi_square(observed, wanted), f"{what}: {', '.join(shown)}")


def _delays(tally: Counts, catalog: Catalog) -> Iterator[FitTest]:
    for passage, delays in tally.delays.items():
        ways = passage.ways
        what = f"from {passage.state} to {passage.to} of {passage.chain}"
        if len(ways) == 1 and isinstance(ways[0][1], Fixed):
            yield _always(what, delays, ways[0][1])
        elif len(delays) >= LEAST_DELAYS:
            yield _distributed(what, delays, ways)


def _always(what: str, delays: list[int], fixed: Fixed) -> FitTest:
    others = sum(abs(delay - fixed.value * 1000) > 1 for delay in delays)
    sentence = f"{what}: {others:,} of {len(delays):,} delays are not {fixed.value:g} ms"
    return FitTest("delays", 0.0 if others else 1.0, sentence)


def _distributed(what: str, delays: list[int], ways: Sequence[tuple[float, Delay]]) -> FitTest:
    far = distance(delays, ways)
    middle = float(np.median(delays)) / 1000
    sentence = f"{what}: {len(delays):,} delays with a median of {middle:,.6g} ms, {far:.3f} off the distribution"
    return FitTest("delays", kolmogorov(far, len(delays)), sentence)
