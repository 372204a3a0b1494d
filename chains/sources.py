"""Where the numbers behind a payload's values come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from chains.randomness import Integers, Words, below, draw


class Facts(NamedTuple):
    """What the payloads of a group of events may depend on."""

    keys: Words
    """Of the chains."""
    step: Integers
    delay: Integers
    """Microseconds since the causing event."""

    def take(self, rows: Integers) -> Facts:
        return Facts(self.keys.take(rows), self.step.take(rows), self.delay.take(rows))


class Source(Protocol):
    """A number for each event; equal sources give the same number in the same event."""

    @property
    def count(self) -> int:
        """Numbers are from 0 to `count` - 1."""
        ...

    def numbers(self, facts: Facts) -> Integers: ...


@dataclass(frozen=True)
class Drawn:
    """A random number: one for the whole chain, or a new one at each step."""

    purpose: int
    count: int
    each_step: bool

    def numbers(self, facts: Facts) -> Integers:
        return below(draw(facts.keys, self.purpose, facts.step if self.each_step else 0), self.count)


@dataclass(frozen=True)
class Elapsed:
    """Whole milliseconds since the causing event."""

    count: int

    def numbers(self, facts: Facts) -> Integers:
        return facts.delay // 1000


@dataclass(frozen=True)
class Constant:
    """Always 0."""

    count: int = 1

    def numbers(self, facts: Facts) -> Integers:
        return np.zeros(facts.step.size, np.int64)
