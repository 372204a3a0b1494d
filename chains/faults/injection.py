"""Faults as a stage behind the generator: columns decide which events are struck, and only those are touched.

Whether an event is struck depends on the seed, its chain, its step and the kind of fault, so neither the clean stream
nor any other kind changes when a fault is turned on, and nothing depends on where blocks begin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from eventbus.catalog import Catalog
from eventbus.chains.faults.cuts import NONE, Cuts
from eventbus.chains.faults.held import Held, Text
from eventbus.chains.faults.kinds import Fault, by_precedence
from eventbus.chains.faults.ledger import Ledger
from eventbus.chains.faults.mutations import MUTATIONS
from eventbus.chains.faults.places import Place
from eventbus.chains.faults.splicing import FaultyBlock
from eventbus.chains.faults.strikes import Arsenal
from eventbus.chains.faults.victims import Victims
from eventbus.chains.pacing.stage import ENDLESS
from eventbus.chains.randomness import Integers, Words, chain_keys, draw_each, purpose
from eventbus.chains.writing.block import Block


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
        self, catalog: Catalog, places: Sequence[Place], *, root: int, faults: Sequence[Fault], ledger: Ledger | None
    ) -> None:
        self._places = places
        self._known = [(place, catalog.event_type(place.event_type)) for place in places]
        self._root = root
        self._arsenal = Arsenal(by_precedence(faults), places, catalog)
        self._purposes = np.array([_purposes(fault) for fault in self._arsenal.faults], np.uint64).reshape(-1, 2)
        spans = np.array([fault.span for fault in self._arsenal.faults], np.int64).reshape(-1, 2)
        self._low, self._width = spans[:, 0], (spans[:, 1] - spans[:, 0] + 1).astype(np.uint64)
        self._ledger = ledger
        self._held = Held()
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
        faulty = FaultyBlock(block, Cuts.joined(cuts), self._places, self._time)
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

    def _struck(self, block: Block) -> list[Cuts]:
        """What stands in the place of each event that was struck; later emissions are held."""
        keys = chain_keys(self._root, block.table.chain)
        rows, faults = self._arsenal.strikes(block.table, keys)
        if not rows.size:
            return []
        every = self._victims(block, rows, faults, keys.take(rows))
        cuts: list[Cuts] = []
        borders = faults.searchsorted(np.arange(len(self._arsenal.faults) + 1)).tolist()
        for fault, (first, last) in zip(self._arsenal.faults, pairwise(borders), strict=True):
            if first < last:
                cuts.append(self._changed(rows[first:last], every.part(first, last, fault)))
        return cuts

    def _victims(self, block: Block, rows: Integers, faults: Integers, keys: Words) -> Victims:
        table = block.table.take(rows)
        purposes = self._purposes.take(faults, axis=0)
        amounts, words = (draw_each(keys, purposes[:, part], table.step.view(np.uint64)) for part in (0, 1))
        amounts %= self._width.take(faults)
        text, spans = block.buffer, zip(*(column.take(rows).tolist() for column in block.spans()), strict=True)
        return Victims(
            fault=self._arsenal.faults[0],  # of each part its own
            run=self._root,
            known=self._known,
            lines=[bytes(text[start:end]) for start, end in spans],
            kind=table.kind,
            chain=table.chain,
            time=table.time,
            delay=table.delay,
            amount=amounts.view(np.int64) + self._low.take(faults),
            word=words,
        )

    def _changed(self, rows: Integers, victims: Victims) -> Cuts:
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
        return Cuts(rows, np.ones_like(rows), shown, victims.kind, times, victims.time)

    def _hold(
        self,
        hold: Callable[[int, int, Text], None],
        dues: Integers,
        numbers: Integers,
        texts: Sequence[bytes],
        victims: Victims,
    ) -> None:
        held = zip(texts, victims.kind.tolist(), victims.time.tolist(), strict=True)
        for due, number, text in zip(dues.tolist(), numbers.tolist(), held, strict=True):
            hold(due, number, text)


def _purposes(fault: Fault) -> tuple[int, int]:
    """Of the draws that decide how far a fault goes, and the rest."""
    return purpose(f"fault/{fault.kind}/amount"), purpose(f"fault/{fault.kind}/word")
