"""Where the numbers behind a payload's values come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chains.randomness import Integers, Words, below, draw_each


class Facts(NamedTuple):
    """What the payloads of a group of events may depend on."""

    keys: Words
    """Of the chains."""
    step: Integers
    delay: Integers
    """Microseconds since the causing event."""
    item: Integers

    def take(self, rows: Integers) -> Facts:
        return Facts(self.keys.take(rows), self.step.take(rows), self.delay.take(rows), self.item.take(rows))

    def part(self, begin: int, end: int) -> Facts:
        return Facts(self.keys[begin:end], self.step[begin:end], self.delay[begin:end], self.item[begin:end])


@dataclass(frozen=True, slots=True)
class Drawn:
    """A random number from 0 to `count` - 1: one for the whole chain, or a new one at each step."""

    purpose: int
    count: int
    each_step: bool


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Whole milliseconds since the causing event, `count` - 1 at most."""

    count: int


@dataclass(frozen=True, slots=True)
class Item:
    """What the event is about (see `EventTable.item`), from 0 to `count` - 1."""

    count: int


@dataclass(frozen=True, slots=True)
class Constant:
    """Always 0."""

    count: int = 1


Source = Drawn | Elapsed | Item | Constant
"""Equal sources give the same number in the same event."""

Numbers = Mapping[Source, Integers]
"""A number for each event of a group, by source."""


class Sources:
    """All sources of one emitter. They are drawn together: the calls, not the numbers, are what takes the time."""

    def __init__(self, sources: Iterable[Source]) -> None:
        every = tuple(dict.fromkeys(sources))
        self._others = [source for source in every if not isinstance(source, Drawn)]
        self._drawn = [source for source in every if isinstance(source, Drawn)]
        self._purposes = _column([source.purpose for source in self._drawn])
        self._counts = _column([source.count for source in self._drawn])
        self._each_step = _column([source.each_step for source in self._drawn])

    def numbers(self, facts: Facts) -> Numbers:
        """The numbers of a group of events."""
        words = draw_each(facts.keys, self._purposes, facts.step.view(np.uint64) * self._each_step)
        numbers: dict[Source, Integers] = {source: _number(source, facts) for source in self._others}
        numbers.update(zip(self._drawn, below(words, self._counts), strict=True))
        return numbers


def _column(numbers: list[int]) -> Words:
    return np.array(numbers, np.uint64).reshape(-1, 1)


def _number(source: Source, facts: Facts) -> Integers:
    match source:
        case Elapsed():
            return facts.delay // 1000
        case Item():
            return facts.item
        case _:
            return np.zeros(facts.step.size, np.int64)
