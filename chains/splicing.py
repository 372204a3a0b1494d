"""Texts that come later than their place, and a block's lines with such texts between them."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from chains.block import Block
from chains.mutations import Emission
from chains.randomness import Integers


class Cut(NamedTuple):
    """Texts that come before a row of a block, or instead of it."""

    row: int
    texts: list[bytes]
    inserts: bool


class Held:
    """Texts that wait: for the first event later than a time, or for an event of some number in the clean stream."""

    def __init__(self) -> None:
        self._by_time: list[tuple[int, int, int, bytes]] = []
        self._by_number: list[tuple[int, int, int, bytes]] = []
        self._order = count()

    def add(self, emission: Emission, number: int) -> None:
        """Hold what a fault made of the event of this number."""
        if emission.places is not None:
            due = number + emission.places + 1
            heappush(self._by_number, (due, number, next(self._order), emission.text))
        else:
            heappush(self._by_time, (emission.time or 0, number, next(self._order), emission.text))

    def due(self, time: Integers, passed: int) -> Iterator[tuple[int, list[bytes]]]:
        """The texts that come within a block, each with the row before which it does; they are held no longer.

        Args:
            time: of the block's events.
            passed: events in the clean stream before the block.
        """
        while self._by_number and self._by_number[0][0] < passed + time.size:
            due, _, _, text = heappop(self._by_number)
            yield due - passed, [text]
        last = int(time[-1])
        while self._by_time and self._by_time[0][0] < last:
            due, _, _, text = heappop(self._by_time)
            yield int(time.searchsorted(due, side="right")), [text]

    def rest(self) -> list[bytes]:
        """All texts that are still held, at the end of the stream."""
        texts = [text for _, _, _, text in sorted(self._by_number) + sorted(self._by_time)]
        self._by_number, self._by_time = [], []
        return texts


def spliced(block: Block, cuts: list[Cut]) -> bytes:
    """A block's text with other texts between and instead of its lines.

    Args:
        cuts: those that insert before the same row in the order in which they are to come.
    """
    starts, ends = block.spans()
    pieces: list[bytes | memoryview] = []
    text, done = block.buffer, 0
    for row, texts, inserts in sorted(cuts, key=lambda cut: (cut.row, not cut.inserts)):
        pieces.append(text[done : int(starts[row])])
        pieces += texts
        done = int(starts[row] if inserts else ends[row])
    pieces.append(text[done:])
    return b"".join(pieces)
