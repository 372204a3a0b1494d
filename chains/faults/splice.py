"""A block of events with lines inserted, replaced and removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.block import Block
from eventbus.chains.rendering.columns import UUID_WIDTH
from eventbus.event import EPOCH
from eventbus.record import Columns, ProducerRecord, columns_by_topic

TOMBSTONE = b"null\n"


class Edits(NamedTuple):
    """Lines to be inserted before rows of a block, or to replace them, as columns."""

    rows: Integers
    replaces: Integers
    """1: instead of the row; 0: before it."""
    texts: list[bytes | None]
    """With newlines. None: the row is removed."""
    emitters: Integers
    """Of the events in the texts, or of what they were made of: indices in the plan."""
    times: Integers
    """Timestamps in the texts, microseconds since the Unix epoch."""
    dues: Integers
    """When the texts are to be sent, microseconds since the Unix epoch."""

    @classmethod
    def concatenate(cls, parts: Sequence[Edits]) -> Edits:
        """All edits, stably ordered by row; insertions precede the replacement of the same row."""
        texts = [text for part in parts for text in part.texts]
        if not texts:
            return NO_EDITS
        rows, replaces = (np.concatenate(columns) for columns in zip(*(part[:2] for part in parts), strict=True))
        order = (rows * 2 + replaces).argsort(kind="stable")
        columns: list[Any] = [
            np.concatenate(columns).take(order) for columns in zip(*(part[3:] for part in parts), strict=True)
        ]
        return cls(rows.take(order), replaces.take(order), [texts[row] for row in order.tolist()], *columns)

    @property
    def added(self) -> int:
        """By how many lines the block grows; negative if it shrinks."""
        return len(self.texts) - self.texts.count(None) - int(self.replaces.sum())


_nothing = np.empty(0, np.int64)
NO_EDITS = Edits(_nothing, _nothing, [], _nothing, _nothing, _nothing)


class FaultyBlock:
    """A block after fault injection: some events are changed, removed, repeated or moved.

    It shares the memory of the clean block: consume one before asking for another, or copy.

    Args:
        block: the clean events.
        edits: what differs.
        emitters: of the plan.
        last: time of the last clean event so far, microseconds since the Unix epoch.
    """

    __slots__ = ("_block", "_edits", "_emitters", "_last", "_lines")

    def __init__(self, block: Block, edits: Edits, emitters: Sequence[EmitterInfo], last: int) -> None:
        self._block = block
        self._edits = edits
        self._emitters = emitters
        self._last = last
        self._lines = len(block) + edits.added

    def __len__(self) -> int:
        return self._lines

    @property
    def chains(self) -> int:
        """How many chains begin in the clean block."""
        return self._block.chains

    @property
    def last(self) -> datetime:
        """Time of the last clean event."""
        return EPOCH + timedelta(microseconds=self._last)

    @property
    def due(self) -> Integers:
        """When the lines are to be sent, microseconds since the Unix epoch."""
        return self._spliced(self._block.table.time, self._edits.dues)

    @property
    def emitters(self) -> Integers:
        """The emitter of each line: indices in the plan."""
        return self._spliced(self._block.table.emitter, self._edits.emitters)

    @property
    def buffer(self) -> bytes:
        """All lines; those that faults replaced may be neither JSON nor UTF-8."""
        text, (starts, ends) = self._block.buffer, self._block.spans()
        begins = np.append(starts, len(text)).take(self._edits.rows)
        ends = np.where(self._edits.replaces, np.append(ends, len(text)).take(self._edits.rows), begins)
        pieces: list[bytes | memoryview] = [b""] * (2 * begins.size + 1)
        gaps = zip([0, *ends.tolist()], [*begins.tolist(), len(text)], strict=True)
        pieces[0::2] = [text[begin:end] for begin, end in gaps]
        pieces[1::2] = [line or b"" for line in self._edits.texts]
        return b"".join(pieces)

    def lines(self) -> list[bytes]:
        """Without their newlines."""
        return self.buffer.split(b"\n")[:-1]

    def records(self, topics: Sequence[str]) -> Iterator[list[ProducerRecord]]:
        """The lines as Kafka records, each with the key of its event; a tombstone has no value.

        Args:
            topics: by emitter.
        """
        if not self._edits.texts:
            yield from self._block.records(topics)
            return
        clean = list(chain.from_iterable(self._block.records(topics)))
        records: list[ProducerRecord] = []
        next_row = 0
        rows, replaces, texts, emitters, times, _ = self._edits
        columns = (rows.tolist(), replaces.tolist(), texts, emitters.tolist(), times.tolist())
        for row, replaced, text, emitter, time in zip(*columns, strict=True):
            records += clean[next_row:row]
            if text is not None:
                key = clean[row].key if replaced else self._key(text, emitter)
                value = None if text == TOMBSTONE else text[:-1]
                records.append(ProducerRecord(topics[emitter], key, value, max(time, 0) // 1000))
            next_row = row + replaced
        yield records + clean[next_row:]

    def columns_by_topic(self, topics: Sequence[str]) -> Mapping[str, Columns]:
        """The same records as columns."""
        if not self._edits.texts:
            return self._block.columns_by_topic(topics)
        return columns_by_topic(chain.from_iterable(self.records(topics)))

    def _key(self, text: bytes, emitter: int) -> bytes:
        """Of a line that was held, which is a whole event."""
        start = self._emitters[emitter].correlation_at
        return text[start : start + UUID_WIDTH]

    def _spliced(self, clean: Integers, edited: Integers) -> Integers:
        """A column of the lines, from that of the clean events and that of the edits."""
        if not self._edits.texts:
            return clean
        pieces, next_row = [], 0
        for number, (row, replaced, text) in enumerate(zip(*self._edits[:3], strict=True)):
            pieces += [clean[next_row:row], edited[number : number + (text is not None)]]
            next_row = row + replaced
        return np.concatenate([*pieces, clean[next_row:]])
