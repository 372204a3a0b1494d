"""Checks of what holds only on average: shares of chains and branches, and the distributions of delays."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Catalog, Chain, Delay, Fixed
from eventbus.catalog.graph.expand import graph_of
from eventbus.chains.statistics import chi_square, kolmogorov, ks_distance, pooled
from eventbus.chains.verification.report import Check, Finding
from eventbus.chains.verification.traces import MatchedWalk, PhasedCatalog, Step, Trace

MIN_EXPECTED = 10
"""Events in each cell of a chi-square test."""
MIN_DELAYS = 10
"""Delays in a Kolmogorov–Smirnov test."""
ABANDONED = -1
"""Instead of the next node."""

Mixture = tuple[tuple[float, Delay], ...]
"""Weights and delays of parallel edges."""


class FitTest(NamedTuple):
    """The result of a goodness-of-fit test."""

    check: str
    p_value: float
    """Probability of a deviation at least as large by chance."""
    sentence: str


class Passage(NamedTuple):
    """A transition between two states of a chain, along any of several parallel edges."""

    chain: str
    state: str
    to: str
    edges: Mixture


class Cell(NamedTuple):
    """A category of a chi-square test."""

    label: str
    observed: int
    weight: float


@dataclass
class Counts:
    """Counts of chains and of the transitions they took, and the delays of these."""

    chains: Counter[str] = field(default_factory=Counter)
    landings: dict[str, Counter[str | None]] = field(default_factory=lambda: defaultdict(Counter))
    """By chain: the pages on which sessions began."""
    next_nodes: dict[tuple[str, int], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By chain and node: how often each node was next, where the step limit left all edges open."""
    caused: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By chain and state: how often each chain was caused."""
    visits: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By chain and state."""
    delays: dict[Passage, array[int]] = field(default_factory=lambda: defaultdict(lambda: array("q")))
    """Microseconds."""


class FrequencyChecks:
    """The three statistical checks; only traces that match exactly one walk are counted.

    Args:
        significance: probability that any test fails by chance; each gets an equal share of it (Bonferroni).
    """

    def __init__(self, phased: PhasedCatalog, significance: float) -> None:
        self._phased = phased
        self._significance = significance
        #: Of the chains that each catalog applies to.
        self._totals = [Counts() for _ in phased.catalogs]

    def add(self, traces: Iterable[Trace], wrong: Collection[str]) -> None:
        """Count traces.

        Args:
            wrong: ids of events with a wrong timestamp, whose delays are ignored.
        """
        for trace in traces:
            if trace.catalog is not None and len(trace.walks) == 1:
                totals, (walk,) = self._totals[trace.catalog], trace.walks
                totals.chains[walk.chain] += 1
                totals.landings[walk.chain][trace.events[0].landing] += 1
                _count(totals, trace, walk, self._phased.catalogs[trace.catalog], wrong)

    def checks(self) -> list[Check]:
        """The checks of everything that was added."""
        tests = [test for number in range(len(self._totals)) for test in self._tests(number)]
        limit = self._significance / max(len(tests), 1)
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
                    Finding(None, None, (), f"{test.sentence}; by chance in {test.p_value:.1e} of all runs")
                    for test in tests
                    if test.check == name and test.p_value < limit
                ],
            )
            for name, rule in rules.items()
        ]

    def _tests(self, number: int) -> Iterator[FitTest]:
        """The tests of the chains that one catalog applies to."""
        for group in (_shares, _landings, _branches, _causes, _delays):
            for test in group(self._totals[number], self._phased.catalogs[number]):
                yield test._replace(sentence=test.sentence + self._phased.suffixes[number])


def _count(totals: Counts, trace: Trace, walk: MatchedWalk, catalog: Catalog, wrong: Collection[str]) -> None:
    """Count a walk and those that it caused."""
    chain = catalog.chain(walk.chain)
    _count_transitions(totals, chain, walk.steps)
    _count_caused(totals, chain, walk)
    for caused in walk.caused:
        _count(totals, trace, caused.walk, catalog, wrong)
    if trace.whole:
        state_of = {step.event: graph_of(chain).state(step.node).name for step in walk.steps}
        for step in walk.steps[1:]:
            cause, effect = trace.events[step.cause], trace.events[step.event]
            if cause.event_id in wrong or effect.event_id in wrong or any(edge.scaled_by for edge in step.edges):
                continue  # an item's speed follows from the seed, which the stream does not contain
            edges = tuple((edge.weight, edge.delay) for edge in step.edges)
            passage = Passage(chain.name, state_of[step.cause], state_of[step.event], edges)
            totals.delays[passage].append(effect.time - cause.time)


