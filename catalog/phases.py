"""Stretches of a run in which chains fail more often, or take longer: an incident, and its end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from catalog.delays import stretched
from catalog.model import Chain, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Holds for chains that begin from a moment on, until the next phase; they keep to it to their end."""

    at: float
    """Seconds since the beginning of the run."""
    failed: float = 1.0
    """What the weights of the ways that can only end in failure are multiplied with, 0 or more."""
    delay: float = 1.0
    """What all delays are multiplied with, 0 or more."""
    chains: tuple[str, ...] = ()
    """Only these; none: all."""

    def of(self, chain: Chain) -> Chain:
        """The chain in this phase: itself, when nothing about it changes."""
        if (self.failed == self.delay == 1) or (self.chains and chain.name not in self.chains):
            return chain
        doomed = chain.states.keys() - _hopeful(chain)
        return replace(chain, states={name: self._state(state, doomed) for name, state in chain.states.items()})

    def _state(self, state: State, doomed: set[str]) -> State:
        """Where only failure is left, or only success, the weights stay: there is nothing to be shifted."""
        weights = [way.weight * (self.failed if way.to in doomed else 1) for way in state.next]
        total = sum(weights)
        if state.name in doomed or not total:
            weights, total = [way.weight for way in state.next], state.total
        return replace(
            state,
            next=tuple(
                replace(way, weight=weight * state.total / total, delay=stretched(way.delay, self.delay))
                for way, weight in zip(state.next, weights, strict=True)
            ),
        )


def _hopeful(chain: Chain) -> set[str]:
    """The states from which the chain can still end otherwise than in failure."""
    found = {name for name, state in chain.states.items() if not state.next and state.outcome != "failed"}
    while more := {
        name
        for name, state in chain.states.items()
        if name not in found and any(way.to in found and way.weight > 0 for way in state.next)
    }:
        found |= more
    return found
