"""The events that one fault strikes, as columns, and the texts that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from eventbus.catalog import EventType
from eventbus.chains.faults.kinds import Fault
from eventbus.chains.faults.places import Place
from eventbus.chains.randomness import Integers, Words
from eventbus.chains.writing.text import UUID_WIDTH


class Victims(NamedTuple):
    """Events that one fault strikes, in the order of the stream."""

    fault: Fault
    run: int
    """The run's random key."""
    known: Sequence[tuple[Place, EventType]]
    """By emitter."""
    lines: list[bytes]
    """With their newlines."""
    kind: Integers
    """Indices of their emitters in the plan."""
    chain: Integers
    """Indices."""
    time: Integers
    """Microseconds since the Unix epoch."""
    delay: Integers
    """Microseconds since the causes."""
    amount: Integers
    """Drawn between the fault's bounds."""
    word: Words
    """64 random bits each."""

    def part(self, first: int, last: int, fault: Fault) -> Victims:
        """Some of them, struck by a fault."""
        rows = slice(first, last)
        return Victims(fault, self.run, self.known, *(column[rows] for column in self[3:]))  # type: ignore[arg-type]

    @property
    def keys(self) -> list[bytes]:
        """Their correlation ids."""
        begins = [place.correlation_at for place in self.places]
        return [line[begin : begin + UUID_WIDTH] for line, begin in zip(self.lines, begins, strict=True)]

    @property
    def places(self) -> list[Place]:
        return [self.known[kind][0] for kind in self.kind.tolist()]

    @property
    def types(self) -> list[EventType]:
        return [self.known[kind][1] for kind in self.kind.tolist()]


class Changes(NamedTuple):
    """What a fault makes of each event; where it comes from the same columns, nothing is a copy."""

    texts: Sequence[bytes]
    """With newlines."""
    details: Iterable[bytes]
    """For the ledger, further members of a JSON object, each behind a comma; worked out only when somebody looks."""
    times: Integers
    """In the texts."""
