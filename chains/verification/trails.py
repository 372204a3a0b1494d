"""The events of each chain, in the order in which one caused the other, and the walks of the catalog that fit them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from catalog import Catalog, Chain
from chains.verification.reading import Seen


class Walked(NamedTuple):
    """A complete walk through a chain's states."""

    chain: str
    states: tuple[str, ...]


class Trail(NamedTuple):
    """The events of one correlation id, each once."""

    events: tuple[Seen, ...]
    """In causal order where causes and effects are whole, else by the times in their ids."""
    whole: bool
    """Each event but the root was caused by the one before it."""
    walks: tuple[Walked, ...]
    """That leave exactly these event types: none, one, or the first two of several."""

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(event.event_type for event in self.events)


def trails(events: Iterable[Seen], catalog: Catalog) -> list[Trail]:
    """All chains, in the order of their first lines.

    Args:
        events: each once.
    """
    groups: dict[str, list[Seen]] = {}
    for event in events:
        groups.setdefault(event.correlation_id, []).append(event)
    matcher = Matcher(catalog)
    return [_trail(group, matcher) for group in groups.values()]


class Matcher:
    """Finds the walks that leave a row of event types; every row is looked at once."""

    def __init__(self, catalog: Catalog) -> None:
        self._chains = [chain for chain in catalog.chains.values() if chain.weight > 0]
        self._known: dict[tuple[str, ...], tuple[Walked, ...]] = {}

    def walks(self, types: tuple[str, ...]) -> tuple[Walked, ...]:
        """At most two: more would say no more."""
        if types not in self._known:
            found = (Walked(chain.name, states) for chain in self._chains for states in _walks(chain, types))
            self._known[types] = tuple(walked for walked, _ in zip(found, range(2), strict=False))
        return self._known[types]


def _walks(chain: Chain, types: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if chain.root != types[0] or len(types) > chain.max_steps:
        return
    ahead: list[tuple[str, ...]] = [(chain.start,)]
    while ahead:
        states = ahead.pop()
        here = chain.states[states[-1]]
        if len(states) == len(types):
            if not here.next:
                yield states
            continue
        targets = dict.fromkeys(way.to for way in here.next if way.weight > 0)
        ahead += [(*states, to) for to in targets if chain.states[to].emits == types[len(states)]]


def _trail(group: list[Seen], matcher: Matcher) -> Trail:
    path = _caused(group)
    events = tuple(path or sorted(group, key=lambda event: event.event_id))
    return Trail(events, path is not None, matcher.walks(tuple(event.event_type for event in events)))


def _caused(group: list[Seen]) -> list[Seen] | None:
    """From the root from effect to effect; None if that does not lead through all events."""
    after = {event.causation_id: event for event in group}
    path: list[Seen] = []
    cause: str | None = None
    while cause in after and len(path) < len(group):
        path.append(after[cause])
        cause = path[-1].event_id
    whole = len(path) == len(group) and path[0].event_id == path[0].correlation_id
    return path if whole else None
