"""What a step of many chains consists of: which way each of them takes, and when the event at its end comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from eventbus.chains.randomness import Integers, Words, draw, fraction
from eventbus.chains.table import CAUSE, DELAY, ITEM, TIME, EventTable
from eventbus.chains.walking.walk import Choice
from eventbus.chains.walking.ways import Way

Steps = int | Integers
"""The step of all events of a table, or of each."""


def taken(choice: Choice, keys: Words, steps: Steps) -> Iterator[tuple[Way | None, Integers | None]]:
    """The rows that take each way, None for all of them; those without a way are abandoned.

    Args:
        keys: of the chains.
        steps: of their events.
    """
    ways: tuple[Way | None, ...] = (*choice.ways, None) if choice.stops else choice.ways
    if len(ways) < 2:
        yield from ((way, None) for way in ways)
        return
    numbers = choice.edges.searchsorted(fraction(draw(keys, choice.purpose, steps)), side="right")
    for number, way in enumerate(ways):
        rows = np.flatnonzero(numbers == number)
        if rows.size:
            yield way, rows


def part(events: EventTable, keys: Words, rows: Integers | None) -> tuple[EventTable, Words]:
    """A copy of some events and the keys of their chains; None: of all of them."""
    return (events.copy(), keys) if rows is None else (events.take(rows), keys.take(rows))


def follow(way: Way, causes: EventTable, keys: Words, steps: Steps, root: int) -> Integers:
    """Turns a copy of the causing events into their effects, but for the kind and the step.

    Args:
        keys: of the chains.
        steps: of the causing events.
        root: the random key of the run.
    """
    delays = way.delay.at(draw(keys, way.purpose, steps))
    if way.factor:
        delays = way.factor.times(delays, keys, root)
    columns = causes.columns
    columns[DELAY] = delays
    columns[TIME] += delays
    columns[CAUSE] = steps
    if way.retries:
        columns[ITEM] += 1
    return columns
