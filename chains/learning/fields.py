"""From the values of a payload field to the source that a catalog gives it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from eventbus.catalog.model import FieldType, PayloadField
from eventbus.chains.learning.fitting import repetitions
from eventbus.chains.learning.recording import Column, Floats, Kind, Kinds, Recording
from eventbus.chains.learning.traces import Flags, Walks
from eventbus.chains.randomness import Integers
from eventbus.chains.statistics import chi_square

# The values of one payload field in the chains that are learned, numbered so that arrays can compare them.


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


MOST_LISTED = 200
"""Values of a list in the file."""
MOST_CHOICES, LONGEST_CHOICES = 12, 80
"""Values, and characters of them, that stand at the field itself."""
FEW = 24
"""So few different numbers may be a choice rather than a range."""
CLASSES = 20
SAFE = 2.0**53
DECIMALS = 9
DURATION = ("ms", "elapsed", "duration", "latency", "took", "milliseconds")


def is_elapsed(sample: Sample) -> bool:
    """Whether it is the time since the causing event, whole milliseconds."""
    if sample.type != "integer":
        return False
    elapsed = sample.events.elapsed[sample.usable]
    values = sample.numbers
    if not values.size or (elapsed < 0).any() or np.mean(np.abs(values - elapsed // 1000) <= 1) < ALWAYS:
        return False
    return sample.distinct[0].size > 1 or any(word in sample.path[-1].lower() for word in DURATION)


def is_even(sample: Sample) -> bool:
    """Whether numbers are drawn evenly between the smallest and the largest of them, as far as one can see."""
    codes, counts = sample.distinct
    if sample.type not in {"integer", "number"} or codes.size < 2:
        return False
    low, high = float(sample.numbers.min()), float(sample.numbers.max())
    step = 10.0 ** -decimals(codes.view(np.float64))
    possible = round((high - low) / step) + 1
    if codes.size < min(possible, FEW) and sample.numbers.size > 2 * codes.size:  # few values that come again and again
        return False
    if sample.numbers.size < 5 * min(possible, CLASSES):
        return codes.size > FEW
    values = np.round((codes.view(np.float64) - low) / step)
    classes = min(possible, CLASSES)
    observed = np.bincount((values * classes / possible).astype(np.int64).clip(0, classes - 1), counts, classes)
    edges = np.ceil(np.arange(classes + 1) * possible / classes)
    expected = np.diff(edges) * counts.sum() / possible
    return chi_square(observed.tolist(), expected.tolist()) > SMALLEST


def drawn(sample: Sample) -> PayloadField:
    """Numbers between bounds; the bounds are those that were seen."""
    values = sample.numbers
    places = decimals(sample.distinct[0].view(np.float64)) if sample.type == "number" else 0
    low, high = (max(-SAFE, min(SAFE, float(bound))) for bound in (values.min(), values.max()))
    whole = sample.type == "integer"
    return PayloadField(
        name=sample.path[-1],
        type=sample.type,
        minimum=int(low) if whole else low,
        maximum=int(high) if whole else high,
        decimals=places,
    )


def decimals(values: Floats) -> int:
    """Digits behind the point."""
    some = values[:: -(-values.size // 2000)] if values.size else values
    for digits in range(DECIMALS):
        scaled = some * 10.0**digits
        if np.all(np.abs(scaled - np.round(scaled)) <= 1e-6 * np.maximum(1.0, np.abs(scaled) * 1e-6)):
            return digits
    return DECIMALS


def listed(values: Sequence[Any], counts: Sequence[int]) -> tuple[Any, ...]:
    """Values in order, repeated so that their shares show; of too many the most frequent."""
    pairs = sorted(zip(values, counts, strict=True), key=lambda pair: (-pair[1], order(pair[0])))[:MOST_LISTED]
    pairs.sort(key=lambda pair: order(pair[0]))
    times = repetitions([count for _, count in pairs])
    return tuple(value for (value, _), copies in zip(pairs, times, strict=True) for _ in range(copies))


def order(value: Any) -> tuple[int, float, str]:
    """Sorts numbers by size and all else by text."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return 0, value, ""
    return 1, 0.0, str(value)


def known(sample: Sample, codes: Integers, counts: Integers) -> tuple[list[Any], list[int]]:
    """The values that are still known, and how often each came."""
    pairs = [(sample.value(code), count) for code, count in zip(codes.tolist(), counts.tolist(), strict=True)]
    sound = [(value, count) for value, count in pairs if value is not ... and isinstance(value, _python[sample.type])]
    return [value for value, _ in sound], [count for _, count in sound]


_python: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


def fits_in_line(values: Sequence[Any]) -> bool:
    """Whether values may stand at the field itself."""
    return len(set(map(str, values))) <= MOST_CHOICES and sum(len(str(value)) for value in values) <= LONGEST_CHOICES
