"""Injects faults into the blocks of a run: a stage after the generator that changes only the events it selects.

Whether an event is struck depends on the seed, its chain, its step and the kind of fault; neither the clean stream nor
another kind changes when a fault is turned on, and nothing depends on block boundaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count, pairwise
from typing import Protocol

import numpy as np

from eventbus.catalog import Catalog
from eventbus.catalog.model import Fault
from eventbus.chains.faults.kind import AffectedEvents
from eventbus.chains.faults.kinds import KINDS
from eventbus.chains.faults.ledger import Ledger, StruckEvents
from eventbus.chains.faults.select import FaultSelector, by_precedence
from eventbus.chains.faults.splice import NO_EDITS, Edits, FaultyBlock
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers, Words, chain_keys, draw_each, purpose
from eventbus.chains.rendering.block import Block
from eventbus.chains.rendering.columns import UUID_ROW, windows
from eventbus.chains.rendering.render import ID_AT

ENDLESS = 1 << 62
"""A time after everything, microseconds since the Unix epoch."""


class Middleware(Protocol):
    """Stands between a generator and a bus: changes events, drops them or holds them back."""

    @property
    def next_due(self) -> int | None:
        """When the first held line is due, microseconds since the Unix epoch; None if nothing is held until a time."""
        ...

    def inject(self, block: Block, until: int) -> Block | FaultyBlock:
        """What becomes of the next events, with held lines that are due up to `until`, a time before later events."""
        ...

    def finish(self) -> None:
        """No further event comes: what is held until one comes is due."""
        ...

    def release(self, until: int) -> Block | FaultyBlock:
        """Held lines that are due up to a time, without further events."""
        ...

    def close(self, stopped_at: int | None = None) -> None:
        """The run has ended; what is still held is never sent.

        Args:
            stopped_at: when the sessions of a stopped run ended, microseconds since the Unix epoch.
        """
        ...


class PassThrough:
    """Changes nothing and holds nothing."""

    next_due = None

    def inject(self, block: Block, until: int) -> Block:
        return block

    def finish(self) -> None:
        """Nothing is held."""

    def release(self, until: int) -> Block:
        raise AssertionError("nothing is held")

    def close(self, stopped_at: int | None = None) -> None:
        """Nothing is held."""


HeldLine = tuple[bytes, int, int]
"""A line with its newline, the index of its emitter, and the timestamp in it."""
Entry = tuple[int, int, int, HeldLine]
"""When it is due, the number of its event in the clean stream, and the order of insertion, so that lines are never
compared."""

FIRST = 1 << 62
"""Subtracted from an event's number: sorts the line before all others that are due at the same time."""


class DelayQueue:
    """Lines that are held until a time has passed, or until an event of some number in the clean stream."""

    def __init__(self) -> None:
        self._by_time: list[Entry] = []
        self._by_number: list[Entry] = []
        self._order = count()

    def hold_until(self, time: int, number: int, line: HeldLine) -> None:
        """Hold what was made of the event of this number until a time has passed."""
        heappush(self._by_time, (time, number, next(self._order), line))

    def hold_behind(self, places: int, number: int, line: HeldLine) -> None:
        """Hold it until that many later events have passed."""
        heappush(self._by_number, (number + places + 1, number, next(self._order), line))

    @property
    def next_due(self) -> int | None:
        """The first time that a line is held until."""
        return self._by_time[0][0] if self._by_time else None

    def pop_due(self, time: Integers, passed: int, until: int) -> Edits:
        """Remove the lines that are due among the next events, or after them up to a time.

        Args:
            time: of the events.
            passed: number of events in the clean stream before them.
            until: a time before that of any later event.
        """
        by_number, by_time = _pop(self._by_number, passed + time.size), _pop(self._by_time, until)
        rows_by_number = np.array([due - passed for due, *_ in by_number], np.int64)  # at least 1: after some event
        times = np.array([due for due, *_ in by_time], np.int64)
        rows = np.concatenate([rows_by_number, time.searchsorted(times, side="right")])
        dues = np.concatenate([time.take(rows_by_number - 1), times])
        lines = [line for *_, line in by_number + by_time]
        emitters, timestamps = (np.array([line[column] for line in lines], np.int64) for column in (1, 2))
        return Edits(rows, np.zeros_like(rows), [text for text, _, _ in lines], emitters, timestamps, dues)

    def finish(self, last: int) -> None:
        """No further event comes: lines held until one are due at the time of the last event, before all others."""
        for due, number, _, line in self._by_number:
            self._by_time.append((last, due - FIRST, number, line))
        self._by_number = []
        heapify(self._by_time)

    def __iter__(self) -> Iterator[bytes]:
        """In the order in which they would be due."""
        return (text for _, _, _, (text, _, _) in [*sorted(self._by_number), *sorted(self._by_time)])


def _pop(heap: list[Entry], due: int) -> list[Entry]:
    entries = []
    while heap and heap[0][0] <= due:
        entries.append(heappop(heap))
    return entries


