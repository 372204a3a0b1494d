"""Events as columns of integers: everything that the simulation decides, before rendering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from eventbus.chains.randomness import Integers

SECOND = 1_000_000
"""Microseconds."""

TIME, DELAY, BEGAN, CHAIN, STEP, EMITTER, CAUSE, ATTRIBUTES, TERMINAL = range(9)
COLUMNS = 9

IntegerOrColumn = TypeVar("IntegerOrColumn", Integers, int)

Steps = int | Integers
"""The step of all events of a table, or of each."""


class BitField(NamedTuple):
    """Some bits of the column `attributes`."""

    shift: int
    bits: int

    def put(self, numbers: IntegerOrColumn) -> IntegerOrColumn:
        """IntegerOrColumn, shifted to their bits."""
        return numbers << self.shift

    def get(self, attributes: Integers) -> Integers:
        """The numbers in these bits."""
        return attributes >> self.shift & (1 << self.bits) - 1


# What `attributes` holds for an event of a visitor session; pages and clicks are numbered in the order of the site.

PAGE = BitField(0, 12)
PREVIOUS = BitField(12, 12)
"""The previous page plus 1; 0: there is none."""
CLICK = BitField(24, 12)
NUMBER = BitField(36, 11)
"""Pages so far."""
CLICKS = BitField(47, 16)
"""On the page that is closed, or in the session that ends."""
DURATION = BitField(12, 24)
"""Milliseconds, of the event that ends a session: it has neither a previous page nor a click."""


class StepIds(NamedTuple):
    """Numbers the steps of chains, so that no two events with the same correlation id share a step.

    The chains that a chain triggers have steps above its own. The bits of a step above `bits` are the number of its
    trigger: 0 in the chain that was not triggered.
    """

    max_triggers: int
    """Chains that one event may trigger."""
    bits: int
    """Bits of the highest step of any one of the chains."""

    def first(self, causes: Integers, number: int) -> Integers:
        """The steps of the first events of triggered chains.

        Args:
            causes: steps of the triggering events.
            number: of the trigger among those of the event, from 0.
        """
        return (causes * self.max_triggers + number + 1) << self.bits

    def trigger(self, steps: Steps) -> Steps:
        """The number of the trigger of each event's chain; 0: it was not triggered."""
        return steps >> self.bits

    def within(self, steps: Integers) -> Integers:
        """The step of each event within its own chain."""
        return steps & (1 << self.bits) - 1


class EventTable:
    """Events as rows; each property is a column, a view that may be modified."""

    __slots__ = ("columns",)

    def __init__(self, columns: Integers) -> None:
        #: Shape (9, events), one row of memory for each property below.
        self.columns = columns

    @classmethod
    def roots(cls, chain: Integers, time: Integers) -> EventTable:
        """The first events of chains, without their emitters.

        Args:
            chain: indices of the chains.
            time: when the chains begin, microseconds since the Unix epoch.
        """
        columns = np.zeros((COLUMNS, chain.size), np.int64)
        columns[CHAIN], columns[TIME], columns[BEGAN] = chain, time, time
        return cls(columns)

    @classmethod
    def concatenate(cls, tables: Sequence[EventTable]) -> EventTable:
        if len(tables) == 1:
            return tables[0]
        if not tables:
            return cls(np.empty((COLUMNS, 0), np.int64))
        return cls(np.concatenate([table.columns for table in tables], axis=1))

    @property
    def time(self) -> Integers:
        """Microseconds since the Unix epoch."""
        return self._row(TIME)

    @property
    def delay(self) -> Integers:
        """Microseconds since the causing event."""
        return self._row(DELAY)

    @property
    def began(self) -> Integers:
        """Time of the chain's first event."""
        return self._row(BEGAN)

    @property
    def chain(self) -> Integers:
        """Index of the chain."""
        return self._row(CHAIN)

    @property
    def step(self) -> Integers:
        """Identifies the event in its chain, from 0; higher than the step of the cause."""
        return self._row(STEP)

    @property
    def emitter(self) -> Integers:
        """Index of the emitter in the plan."""
        return self._row(EMITTER)

    @property
    def cause(self) -> Integers:
        """Step of the causing event."""
        return self._row(CAUSE)

    @property
    def attributes(self) -> Integers:
        """What the simulator counts about an event: attempts, or the attributes of a session (see `BitField`)."""
        return self._row(ATTRIBUTES)

    @property
    def terminal(self) -> Integers:
        """1 for the last event of a chain, else 0."""
        return self._row(TERMINAL)

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    def _row(self, number: int) -> Integers:
        row: Integers = self.columns[number]
        return row

    def __getitem__(self, part: slice) -> EventTable:
        return EventTable(self.columns[:, part])

    def copy(self) -> EventTable:
        return EventTable(self.columns.copy())

    def take(self, rows: Integers) -> EventTable:
        return EventTable(self.columns.take(rows, axis=1))

    def split(self, before: int) -> tuple[EventTable, EventTable]:
        """The events before a time, and the others."""
        early = self.time < before
        return self.take(np.flatnonzero(early)), self.take(np.flatnonzero(~early))

    def between(self, since: int | None, until: int | None) -> EventTable:
        """The events of an ordered table from `since` on and before `until`."""
        first = 0 if since is None else int(self.time.searchsorted(since))
        last = len(self) if until is None else int(self.time.searchsorted(until))
        return self[first:last]

    def ordered(self) -> EventTable:
        """The events sorted by time, chain and step."""
        if len(self) < 2:
            return self
        return self.take(_order(self))


def _order(table: EventTable) -> Integers:
    """Sorts (time, row) packed into one integer, and then repairs the order of equal times, which are few.

    A packed sort takes a tenth of the time of `np.lexsort`, which is used if the times are too far apart for packing.
    """
    time, size = table.time, len(table)
    bits = size.bit_length()
    earliest = int(time.min())
    if (int(time.max()) - earliest) >> (63 - bits):
        return np.lexsort((table.step, table.chain, time))
    packed = time - earliest
    packed <<= bits
    packed |= np.arange(size)
    packed.sort()
    order = packed & ((1 << bits) - 1)
    packed >>= bits
    same = packed[1:] == packed[:-1]
    if same.any():
        tied = np.zeros(size, bool)
        tied[1:] = same
        tied[:-1] |= same
        ties = np.flatnonzero(tied)
        rows = order[ties]
        order[ties] = rows[np.lexsort((table.step[rows], table.chain[rows], time[rows]))]
    return order
