"""The ledger's lines about chains, written from columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from eventbus.chains.faults.places import Place
from eventbus.chains.randomness import Integers
from eventbus.chains.table import EventTable
from eventbus.chains.writing.block import Block
from eventbus.chains.writing.emitter import ID_AT
from eventbus.chains.writing.phrases import Constant, Enumeration, Listing, Numeral, Optional, Phrase, Texts, written
from eventbus.chains.writing.text import TIMESTAMP_ROW, TIMESTAMP_WIDTH, UUID_ROW, UUID_WIDTH, Memory, Rows, windows

TIME_ROW, ID_ROW = np.dtype(f"V{TIMESTAMP_WIDTH + 3}"), np.dtype(f"V{UUID_WIDTH + 3}")
"""Within quotes, and with a comma."""


class Noted(NamedTuple):
    """Events as columns, with what is written about them."""

    number: Integers
    """In the clean stream."""
    chain: Integers
    step: Integers
    kind: Integers
    last: Integers
    """1 for the last event of a chain, else 0."""
    time: Rows
    id: Rows

    @classmethod
    def none(cls) -> Noted:
        nothing = np.empty(0, np.int64)
        return cls(nothing, nothing, nothing, nothing, nothing, np.empty(0, TIME_ROW), np.empty(0, ID_ROW))

    @classmethod
    def of(cls, block: Block, first: int, timestamp_at: Integers) -> Noted:
        """The events of a block, copied.

        Args:
            first: number of the first one in the clean stream.
            timestamp_at: by emitter, where in an event its timestamp begins.
        """
        events, starts = EventTable(block.table.columns.copy()), block.spans()[0]
        text = np.frombuffer(block.buffer, np.uint8)
        times = windows(text, TIMESTAMP_ROW)[starts + timestamp_at.take(events.kind)]
        ids = windows(text, UUID_ROW)[starts + ID_AT]
        numbers = np.arange(first, first + len(block))
        return cls(
            numbers, events.chain, events.step, events.kind, events.last, _listed(times, TIME_ROW), _listed(ids, ID_ROW)
        )

    @classmethod
    def joined(cls, parts: Sequence[Noted]) -> Noted:
        columns: list[Any] = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        return cls(*columns)

    def take(self, rows: Integers) -> Noted:
        columns: list[Any] = [column.take(rows) for column in self]
        return Noted(*columns)

    def by_chain(self) -> Noted:
        """The same events by chain, then step."""
        if not self.chain.size:
            return self
        places = self.chain - self.chain.min()
        steps, rows = int(self.step.max()) + 1, self.chain.size
        if int(places.max()) >= (1 << 62) // (steps * rows):
            return self.take(np.lexsort((self.step, self.chain)))
        places *= steps
        places += self.step
        places *= rows
        places += np.arange(rows)  # sorting numbers takes a tenth of the time of finding their order
        places.sort()
        return self.take(places % rows)


class Chapters(NamedTuple):
    """Lines about chains, in the order in which these ended."""

    text: Memory
    ends: Integers
    """Of the lines in the text."""
    numbers: Integers
    """Of the chains' last events in the clean stream."""

    @classmethod
    def none(cls) -> Chapters:
        nothing = np.empty(0, np.int64)
        return cls(np.empty(0, np.uint8), nothing, nothing)


class ChapterWriter:
    """Writes lines about chains.

    Args:
        places: of the emitters of a plan.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        names = [b',"chain":%b,"correlation_id":' % orjson.dumps(place.chain) for place in places]
        chains = list(dict.fromkeys(place.chain for place in places))
        self._chain = np.array([chains.index(place.chain) for place in places], np.int64)
        self._has_outcome = np.array([place.outcome is not None for place in places])
        outcomes = [None, "abandoned", *(place.outcome for place in places)]
        shown = [b',"outcome":%b,"path":[' % orjson.dumps(outcome) for outcome in outcomes]
        # without a root, a chain was cut off at its beginning
        self._names = Texts([name + opening for name in names for opening in (b"null", b'"')])
        self._outcomes = Texts([closing + outcome for outcome in shown for closing in (b"", b'"')])
        self._states = Texts([orjson.dumps(place.state) + b"," for place in places])

    def written(self, events: Noted) -> Chapters:
        """The lines.

        Args:
            events: by chain, then step; all that there are of these chains.
        """
        begins = np.flatnonzero(np.diff(events.chain, prepend=-1))
        if not begins.size:
            return Chapters.none()
        counts = np.diff(begins, append=events.chain.size)
        numbers = np.maximum.reduceat(events.number, begins)
        rooted = (events.step.take(begins) == 0).astype(np.int64)
        ids = np.ndarray(events.id.shape, UUID_ROW, events.id, 1, events.id.strides)
        order = numbers.argsort()
        text, ends = written(
            [
                Constant(b'{"record":"chain","index":', begins.size),
                Numeral(events.chain.take(begins)),
                Phrase(self._names, events.kind.take(begins) * 2 + rooted),
                Optional(ids.take(begins), rooted),
                Phrase(self._outcomes, self._outcome(events, begins, counts) * 2 + rooted),
                Enumeration(self._states, events.kind, begins, counts),
                Constant(b'],"times":[', begins.size),
                Listing(events.time, begins, counts),
                Constant(b'],"event_ids":[', begins.size),
                Listing(events.id, begins, counts),
                Constant(b"]}\n", begins.size),
            ],
            order,
        )
        return Chapters(text, ends, numbers.take(order))

    def _outcome(self, events: Noted, begins: Integers, counts: Integers) -> Integers:
        """How each chain ended, whatever came of those that it caused: 0 if it was cut off, 1 if it has no outcome,
        else 2 + the emitter of the outcome."""
        chain = self._chain.take(events.kind)
        told = self._has_outcome.take(events.kind) & (chain == chain.take(begins).repeat(counts))
        rows = np.where(told, np.arange(told.size), told.size)
        first = np.minimum.reduceat(rows, begins)
        ended = np.maximum.reduceat(events.last, begins)
        return ended * np.where(first < told.size, 2 + np.append(events.kind, 0).take(first), 1)


def _listed(rows: Rows, row: np.dtype[np.void]) -> Rows:
    """Texts in quotes, with a comma behind each."""
    width = rows.dtype.itemsize
    wide = np.empty(rows.size, row)
    memory = wide.view(np.uint8).reshape(-1, width + 3)
    memory[:, 0] = memory[:, width + 1] = ord('"')
    memory[:, width + 2] = ord(",")
    np.ndarray(rows.shape, rows.dtype, wide, 1, wide.strides)[...] = rows
    return wide
