"""The places of a text that differ from event to event, each written as a column of texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.writing.sources import Numbers, Source
from eventbus.chains.writing.text import Rows, table

LARGEST_PRODUCT, LARGEST_TABLE = 2048, 1 << 20
"""Neighbouring slots become one while all combinations of their texts are at most so many, and so many bytes."""
LONGEST_NUMBER = 24
"""Bytes of a number in any format; in JSON: `-1.7976931348623157e+308`."""


@dataclass(frozen=True, slots=True)
class Column:
    """The texts of a slot for a group of events: event i shows the first `lengths[i]` bytes of `rows[index[i]]`."""

    rows: Rows
    index: Integers
    lengths: Integers


class Slot(Protocol):
    """Text for each event of a group."""

    @property
    def sources(self) -> Iterable[Source]:
        """The numbers it needs."""
        ...

    @property
    def width(self) -> int:
        """Bytes of its longest text."""
        ...

    def column(self, numbers: Numbers) -> Column: ...


class Factor(NamedTuple):
    """A value that varies: its number, and the text for each."""

    source: Source
    texts: tuple[bytes, ...]


class Listed:
    """A slot with few possible texts: a table of all combinations of its factors, made when first used."""

    def __init__(self, *factors: Factor) -> None:
        self._factors = factors

    def joined(self, other: Listed) -> Listed | None:
        """This slot and the one behind it as one; None when the table would be too large."""
        last, (first, *rest) = self._factors[-1], other._factors
        if last.source == first.source:
            texts = tuple(a + b for a, b in zip(last.texts, first.texts, strict=True))
            return Listed(*self._factors[:-1], Factor(last.source, texts), *rest)
        size = self._size * other._size
        fits = size <= LARGEST_PRODUCT and size * (self.width + other.width) <= LARGEST_TABLE
        return Listed(*self._factors, first, *rest) if fits else None

    @property
    def sources(self) -> Iterable[Source]:
        return [factor.source for factor in self._factors]

    @property
    def width(self) -> int:
        return sum(max(map(len, factor.texts)) for factor in self._factors)

    def column(self, numbers: Numbers) -> Column:
        first, *others = self._factors
        index = numbers[first.source]
        for factor in others:
            index = index * factor.source.count
            index += numbers[factor.source]
        rows, lengths = self._table
        return Column(rows, index, lengths.take(index))

    @property
    def _size(self) -> int:
        return int(np.prod([len(factor.texts) for factor in self._factors]))

    @cached_property
    def _table(self) -> tuple[Rows, Integers]:
        texts = list(map(b"".join, product(*(factor.texts for factor in self._factors))))
        return table(texts), np.array(list(map(len, texts)), np.int64)


class Encoder(Protocol):
    """How values become bytes in a format."""

    def text(self, value: Any) -> bytes:
        """Of one value."""
        ...

    def texts(self, numbers: Any) -> list[bytes]:
        """Of an array of numbers."""
        ...

    def column(self, numbers: Any) -> Column:
        """The same, for very many."""
        ...


class Numeral:
    """A slot with very many possible numbers: those of all events are encoded in one go.

    Args:
        value: from the source's numbers to the values shown.
    """

    def __init__(self, source: Source, value: Callable[[Integers], Any], encoder: Encoder) -> None:
        self._source = source
        self._value = value
        self._encoder = encoder

    @property
    def sources(self) -> Iterable[Source]:
        return [self._source]

    @property
    def width(self) -> int:
        return LONGEST_NUMBER

    def column(self, numbers: Numbers) -> Column:
        return self._encoder.column(self._value(numbers[self._source]))


def merged(slots: list[Slot]) -> tuple[Slot, ...]:
    """The same text with fewer slots."""
    fewer: list[Slot] = []
    for slot in slots:
        last = fewer[-1] if fewer else None
        joined = last.joined(slot) if isinstance(last, Listed) and isinstance(slot, Listed) else None
        if joined:
            fewer[-1] = joined
        else:
            fewer.append(slot)
    return tuple(fewer)
