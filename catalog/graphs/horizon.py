"""What may still come after a state: only that is worth remembering while a chain's walks are unfolded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain as joined

from eventbus.catalog.model import Chain, State, Transition
from eventbus.catalog.model_delays import Fixed
from eventbus.catalog.topology import Way
from eventbus.catalog.words import Place


def placed_ways(state: State) -> Iterator[tuple[Place, Way]]:
    """Everything that a state leads to by itself, with its path in the state's description."""
    for number, one in enumerate(state.next):
        yield ("next", number), Way(to=one.to, delay=one.delay, compensate=one.compensate)
        if one.retry:
            yield ("next", number, "retry", "else"), one.retry.otherwise
    if state.timeout:
        yield ("timeout",), Way(to=state.timeout.to, delay=Fixed(value=state.timeout.after))
    if state.compensation:
        yield ("compensation",), state.compensation
    if state.fork:
        yield from ((("fork", "branches", number), way) for number, way in enumerate(state.fork.branches))
        yield ("fork", "join"), state.fork.join
        yield from ((("fork", "join", "unless", number), one.way) for number, one in enumerate(state.fork.unless))


def ways(state: State) -> Iterator[Way]:
    """Everything that a state leads to by itself."""
    return (way for _, way in placed_ways(state))


def retries(chain: Chain) -> list[tuple[str, Transition]]:
    """The transitions of a chain that are taken a few times at most, with their states."""
    return [(state.name, one) for state in chain.states.values() for one in state.next if one.retry]


class Horizon:
    """The states that may follow each state, at once or later, and what may be done there."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._ways: dict[str, list[Way]] = {name: list(ways(state)) for name, state in chain.states.items()}
        self._retried = [name for name, _ in retries(chain)]
        self.after: Mapping[str, frozenset[str]] = self._closure()
        for state in chain.states.values():
            if state.fork:
                self._add_joins(state)
        self.after = self._closure()

    def retries_open(self, state: str) -> list[bool]:
        """For each retry of the chain, whether it may still be asked how often it was taken."""
        return [name in self.after[state] for name in self._retried]

    def may_undo(self, state: str) -> bool:
        """Whether a way that compensates may still be taken."""
        return any(way.compensate for name in self.after[state] for way in self._ways[name])

    def _add_joins(self, forking: State) -> None:
        """Where the branches of a fork end, its join follows."""
        assert forking.fork
        inside = joined.from_iterable(self.after[way.to] for way in forking.fork.branches)
        for name in {name for name in inside if _ends(self._chain.states[name])}:
            self._ways[name] += [forking.fork.join, *(one.way for one in forking.fork.unless)]

    def _closure(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(self._following(name)) for name in self._chain.states}

    def _following(self, name: str) -> set[str]:
        found, ahead = set(), [name]
        while ahead:
            here = ahead.pop()
            if here not in found:
                found.add(here)
                ahead += [way.to for way in self._ways[here]]
        return found


def _ends(state: State) -> bool:
    return not state.next and not state.fork and not state.outcome
