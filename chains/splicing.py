"""A block's lines with other texts between and instead of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from chains.block import EPOCH, Block
from chains.randomness import Integers
from chains.victims import Emission
from eventbus.record import ProducerRecord

TOMBSTONE = b"null\n"


class Cut(NamedTuple):
    """A text that comes before a row of a block, or what comes instead of the row."""

    row: int
    replaces: bool
    """The row is gone; else it comes next."""
    emission: Emission | None
    """None: nothing comes."""
    due: int
    """When it comes, microseconds since the Unix epoch."""


ROW_AND_REPLACES = itemgetter(0, 1)

cut = partial(tuple.__new__, Cut)
"""A cut from a tuple of its fields: half the time of a call with arguments."""


class FaultyBlock:
    """Lines as they leave the stage: some of the events changed, gone, come again, or come at another time.

    The memory is that of the clean block: consume one before asking for another, or copy.

    Args:
        block: the clean events.
        cuts: those that insert before the same row in the order in which they are to come.
        last: time of the last clean event so far, microseconds since the Unix epoch.
    """

    __slots__ = ("_block", "_cuts", "_last", "_lines")

    def __init__(self, block: Block, cuts: list[Cut], last: int) -> None:
        self._block = block
        self._cuts = sorted(cuts, key=ROW_AND_REPLACES)
        self._last = last
        gone, texts = (list(map(itemgetter(place), cuts)) for place in (1, 2))
        self._lines: int = len(block) - sum(gone) + len(texts) - texts.count(None)

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
        return self._spliced(self._block.table.time, [cut.due for cut in self._cuts])

    @property
    def kinds(self) -> Integers:
        """Indices of the lines' emitters in the plan."""
        return self._spliced(self._block.table.kind, [cut.emission.kind if cut.emission else 0 for cut in self._cuts])

    def _spliced(self, clean: Integers, others: list[int]) -> Integers:
        """A column of the lines.

        Args:
            clean: of the clean events.
            others: of the cuts.
        """
        pieces, done = [], 0
        for (row, replaces, emission, _), other in zip(self._cuts, others, strict=True):
            pieces += [clean[done:row], [other] if emission else []]
            done = row + replaces
        return np.concatenate([*pieces, clean[done:]]).astype(np.int64)

    @property
    def buffer(self) -> bytes:
        """All lines; a few of them may be no JSON and no text."""
        text, starts, ends = self._block.buffer, *self._spans()
        pieces: list[bytes | memoryview] = []
        done = 0
        for (_, replaces, emission, _), start, end in zip(self._cuts, starts, ends, strict=True):
            pieces.append(text[done:start])
            if emission is not None:
                pieces.append(emission[0])
            done = end if replaces else start
        pieces.append(text[done:])
        return b"".join(pieces)

    def lines(self) -> list[bytes]:
        """Without their newlines."""
        return self.buffer.split(b"\n")[:-1]

    def records(self, topics: Sequence[str]) -> Iterator[list[ProducerRecord]]:
        """The lines as Kafka records: a struck one has the key that its event had; a tombstone has no value.

        Args:
            topics: by emitter.
        """
        if not self._cuts:
            yield from self._block.records(topics)
            return
        clean = list(chain.from_iterable(self._block.records(topics)))
        records: list[ProducerRecord] = []
        done = 0
        for row, replaces, emission, _ in self._cuts:
            records += clean[done:row]
            if emission is not None:
                records.append(_record(emission, topics))
            done = row + replaces
        yield records + clean[done:]

    def _spans(self) -> tuple[list[int], list[int]]:
        """Where the row of each cut begins and ends; one behind the last row has the end of the text."""
        rows = [cut.row for cut in self._cuts]
        starts, ends = self._block.spans()
        size = ends[-1] if ends.size else 0
        return np.append(starts, size).take(rows).tolist(), np.append(ends, size).take(rows).tolist()


def _record(emission: Emission, topics: Sequence[str]) -> ProducerRecord:
    text, key, kind, time = emission
    return ProducerRecord(topics[kind], key, None if text == TOMBSTONE else text[:-1], max(time, 0) // 1000)
