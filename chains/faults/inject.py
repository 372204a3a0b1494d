"""Faults as a stage behind the generator: columns decide which events are struck, and only those are touched.

Whether an event is struck depends on the seed, its chain, its step and the kind of fault, so neither the clean stream
nor any other kind changes when a fault is turned on, and nothing depends on where blocks begin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count, pairwise
from typing import Protocol

import numpy as np

from eventbus.catalog import Catalog
from eventbus.chains.faults.kinds import Fault, FaultSelector, by_precedence
from eventbus.chains.faults.ledger import Ledger
from eventbus.chains.faults.mutate import MUTATIONS, AffectedEvents
from eventbus.chains.faults.splice import NONE, Edits, FaultyBlock
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers, Words, chain_keys, draw_each, purpose
from eventbus.chains.rendering.block import Block

# Texts that come later than their place.


Text = tuple[bytes, int, int]
"""With its newline; the emitter of its event, and the time in it."""
Waiting = tuple[int, int, int, Text]
"""When it is due, the number of its event in the clean stream, and the order of all, so that texts are not compared."""

FIRST = 1 << 62
"""Taken off a number: before all others of the same time."""


class DelayQueue:
    """Texts that wait: for a time to be over, or for an event of some number in the clean stream."""

    def __init__(self) -> None:
        self._by_time: list[Waiting] = []
        self._by_number: list[Waiting] = []
        self._order = count()

    def until(self, time: int, number: int, text: Text) -> None:
        """Hold what a fault made of the event of this number until a time is over."""
        heappush(self._by_time, (time, number, next(self._order), text))

    def behind(self, places: int, number: int, text: Text) -> None:
        """Hold it until so many events have passed."""
        heappush(self._by_number, (number + places + 1, number, next(self._order), text))

    @property
    def next_due(self) -> int | None:
        """The first time that a text waits for."""
        return self._by_time[0][0] if self._by_time else None

    def due(self, time: Integers, passed: int, until: int) -> Edits:
        """The texts that come within a stretch of events or up to a time behind it; they are held no longer.

        Args:
            time: of the events.
            passed: events in the clean stream before them.
            until: a time before that of any later event.
        """
        by_number, by_time = self._pop(self._by_number, passed + time.size), self._pop(self._by_time, until)
        behind = np.array([due - passed for due, _, _, _ in by_number], np.int64)  # at least 1: behind some event
        times = np.array([due for due, _, _, _ in by_time], np.int64)
        rows = np.concatenate([behind, time.searchsorted(times, side="right")])
        dues = np.concatenate([time.take(behind - 1), times])
        held = [text for _, _, _, text in by_number + by_time]
        kinds, made = (np.array([text[column] for text in held], np.int64) for column in (1, 2))
        return Edits(rows, np.zeros_like(rows), [text for text, _, _ in held], kinds, made, dues)

    def finish(self, last: int) -> None:
        """No further event comes: those that waited for one now wait for the time of the last one, which is over."""
        for due, number, _, text in self._by_number:
            self._by_time.append((last, due - FIRST, number, text))
        self._by_number = []
        heapify(self._by_time)

    def __iter__(self) -> Iterator[bytes]:
        return (text for _, _, _, (text, _, _) in [*self._by_number, *self._by_time])

    def _pop(self, heap: list[Waiting], due: int) -> list[Waiting]:
        found = []
        while heap and heap[0][0] <= due:
            found.append(heappop(heap))
        return found


# Where events pass through when their time has come: what a paced run needs to know of faults.


ENDLESS = 1 << 62
"""A time that nothing waits for, microseconds since the Unix epoch."""


class Middleware(Protocol):
    """Changes events, leaves some out, or holds them back."""

    @property
    def next_due(self) -> int | None:
        """The first time, microseconds since the Unix epoch, that something held waits for."""
        ...

    def inject(self, block: Block, until: int) -> Block | FaultyBlock:
        """What comes of the next events, and what was held up to a time before that of any later event."""
        ...

    def finish(self) -> None:
        """No further event comes: what waits for one is due."""
        ...

    def release(self, until: int) -> Block | FaultyBlock:
        """What was held up to a time, without further events."""
        ...

    def close(self) -> None:
        """The run has ended; what is still held never comes."""
        ...


class PassThrough:
    """Lets everything through."""

    next_due = None

    def inject(self, block: Block, until: int) -> Block:
        return block

    def finish(self) -> None:
        """Nothing is held."""

    def release(self, until: int) -> Block:
        raise AssertionError("nothing is held")

    def close(self) -> None:
        """Nothing is held."""


class Injector:
    """Injects faults into the blocks of one run.

    Args:
        catalog: of the run.
        places: of the emitters of its plan.
        root: its random key.
        faults: the order does not matter.
        ledger: takes note of chains and faults; None: nobody does.

    Raises:
        InvalidSetting: a fault's scope leaves none of the events.
    """

    def __init__(
        self,
        catalog: Catalog,
        places: Sequence[EmitterInfo],
        *,
        root: int,
        faults: Sequence[Fault],
        ledger: Ledger | None,
    ) -> None:
        self._places = places
        self._known = [(place, catalog.event_type(place.event_type)) for place in places]
        self._root = root
        self._arsenal = FaultSelector(by_precedence(faults), places, catalog)
        self._purposes = np.array([_purposes(fault) for fault in self._arsenal.faults], np.uint64).reshape(-1, 2)
        spans = np.array([fault.span for fault in self._arsenal.faults], np.int64).reshape(-1, 2)
        self._low, self._width = spans[:, 0], (spans[:, 1] - spans[:, 0] + 1).astype(np.uint64)
        self._ledger = ledger
        self._held = DelayQueue()
        self._nothing: Block
        self._passed = self._written = self._time = 0
        #: How many faults of each kind there were.
        self.injected: Counter[str] = Counter()

    def blocks(self, clean: Iterable[Block]) -> Iterator[FaultyBlock]:
        """The same events, with faults; what is held back to the end comes in a last block of its own."""
        for block in clean:
            if len(block):
                yield self.inject(block, int(block.table.time[-1]) - 1)
        self.finish()
        if self.next_due is not None:
            yield self.release(ENDLESS)
        self.close()

    def inject(self, block: Block, until: int) -> FaultyBlock:
        """The next events, with faults, and the held texts that are due with them.

        Args:
            block: the events that follow those of the last call.
            until: a time before that of any later event; what is held up to it comes, even if no event does.
        """
        if len(block):
            self._nothing, self._time = block[:0], int(block.table.time[-1])
        if self._ledger:
            self._ledger.add(block)
        cuts = self._struck(block) if self._arsenal.faults else []
        if self._ledger:
            self._ledger.flush()
        cuts.append(self._held.due(block.table.time, self._passed, until))
        self._passed += len(block)
        faulty = FaultyBlock(block, Edits.joined(cuts), self._places, self._time)
        self._written += len(faulty)
        return faulty

    @property
    def next_due(self) -> int | None:
        """The first time, microseconds since the Unix epoch, that a held text waits for."""
        return self._held.next_due

    def finish(self) -> None:
        """No further event comes: what would come behind one is due."""
        self._held.finish(self._time)

    def release(self, until: int) -> FaultyBlock:
        """The held texts that are due by a time, without further events."""
        return self.inject(self._nothing, until)

    def close(self) -> None:
        """Complete the ledger; what is still held never comes, and the ledger says so."""
        if self._ledger:
            self._ledger.close(self._written, self.injected, self._held)

    def _struck(self, block: Block) -> list[Edits]:
        """What stands in the place of each event that was struck; later emissions are held."""
        keys = chain_keys(self._root, block.table.chain)
        rows, faults = self._arsenal.strikes(block.table, keys)
        if not rows.size:
            return []
        every = self._victims(block, rows, faults, keys.take(rows))
        cuts: list[Edits] = []
        borders = faults.searchsorted(np.arange(len(self._arsenal.faults) + 1)).tolist()
        for fault, (first, last) in zip(self._arsenal.faults, pairwise(borders), strict=True):
            if first < last:
                cuts.append(self._changed(rows[first:last], every.part(first, last, fault)))
        return cuts

    def _victims(self, block: Block, rows: Integers, faults: Integers, keys: Words) -> AffectedEvents:
        table = block.table.take(rows)
        purposes = self._purposes.take(faults, axis=0)
        amounts, words = (draw_each(keys, purposes[:, part], table.step.view(np.uint64)) for part in (0, 1))
        amounts %= self._width.take(faults)
        text, spans = block.buffer, zip(*(column.take(rows).tolist() for column in block.spans()), strict=True)
        return AffectedEvents(
            fault=self._arsenal.faults[0],  # of each part its own
            run=self._root,
            known=self._known,
            lines=[bytes(text[start:end]) for start, end in spans],
            kind=table.emitter,
            chain=table.chain,
            time=table.time,
            delay=table.delay,
            amount=amounts.view(np.int64) + self._low.take(faults),
            word=words,
        )

    def _changed(self, rows: Integers, victims: AffectedEvents) -> Edits:
        """What comes of the events that one fault strikes."""
        when, change = MUTATIONS[victims.fault.kind]
        texts, details, times = change(victims)
        numbers = rows + self._passed
        self.injected[victims.fault.kind] += rows.size
        if self._ledger:
            columns = (numbers.tolist(), victims.kind.tolist(), victims.chain.tolist(), victims.lines, victims.keys)
            self._ledger.faults(victims.fault.kind, zip(*columns, details, strict=False))
        if when == "behind":
            self._hold(self._held.behind, victims.amount, numbers, texts, victims)
        elif when in ("again", "later"):
            self._hold(self._held.until, victims.time + victims.amount, numbers, texts, victims)
        if when == "again":
            return NONE
        shown: list[bytes | None] = list(texts) if when == "instead" else [None] * rows.size
        return Edits(rows, np.ones_like(rows), shown, victims.kind, times, victims.time)

    def _hold(
        self,
        hold: Callable[[int, int, Text], None],
        dues: Integers,
        numbers: Integers,
        texts: Sequence[bytes],
        victims: AffectedEvents,
    ) -> None:
        held = zip(texts, victims.kind.tolist(), victims.time.tolist(), strict=True)
        for due, number, text in zip(dues.tolist(), numbers.tolist(), held, strict=True):
            hold(due, number, text)


def _purposes(fault: Fault) -> tuple[int, int]:
    """Of the draws that decide how far a fault goes, and the rest."""
    return purpose(f"fault/{fault.kind}/amount"), purpose(f"fault/{fault.kind}/word")
