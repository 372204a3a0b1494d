"""The events of each chain, causes before their effects, and the walks of the catalog that fit them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice, product
from typing import NamedTuple

from eventbus.chains.verification.course import Course
from eventbus.chains.verification.matching import Matcher, Shape, Walked
from eventbus.chains.verification.reading import Seen, id_time

GUESSES = 200
"""Where events whose cause is not known might hang, at most."""


class Trail(NamedTuple):
    """The events of one correlation id, each once."""

    events: tuple[Seen, ...]
    """A cause before its effects, else by the times in their ids."""
    whole: bool
    """Each event but the root was caused by another of them."""
    walks: tuple[Walked, ...]
    """That leave exactly these event types: none, one, or the first two of several."""
    catalog: int | None = 0
    """Which one of the run's course they are of; None: that is in doubt."""

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(event.event_type for event in self.events)


def trails(events: Iterable[Seen], course: Course) -> list[Trail]:
    """All chains, in the order of their first lines.

    Args:
        events: each once.
    """
    groups: dict[str, list[Seen]] = {}
    for event in events:
        groups.setdefault(event.correlation_id, []).append(event)
    matchers = [Matcher(catalog) for catalog in course.catalogs]
    found = []
    for correlation_id, group in groups.items():
        numbers = course.numbers(id_time(correlation_id))
        several = [_trail(group, matchers[number])._replace(catalog=number) for number in numbers]
        best = next((trail for trail in several if trail.walks), several[0])
        found.append(best if len(several) == 1 else best._replace(catalog=None))
    return found


def _trail(group: list[Seen], matcher: Matcher) -> Trail:
    events, whole = ordered(group)
    types = tuple(event.event_type for event in events)
    places = {event.event_id: number for number, event in enumerate(events)}
    causes = [places.get(event.causation_id or "", -1) for event in events]
    if whole:
        return Trail(events, True, matcher.walks(Shape(types, tuple(causes))))
    return Trail(events, False, _guessed(types, causes, matcher))


def ordered(group: Sequence[Seen]) -> tuple[tuple[Seen, ...], bool]:
    """Events with causes before effects, else by their ids; and whether all hang together on one root."""
    known = {event.event_id for event in group}
    effects: dict[str, list[Seen]] = {}
    ready: list[tuple[str, Seen]] = []
    for event in group:
        if event.causation_id in known:
            effects.setdefault(event.causation_id or "", []).append(event)
        else:
            ready.append((event.event_id, event))
    roots = [event for _, event in ready]
    heapify(ready)
    found: list[Seen] = []
    while ready:
        found.append(heappop(ready)[1])
        for event in effects.get(found[-1].event_id, ()):
            heappush(ready, (event.event_id, event))
    whole = len(roots) == 1 and roots[0].event_id == roots[0].correlation_id and len(found) == len(group)
    circular = known - {event.event_id for event in found}
    return (*found, *sorted(event for event in group if event.event_id in circular)), whole


def _guessed(types: tuple[str, ...], causes: list[int], matcher: Matcher) -> tuple[Walked, ...]:
    """The walks that fit if events without a known cause hang on earlier ones, the nearest first."""
    candidates = [
        range(number - 1, -1, -1) if cause < 0 and number else (cause,) for number, cause in enumerate(causes)
    ]
    if any(cause >= number for number, cause in enumerate(causes)):  # circular
        return ()
    shapes = (Shape(types, guess) for guess in islice(product(*candidates), GUESSES))
    return next((walks for shape in shapes if (walks := matcher.walks(shape))), ())
