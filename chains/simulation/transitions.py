"""The ways of a chain, compiled: where each leads, and the draw of its delay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eventbus.catalog import Chain, Delay
from eventbus.catalog.graph.graph import Edge, Graph
from eventbus.chains.randomness import purpose
from eventbus.chains.sampling import Sampler, SpeedFactor, sampler


class CompiledTransition(NamedTuple):
    """One way on."""

    to: int
    """Number of a node."""
    state: str
    """Of that node."""
    purpose: int
    """Of the draw of its delay."""
    delay: Sampler
    factor: SpeedFactor | None = None
    """What the delay is multiplied with."""
    retries: bool = False

    @property
    def longest(self) -> int:
        """Microseconds."""
        return self.delay.maximum if self.factor is None else self.factor.longest(self.delay.maximum)


class CompiledTrigger(NamedTuple):
    """A chain that an event may cause."""

    chain: str
    edge: int
    """How often, in 2^32 parts."""
    purpose: int
    """Of the draw whether it does."""
    way: CompiledTransition
    """To its first event."""


class TransitionCompiler:
    """Compiles the edges of a graph; equal delays share a sampler.

    Args:
        factors: by variable.
    """

    def __init__(self, graph: Graph, factors: Mapping[str, SpeedFactor]) -> None:
        self._graph = graph
        self._factors = dict(factors)
        self._ways: dict[tuple[str, Edge], CompiledTransition] = {}
        self._samplers: dict[Delay, Sampler] = {}

    def way(self, state: str, edge: Edge) -> CompiledTransition:
        """An edge that leaves a node of a state."""
        key = state, edge
        if key not in self._ways:
            self._ways[key] = self._way(state, edge)
        return self._ways[key]

    def _way(self, state: str, edge: Edge) -> CompiledTransition:
        to = self._graph.nodes[edge.to].state
        drawn = purpose(f"{self._graph.chain.name}/{state}/delay/{to}")
        factor = self._factors[edge.scaled_by] if edge.scaled_by else None
        return CompiledTransition(edge.to, to, drawn, self._sampler(edge.delay), factor, edge.is_retry)

    def children(self, state: str) -> tuple[CompiledTrigger, ...]:
        """The chains that a state's event may cause."""
        chain: Chain = self._graph.chain
        made = []
        for one in chain.states[state].causes:
            name = f"{chain.name}/{state}/causes/{one.chain}"
            way = CompiledTransition(0, "", purpose(f"{name}/delay"), self._sampler(one.delay))
            made.append(CompiledTrigger(one.chain, round(one.weight / 100 * (1 << 32)), purpose(name), way))
        return tuple(made)

    def _sampler(self, delay: Delay) -> Sampler:
        if delay not in self._samplers:
            self._samplers[delay] = sampler(delay)
        return self._samplers[delay]
