"""A block's lines with other texts between and instead of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.block import EPOCH, Block
from eventbus.chains.rendering.columns import UUID_WIDTH
from eventbus.record import ProducerRecord

# What comes between and instead of a block's lines, as columns.


class Edits(NamedTuple):
    """Texts that come before a row of a block, or instead of it."""

    rows: Integers
    replaces: Integers
    """1: the row is gone; 0: it comes next."""
    texts: list[bytes | None]
    """With newlines; None: nothing comes."""
    kinds: Integers
    """Emitters of the events that they were, or are."""
    times: Integers
    """In the texts, microseconds since the Unix epoch."""
    dues: Integers
    """When they come."""

    @classmethod
    def joined(cls, parts: Sequence[Edits]) -> Edits:
        """All of them, those before the same row in the same order, and before what comes instead of it."""
        texts = [text for part in parts for text in part.texts]
        if not texts:
            return NONE
        rows, replaces, _, *others = (_joined(column) for column in zip(*parts, strict=True))
        order = (rows * 2 + replaces).argsort(kind="stable")
        columns: list[Any] = [column.take(order) for column in others]
        return cls(rows.take(order), replaces.take(order), [texts[place] for place in order.tolist()], *columns)

    @property
    def lines(self) -> int:
        """How many more lines there are."""
        return len(self.texts) - self.texts.count(None) - int(self.replaces.sum())


def _joined(columns: tuple[Any, ...]) -> Any:
    return columns if isinstance(columns[0], list) else np.concatenate(columns)


_nothing = np.empty(0, np.int64)
NONE = Edits(_nothing, _nothing, [], _nothing, _nothing, _nothing)


TOMBSTONE = b"null\n"


class FaultyBlock:
    """Lines as they leave the stage: some of the events changed, gone, come again, or come at another time.

    The memory is that of the clean block: consume one before asking for another, or copy.

    Args:
        block: the clean events.
        cuts: what differs.
        places: of the emitters.
        last: time of the last clean event so far, microseconds since the Unix epoch.
    """

    __slots__ = ("_block", "_cuts", "_last", "_lines", "_places")

    def __init__(self, block: Block, cuts: Edits, places: Sequence[EmitterInfo], last: int) -> None:
        self._block = block
        self._cuts = cuts
        self._places = places
        self._last = last
        self._lines = len(block) + cuts.lines

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
        """When the lines come, microseconds since the Unix epoch."""
        return self._spliced(self._block.table.time, self._cuts.dues)

    @property
    def emitters(self) -> Integers:
        """Indices of the lines' emitters in the plan."""
        return self._spliced(self._block.table.emitter, self._cuts.kinds)

    @property
    def buffer(self) -> bytes:
        """All lines; a few of them may be no JSON and no text."""
        text, (starts, ends) = self._block.buffer, self._block.spans()
        begins = np.append(starts, len(text)).take(self._cuts.rows)
        ends = np.where(self._cuts.replaces, np.append(ends, len(text)).take(self._cuts.rows), begins)
        pieces: list[bytes | memoryview] = [b""] * (2 * begins.size + 1)
        gaps = zip([0, *ends.tolist()], [*begins.tolist(), len(text)], strict=True)
        pieces[0::2] = [text[begin:end] for begin, end in gaps]
        pieces[1::2] = [other or b"" for other in self._cuts.texts]
        return b"".join(pieces)

    def lines(self) -> list[bytes]:
        """Without their newlines."""
        return self.buffer.split(b"\n")[:-1]

    def records(self, topics: Sequence[str]) -> Iterator[list[ProducerRecord]]:
        """The lines as Kafka records: a struck one has the key that its event had; a tombstone has no value.

        Args:
            topics: by emitter.
        """
        if not self._cuts.texts:
            yield from self._block.records(topics)
            return
        clean = list(chain.from_iterable(self._block.records(topics)))
        records: list[ProducerRecord] = []
        done = 0
        rows, replaces, texts, kinds, times, _ = self._cuts
        columns = (rows.tolist(), replaces.tolist(), texts, kinds.tolist(), times.tolist())
        for row, instead, text, kind, time in zip(*columns, strict=True):
            records += clean[done:row]
            if text is not None:
                key = clean[row].key if instead else self._key(text, kind)
                records.append(ProducerRecord(topics[kind], key, _value(text), max(time, 0) // 1000))
            done = row + instead
        yield records + clean[done:]

    def _key(self, text: bytes, kind: int) -> bytes:
        """Of a text that was held, which is an event as it was, or with another payload."""
        begin = self._places[kind].correlation_at
        return text[begin : begin + UUID_WIDTH]

    def _spliced(self, clean: Integers, others: Integers) -> Integers:
        """A column of the lines.

        Args:
            clean: of the clean events.
            others: of the cuts.
        """
        if not self._cuts.texts:
            return clean
        pieces, done = [], 0
        for place, (row, instead, text) in enumerate(zip(*self._cuts[:3], strict=True)):
            pieces += [clean[done:row], others[place : place + (text is not None)]]
            done = row + instead
        return np.concatenate([*pieces, clean[done:]])


def _value(text: bytes) -> bytes | None:
    return None if text == TOMBSTONE else text[:-1]
