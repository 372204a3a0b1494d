"""The values of one payload field in the chains that are learned, numbered so that arrays can compare them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from eventbus.catalog.model.events import FieldType
from eventbus.chains.learning.columns import Column, Floats, Kind, Kinds
from eventbus.chains.learning.forest import Flags, Walks
from eventbus.chains.learning.recording import Recording
from eventbus.chains.randomness import Integers

RARE = 0.05
"""A field that fewer events have is left out."""
ALWAYS = 0.99
"""A field that so many have is required: in a stream with faults some lose it."""
SMALLEST = 1e-6
"""What chance makes with a smaller probability is taken for a rule."""


class Events(NamedTuple):
    """All learned events of one type, in the order of the recording."""

    type: str
    number: Integers
    """Of each event among all events of its type in the recording."""
    chain: Integers
    elapsed: Integers
    """Microseconds since the cause; -1 for the first of a chain."""


def events_by_type(recording: Recording, walks: Walks) -> Iterator[Events]:
    """The events of some walks."""
    elapsed = np.where(walks.first, -1, walks.time - np.roll(walks.time, 1))
    every = recording.column("type")
    for name, kind in recording.types.items():
        chosen = np.flatnonzero(walks.type == kind)
        if chosen.size:
            chosen = chosen[np.argsort(walks.rows[chosen])]
            number = np.searchsorted(np.flatnonzero(every == kind), walks.rows[chosen])
            yield Events(name, number, walks.chain[chosen], elapsed[chosen])


@dataclass(frozen=True)
class Sample:
    """One field of one event type."""

    events: Events
    path: tuple[str, ...]
    column: Column
    codes: Integers
    kinds: Kinds

    @classmethod
    def of(cls, events: Events, path: tuple[str, ...], column: Column, size: int) -> Sample:
        """Of a column of so many events."""
        return cls(events, path, column, column.codes(size)[events.number], column.kinds(size)[events.number])

    @cached_property
    def counts(self) -> dict[Kind, int]:
        """How many values are of each kind."""
        found = np.bincount(self.kinds, minlength=len(Kind)).tolist()
        return {kind: found[kind] for kind in Kind}

    @cached_property
    def type(self) -> FieldType:
        """Of most values."""
        totals: dict[FieldType, int] = {
            "string": self.counts[Kind.TEXT],
            "boolean": self.counts[Kind.BOOLEAN],
            "number": self.counts[Kind.INTEGER] + self.counts[Kind.NUMBER],
            "array": self.counts[Kind.OTHER],
        }
        most = max(totals, key=lambda kind: totals[kind])
        if most == "number" and self.counts[Kind.NUMBER] <= (1 - ALWAYS) * totals["number"]:
            return "integer"
        if most == "array" and not any(isinstance(value, list) for value in self._values.values()):
            return "object"
        return most

    @cached_property
    def usable(self) -> Flags:
        """Whether a value is of that type."""
        if self.type in {"integer", "number"}:
            flags: Flags = (self.kinds == Kind.INTEGER) | (self.kinds == Kind.NUMBER) & (self.type == "number")
        else:
            flags = self.kinds == {"string": Kind.TEXT, "boolean": Kind.BOOLEAN}.get(self.type, Kind.OTHER)
        return flags

    @property
    def share(self) -> float:
        """Of the events that have a usable value."""
        return float(self.usable.mean())

    @cached_property
    def distinct(self) -> tuple[Integers, Integers]:
        """The codes of all usable values, each once, and how often each occurs."""
        codes, counts = np.unique(self.codes[self.usable], return_counts=True)
        return codes, counts

    @cached_property
    def numbers(self) -> Floats:
        """The usable values of a field of numbers."""
        return self.codes[self.usable].view(np.float64)

    def value(self, code: int) -> Any:
        """The value that a code stands for; `...` if it is not known any more."""
        if self.type in {"integer", "number"}:
            number = float(np.int64(code).view(np.float64))
            return int(number) if self.type == "integer" else number
        return self._values.get(code, ...)

    @cached_property
    def _values(self) -> dict[int, Any]:
        return self.column.values


def by_chance(size: int, codes: Integers) -> bool:
    """Whether so many agreements can well be chance, given how often each value occurs."""
    shares = np.unique(codes, return_counts=True)[1] / max(codes.size, 1)
    return bool(size * np.log(float((shares**2).sum()) or 1.0) > np.log(SMALLEST))