class Injector:
    """Injects faults into the blocks of one run.

    Args:
        catalog: of the run.
        emitters: of its plan.
        root: its random key.
        faults: in any order.
        ledger: records chains and faults. None: nothing does.

    Raises:
        InvalidSetting: a fault is invalid, or its scope has no event that it may strike.
    """

    def __init__(
        self,
        catalog: Catalog,
        emitters: Sequence[EmitterInfo],
        *,
        root: int,
        faults: Sequence[Fault],
        ledger: Ledger | None,
    ) -> None:
        self._infos = emitters
        self._correlation_at = np.array([info.correlation_at for info in emitters], np.int64)
        self._emitters = [(info, catalog.event_type(info.event_type)) for info in emitters]
        self._root = root
        self._faults = by_precedence(faults)
        self._selector = FaultSelector(self._faults, emitters, catalog)
        self._purposes = np.array([_purposes(fault) for fault in self._faults], np.uint64).reshape(-1, 2)
        bounds = np.array([fault.effective_bounds for fault in self._faults], np.int64).reshape(-1, 2)
        self._low, self._width = bounds[:, 0], (bounds[:, 1] - bounds[:, 0] + 1).astype(np.uint64)
        self._ledger = ledger
        self._queue = DelayQueue()
        self._empty: Block
        self._passed = self._time = 0
        #: Lines in the blocks so far.
        self.written = 0
        #: How many events each kind has struck.
        self.injected: Counter[str] = Counter()

    def blocks(self, clean: Iterable[Block]) -> Iterator[FaultyBlock]:
        """The same events, with faults; lines held beyond the end come in a last block of their own."""
        for block in clean:
            if len(block):
                yield self.inject(block, int(block.table.time[-1]) - 1)
        self.finish()
        if self.next_due is not None:
            yield self.release(ENDLESS)
        self.close()

    def inject(self, block: Block, until: int) -> FaultyBlock:
        """The next events, with faults, and the held lines that are due with them.

        Args:
            block: the events that follow those of the last call.
            until: a time before that of any later event; lines due up to it come even if no event does.
        """
        if len(block):
            self._empty, self._time = block[:0], int(block.table.time[-1])
        if self._ledger:
            self._ledger.add(block)
        edits = self._strike(block) if self._faults else []
        if self._ledger:
            self._ledger.flush()
        edits.append(self._queue.pop_due(block.table.time, self._passed, until))
        self._passed += len(block)
        faulty = FaultyBlock(block, Edits.concatenate(edits), self._infos, self._time)
        self.written += len(faulty)
        return faulty

    @property
    def next_due(self) -> int | None:
        """When the first held line is due, microseconds since the Unix epoch."""
        return self._queue.next_due

    def finish(self) -> None:
        """No further event comes: what is held until one comes is due."""
        self._queue.finish(self._time)

    def release(self, until: int) -> FaultyBlock:
        """Held lines that are due up to a time, without further events."""
        return self.inject(self._empty, until)

    def close(self, stopped_at: int | None = None) -> None:
        """Complete the ledger, which lists what is still held as unsent."""
        if self._ledger:
            self._ledger.close(self.written, self.injected, self._queue, stopped_at)

    def _strike(self, block: Block) -> list[Edits]:
        """Edits in place of the events that are struck; lines to be sent later are held."""
        keys = chain_keys(self._root, block.table.chain)
        rows, faults = self._selector.select(block.table, keys)
        if not rows.size:
            return []
        affected = self._affected(block, rows, faults, keys.take(rows))
        edits: list[Edits] = []
        borders = faults.searchsorted(np.arange(len(self._faults) + 1)).tolist()
        for fault, (first, last) in zip(self._faults, pairwise(borders), strict=True):
            if first < last:
                edits.append(self._apply(rows[first:last], affected.part(first, last, fault)))
        return edits

    def _affected(self, block: Block, rows: Integers, faults: Integers, keys: Words) -> AffectedEvents:
        table = block.table.take(rows)
        purposes = self._purposes.take(faults, axis=0)
        amounts, words = (draw_each(keys, purposes[:, column], table.step.view(np.uint64)) for column in (0, 1))
        amounts %= self._width.take(faults)
        text, (starts, ends) = block.buffer, (column.take(rows) for column in block.spans())
        uuids = windows(np.frombuffer(text, np.uint8), UUID_ROW)
        return AffectedEvents(
            fault=self._faults[0],  # every part gets its own
            run=self._root,
            emitters=self._emitters,
            lines=[bytes(text[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)],
            ids=uuids[starts + ID_AT].tolist(),
            correlation_ids=uuids[starts + self._correlation_at.take(table.emitter)].tolist(),
            emitter=table.emitter,
            chain=table.chain,
            time=table.time,
            delay=table.delay,
            amount=amounts.view(np.int64) + self._low.take(faults),
            words=words,
        )

    def _apply(self, rows: Integers, events: AffectedEvents) -> Edits:
        """Mutate the events that one fault strikes, record them, and hold what is to be sent later."""
        kind = KINDS[events.fault.kind]
        lines, details, times = kind.mutate(events)
        numbers = rows + self._passed
        self.injected[kind.name] += rows.size
        if self._ledger:
            struck = StruckEvents(numbers, events.emitter, events.chain, events.ids, events.correlation_ids)
            self._ledger.faults(kind.name, struck, details)
        if kind.delivery == "displace":
            _hold(self._queue.hold_behind, events.amount, numbers, lines, events)
        elif kind.delivery in ("duplicate", "delay"):
            _hold(self._queue.hold_until, events.time + events.amount, numbers, lines, events)
        if kind.delivery == "duplicate":
            return NO_EDITS
        texts: list[bytes | None] = list(lines) if kind.delivery == "replace" else [None] * rows.size
        return Edits(rows, np.ones_like(rows), texts, events.emitter, times, events.time)


def _hold(
    hold: Callable[[int, int, HeldLine], None],
    dues: Integers,
    numbers: Integers,
    lines: Sequence[bytes],
    events: AffectedEvents,
) -> None:
    held_lines = zip(lines, events.emitter.tolist(), events.time.tolist(), strict=True)
    for due, number, line in zip(dues.tolist(), numbers.tolist(), held_lines, strict=True):
        hold(due, number, line)


def _purposes(fault: Fault) -> tuple[int, int]:
    """Purposes of the draws that decide how far a fault goes, and everything else."""
    return purpose("fault-amount", fault.kind), purpose("fault-word", fault.kind)
