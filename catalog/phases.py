"""Stretches of a run in which chains fail more often, or take longer: an incident, and its end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eventbus.catalog.model import Chain, State
from eventbus.catalog.model_delays import stretched
from eventbus.catalog.topology import Fork, Way


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
        before = [way.weight for way in state.next]
        weights = [way.weight * (self.failed if way.to in doomed else 1) for way in state.next]
        if state.name in doomed or not sum(weights):
            weights = before
        kept = sum(before) / (sum(weights) or 1)
        return replace(
            state,
            next=tuple(
                replace(way, weight=weight * kept, delay=stretched(way.delay, self.delay))
                for way, weight in zip(state.next, weights, strict=True)
            ),
            fork=state.fork and self._fork(state.fork),
            causes=tuple(replace(one, delay=stretched(one.delay, self.delay)) for one in state.causes),
        )

    def _fork(self, fork: Fork) -> Fork:
        return replace(
            fork,
            branches=tuple(map(self._way, fork.branches)),
            join=self._way(fork.join),
            unless=tuple(replace(one, way=self._way(one.way)) for one in fork.unless),
        )

    def _way(self, way: Way) -> Way:
        return replace(way, delay=stretched(way.delay, self.delay))


def _hopeful(chain: Chain) -> set[str]:
    """The states from which the chain can still end otherwise than in failure."""
    found = {name for name, state in chain.states.items() if not _onward(state) and state.outcome != "failed"}
    while more := {n for n, state in chain.states.items() if n not in found and not found.isdisjoint(_onward(state))}:
        found |= more
    return found


def _onward(state: State) -> set[str]:
    """The states that may come next; of a fork, those behind its join."""
    onward = {way.to for way in state.next if way.weight > 0}
    if state.timeout:
        onward.add(state.timeout.to)
    if state.fork:
        onward |= {state.fork.join.to, *(one.way.to for one in state.fork.unless)}
    return onward
