"""Where an event comes from, found from its id alone: the id has its time, and the run can be made around that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from eventbus.chains.errors import InvalidSetting, UnknownEvent
from eventbus.chains.stream import ChainStream, Extent
from eventbus.chains.writing.decode import decoded
from eventbus.event import Event

MILLISECOND = 1000
LATEST = (1 << 63) // 1_000_000
"""Milliseconds since the Unix epoch; virtual time goes no further (see `generator.LATEST`)."""


class Step(NamedTuple):
    """One event of a chain, as it was meant."""

    state: str
    delay: timedelta
    """Since the causing event."""
    event: Event
    cause: int | None
    """Place of the causing event in the path; None: it is the first."""


@dataclass(frozen=True)
class Explanation:
    """An event's place in its run."""

    index: int
    """Of the chain in the run, from 0."""
    chain: str
    step: int
    """Place of the event in the path, from 0."""
    path: tuple[Step, ...]
    """The whole chain, by time."""


def explained(stream: ChainStream, event_id: str) -> Explanation:
    """The place of an event.

    Raises:
        InvalidSetting: this is no UUID of version 7.
        UnknownEvent: the run has no such event.
    """
    known = _version_7(event_id)
    since = (known.int >> 80) * MILLISECOND
    if known.int >> 80 < LATEST:
        head = b'{"event_id":"%b"' % str(known).encode()
        for block in stream.blocks(Extent(since=since, until=since + MILLISECOND)):
            lines = [line for some in block.lines() for line in some]
            for row, line in enumerate(lines):
                if line.startswith(head):
                    return _explanation(stream, int(block.table.chain[row]), int(block.table.step[row]))
    raise UnknownEvent(f"the run has no event {known}; were its seed, start, rate, chains and catalog the same?")


def _version_7(event_id: str) -> UUID:
    try:
        known = UUID(event_id)
    except ValueError:
        raise InvalidSetting(f"expected an event id (a UUID), got {event_id!r}") from None
    if known.version != 7:
        raise InvalidSetting(f"expected an event id with its time in it (a UUID of version 7), got {event_id!r}")
    return known


def _explanation(stream: ChainStream, index: int, step: int) -> Explanation:
    block = stream.one(index)
    events = [event for lines in block.lines() for event in decoded(lines)]
    emitters = [stream.plan.emitters[kind] for kind in block.table.kind.tolist()]
    place = {known: number for number, known in enumerate(block.table.step.tolist())}
    causes = [None, *(place[cause] for cause in block.table.cause.tolist()[1:])]
    delays = [timedelta(microseconds=delay) for delay in block.table.delay.tolist()]
    states = [emitter.state.name for emitter in emitters]
    return Explanation(index, emitters[0].chain, place[step], tuple(map(Step, states, delays, events, causes)))
