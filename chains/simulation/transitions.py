"""The transitions of a chain, compiled: where each leads, and how its delay is drawn; `policy` has their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from eventbus.catalog import Chain
from eventbus.catalog.graph.graph import Edge, Graph
from eventbus.chains.randomness import purpose
from eventbus.chains.sampling import Sampler, SpeedFactor, sampler


class CompiledTransition(NamedTuple):
    """An edge of the graph."""

    to: int
    """Number of the target node."""
    state: str
    """Of the target node."""
    purpose: int
    """Of the draw of the delay."""
    delay: Sampler
    factor: SpeedFactor | None = None
    """Multiplies the delay."""
    is_retry: bool = False

    @property
    def longest(self) -> int:
        """The longest delay, microseconds."""
        return self.delay.maximum if self.factor is None else self.factor.longest(self.delay.maximum)


class CompiledTrigger(NamedTuple):
    """A chain that an event may trigger."""

    chain: str
    edge: int
    """Probability, in units of 2^-32."""
    purpose: int
    """Of the draw whether the chain is triggered."""
    transition: CompiledTransition
    """To the first event of the triggered chain."""


class TransitionCompiler:
    """Compiles the edges of a graph.

    Args:
        factors: by variable.
    """

    def __init__(self, graph: Graph, factors: Mapping[str, SpeedFactor]) -> None:
        self._graph = graph
        self._factors = dict(factors)
        self._transitions: dict[tuple[str, Edge], CompiledTransition] = {}

    def transition(self, state: str, edge: Edge) -> CompiledTransition:
        """The compiled form of an edge that leaves a node of a state."""
        key = state, edge
        if key not in self._transitions:
            self._transitions[key] = self._compile(state, edge)
        return self._transitions[key]

    def _compile(self, state: str, edge: Edge) -> CompiledTransition:
        target = self._graph.nodes[edge.to].state
        delay_purpose = purpose("delay", self._graph.chain.name, state, target)
        factor = self._factors[edge.scaled_by] if edge.scaled_by else None
        return CompiledTransition(edge.to, target, delay_purpose, sampler(edge.delay), factor, edge.is_retry)

    def triggers(self, state: str) -> tuple[CompiledTrigger, ...]:
        """The chains that the event of a state may trigger."""
        chain: Chain = self._graph.chain
        triggers = []
        for cause in chain.states[state].causes:
            names = chain.name, state, cause.chain
            transition = CompiledTransition(0, "", purpose("cause-delay", *names), sampler(cause.delay))
            edge = round(cause.weight / 100 * (1 << 32))
            triggers.append(CompiledTrigger(cause.chain, edge, purpose("cause", *names), transition))
        return tuple(triggers)