def _count_transitions(totals: Counts, chain: Chain, steps: Sequence[Step]) -> None:
    graph = graph_of(chain)
    after = {step.cause: step.node for step in steps}
    for index, step in enumerate(steps):
        node = graph.nodes[step.node]
        if node.edges and index + node.fan_out * (graph.max_distance + 1) + 1 < chain.max_steps:
            totals.next_nodes[chain.name, step.node][after.get(step.event, ABANDONED)] += 1


def _count_caused(totals: Counts, chain: Chain, walk: MatchedWalk) -> None:
    if not chain.caused:
        return
    state_of = {step.event: graph_of(chain).state(step.node).name for step in walk.steps}
    totals.visits.update((chain.name, state) for state in state_of.values())
    for caused in walk.caused:
        if caused.event in state_of:
            totals.caused[chain.name, state_of[caused.event]][caused.walk.chain] += 1


def _shares(totals: Counts, catalog: Catalog) -> Iterator[FitTest]:
    cells = [Cell(chain.name, totals.chains[chain.name], chain.weight) for chain in catalog.weighted]
    yield from _fit("shares", "chains", cells)


def _landings(totals: Counts, catalog: Catalog) -> Iterator[FitTest]:
    """Where sessions begin: on the first page of their journey, or on any page if it has none."""
    for name, counts in sorted(totals.landings.items()):
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


def _branches(totals: Counts, catalog: Catalog) -> Iterator[FitTest]:
    for (name, number), counts in sorted(totals.next_nodes.items()):
        graph = graph_of(catalog.chain(name))
        node = graph.nodes[number]
        weights: dict[int, float] = defaultdict(float, {ABANDONED: node.abandon} if node.abandon else {})
        for edge in node.edges:
            weights[edge.to] += edge.weight
        cells = [
            Cell("nothing" if to == ABANDONED else graph.nodes[to].state, counts[to], weight)
            for to, weight in weights.items()
        ]
        yield from _fit("branches", f"after {node.state} of {name}", cells)


def _causes(totals: Counts, catalog: Catalog) -> Iterator[FitTest]:
    for (name, state), visits in sorted(totals.visits.items()):
        causes = catalog.chain(name).states[state].causes
        occurrences = Counter(caused.chain for caused in causes)
        for caused in causes:
            if occurrences[caused.chain] > 1:
                continue  # it cannot be told which of them caused it
            count = totals.caused[name, state][caused.chain]
            cells = [Cell(caused.chain, count, caused.weight), Cell("nothing", visits - count, 100 - caused.weight)]
            yield from _fit("branches", f"caused by {state} of {name}", cells)


def _fit(check: str, label: str, cells: Sequence[Cell]) -> Iterator[FitTest]:
    """A chi-square test; none if there are too few events for two cells."""
    total, weight = sum(cell.observed for cell in cells), sum(cell.weight for cell in cells)
    means = [total * cell.weight / weight for cell in cells]
    observed, expected = pooled([cell.observed for cell in cells], means, MIN_EXPECTED)
    if len(expected) > 1 and expected[0] >= MIN_EXPECTED:
        texts = [
            f"{cell.label} {cell.observed:,} instead of {mean:,.0f}" for cell, mean in zip(cells, means, strict=True)
        ]
        yield FitTest(check, chi_square(observed, expected), f"{label}: {', '.join(texts)}")


def _delays(totals: Counts, catalog: Catalog) -> Iterator[FitTest]:
    for passage, delays in sorted(totals.delays.items(), key=lambda item: repr(item[0])):
        edges = passage.edges
        label = f"from {passage.state} to {passage.to} of {passage.chain}"
        if len(edges) == 1 and isinstance(edges[0][1], Fixed):
            yield _test_fixed(label, delays, edges[0][1])
        elif len(delays) >= MIN_DELAYS:
            yield _test_distribution(label, delays, edges)


def _test_fixed(label: str, delays: Sequence[int], fixed: Fixed) -> FitTest:
    deviating = sum(abs(delay - fixed.value * 1000) > 1 for delay in delays)
    sentence = f"{label}: {deviating:,} of {len(delays):,} delays are not {fixed.value:g} ms"
    return FitTest("delays", 0.0 if deviating else 1.0, sentence)


def _test_distribution(label: str, delays: Sequence[int], mixture: Mixture) -> FitTest:
    statistic = ks_distance(delays, mixture)
    median = float(np.median(delays)) / 1000
    sentence = (
        f"{label}: {len(delays):,} delays with a median of {median:,.6g} ms, {statistic:.3f} off the distribution"
    )
    return FitTest("delays", kolmogorov(statistic, len(delays)), sentence)
