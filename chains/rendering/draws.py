"""Where the numbers behind a payload's values come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from eventbus.chains.randomness import Integers, Words, below, chain_keys, draw, draw_each, fraction


class EventContext(NamedTuple):
    """What the payloads of a group of events may depend on."""

    keys: Words
    """Of the chains."""
    step: Integers
    delay: Integers
    """Microseconds since the causing event."""
    item: Integers

    def take(self, rows: Integers) -> EventContext:
        return EventContext(self.keys.take(rows), self.step.take(rows), self.delay.take(rows), self.item.take(rows))

    def part(self, begin: int, end: int) -> EventContext:
        return EventContext(self.keys[begin:end], self.step[begin:end], self.delay[begin:end], self.item[begin:end])


@dataclass(frozen=True, slots=True)
class UniformDraw:
    """A random number from 0 to `count` - 1: one for the whole chain, or a new one at each step."""

    purpose: int
    count: int
    each_step: bool


@dataclass(frozen=True, slots=True)
class ElapsedDraw:
    """Whole milliseconds since the causing event, `count` - 1 at most."""

    count: int


@dataclass(frozen=True, slots=True)
class ItemDraw:
    """What the event is about (see `EventTable.attributes`), or some bits of it; from 0 to `count` - 1."""

    count: int
    shift: int = 0
    bits: int = 63


@dataclass(frozen=True, slots=True)
class ZipfDraw:
    """A random number for the whole chain: 1 is drawn half as often as 0, 2 a third as often, and so on."""

    purpose: int
    count: int


@dataclass(frozen=True, slots=True)
class KeyedDraw:
    """A random number from 0 to `count` - 1 that belongs to another number, in whatever chain or run."""

    owner: Draw
    purpose: int
    count: int


@dataclass(frozen=True, slots=True)
class FallbackDraw:
    """1 more than some bits of the item say, or where these are 0, what another source says; moved behind that."""

    item: ItemDraw
    otherwise: Draw

    @property
    def count(self) -> int:
        return self.otherwise.count + self.item.count - 1


@dataclass(frozen=True, slots=True)
class NoDraw:
    """Always 0."""

    count: int = 1


Draw = UniformDraw | ZipfDraw | KeyedDraw | ElapsedDraw | ItemDraw | FallbackDraw | NoDraw
"""Equal sources give the same number in the same event."""

Numbers = Mapping[Draw, Integers]
"""A number for each event of a group, by source."""


class EmitterDraws:
    """All sources of one emitter. They are drawn together: the calls, not the numbers, are what takes the time."""

    def __init__(self, sources: Iterable[Draw]) -> None:
        every = tuple(dict.fromkeys(part for source in sources for part in _parts(source)))
        self._others = [source for source in every if not isinstance(source, UniformDraw)]
        self._drawn = [source for source in every if isinstance(source, UniformDraw)]
        self._purposes = _column([source.purpose for source in self._drawn])
        self._counts = _column([source.count for source in self._drawn])
        self._each_step = _column([source.each_step for source in self._drawn])

    def numbers(self, facts: EventContext) -> Numbers:
        """The numbers of a group of events."""
        words = draw_each(facts.keys, self._purposes, facts.step.view(np.uint64) * self._each_step)
        numbers: dict[Draw, Integers] = dict(zip(self._drawn, below(words, self._counts), strict=True))
        for source in self._others:
            numbers[source] = _number(source, facts, numbers)
        return numbers


def _column(numbers: list[int]) -> Words:
    return np.array(numbers, np.uint64).reshape(-1, 1)


def _parts(source: Draw) -> tuple[Draw, ...]:
    """What has to be known before a source, and the source."""
    match source:
        case KeyedDraw():
            return source.owner, source
        case FallbackDraw():
            return source.item, source.otherwise, source
        case _:
            return (source,)


def _number(source: Draw, facts: EventContext, known: Numbers) -> Integers:
    match source:
        case ElapsedDraw():
            return facts.delay // 1000
        case ItemDraw():
            return (
                facts.item >> source.shift & (1 << source.bits) - 1 if source.shift or source.bits < 63 else facts.item
            )
        case ZipfDraw():
            return _zipf(source.count).searchsorted(fraction(draw(facts.keys, source.purpose)), side="right")
        case KeyedDraw():
            words = chain_keys(source.purpose, known[source.owner])
            return below(words.reshape(1, -1), _column([source.count])).reshape(-1)
        case FallbackDraw():
            before = known[source.item]
            return np.where(before > 0, before + (source.otherwise.count - 1), known[source.otherwise])
        case _:
            return np.zeros(facts.step.size, np.int64)


@cache
def _zipf(count: int) -> Words:
    """Upper edges, in 2^32 parts, of shares of 1, 1/2, 1/3, … of a whole."""
    reached = (1.0 / np.arange(1, count + 1)).cumsum()
    edges: Words = np.rint(reached / reached[-1] * (1 << 32)).astype(np.uint64)
    return edges
