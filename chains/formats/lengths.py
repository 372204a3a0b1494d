"""Lengths that stand before what they count, where that varies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.writing.payload import Part, Spot, constant
from eventbus.chains.writing.slots import Column, Slot
from eventbus.chains.writing.sources import Numbers, Source
from eventbus.chains.writing.text import Rows, table

Encode = Callable[[int], bytes]


def length(parts: Sequence[Part], encode: Encode) -> Part:
    """How many bytes parts have.

    Args:
        encode: a length in its format.
    """
    spots = tuple(part for part in parts if not isinstance(part, bytes))
    always = sum(len(part) for part in parts if isinstance(part, bytes))
    return Length(always, spots, encode) if spots else encode(always)


@dataclass(frozen=True)
class Length:
    """The length of constant text and of spots; a spot itself, and its slot."""

    always: int
    spots: tuple[Spot, ...]
    encode: Encode

    @property
    def sources(self) -> Iterable[Source]:
        return [source for spot in self.spots for source in spot.sources]

    @property
    def width(self) -> int:
        return len(self.encode(self._most))

    def lengths(self, numbers: Numbers) -> Integers:
        lengths: Integers = self._table[1].take(self._counted(numbers))
        return lengths

    def slots(self, after: bytes) -> list[Slot]:
        return [self, constant(after)]

    def column(self, numbers: Numbers) -> Column:
        rows, lengths = self._table
        counted = self._counted(numbers)
        return Column(rows, counted, lengths.take(counted))

    def _counted(self, numbers: Numbers) -> Integers:
        total = self.spots[0].lengths(numbers) + self.always
        for spot in self.spots[1:]:
            total += spot.lengths(numbers)
        return total

    @property
    def _most(self) -> int:
        return self.always + sum(spot.width for spot in self.spots)

    @cached_property
    def _table(self) -> tuple[Rows, Integers]:
        texts = [self.encode(number) for number in range(self._most + 1)]
        return table(texts), np.array(list(map(len, texts)), np.int64)
