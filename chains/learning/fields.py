"""The values of one payload field over all learned chains, and the source that a catalog gives the field."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from eventbus.catalog.model import FieldType
from eventbus.catalog.sources import NumberRange
from eventbus.chains.learning.fitting import repetitions
from eventbus.chains.learning.recording import Column, Floats, Kind, Kinds, Recording
from eventbus.chains.learning.traces import Flags, Walks
from eventbus.chains.randomness import Integers
from eventbus.chains.statistics import chi_square

MIN_SHARE = 0.05
"""A field is left out if a smaller share of the events has it."""
REQUIRED_SHARE = 0.99
"""A field is required if this share of the events has it; faults may have removed it from the others."""
SIGNIFICANCE = 1e-6
"""Significance level below which a coincidence is treated as a dependency."""


class Events(NamedTuple):
    """All learned events of one type, in the order of the recording."""

    type: str
    number: Integers
    """Index of each event among all events of its type in the recording."""
    chain: Integers
    elapsed: Integers
    """Microseconds since the causing event; -1 for the first event of a chain."""


def events_by_type(recording: Recording, walks: Walks) -> Iterator[Events]:
    """Groups the events of walks by type."""
    elapsed = np.where(walks.first, -1, walks.time - np.roll(walks.time, 1))
    recorded_types = recording.column("type")
    for name, type_id in recording.types.items():
        rows = np.flatnonzero(walks.type == type_id)
        if rows.size:
            rows = rows[np.argsort(walks.rows[rows])]
            number = np.searchsorted(np.flatnonzero(recorded_types == type_id), walks.rows[rows])
            yield Events(name, number, walks.chain[rows], elapsed[rows])


@dataclass(frozen=True)
class FieldSample:
    """The values of one field of one event type."""

    events: Events
    path: tuple[str, ...]
    column: Column
    codes: Integers
    kinds: Kinds

    @classmethod
    def of(cls, events: Events, path: tuple[str, ...], column: Column, size: int) -> FieldSample:
        """Selects the values of events from a column with `size` values."""
        return cls(events, path, column, column.codes(size)[events.number], column.kinds(size)[events.number])

    @cached_property
    def counts(self) -> dict[Kind, int]:
        """Number of values of each kind."""
        counts = np.bincount(self.kinds, minlength=len(Kind)).tolist()
        return {kind: counts[kind] for kind in Kind}

    @cached_property
    def type(self) -> FieldType:
        """The JSON type of most values."""
        totals: dict[FieldType, int] = {
            "string": self.counts[Kind.TEXT],
            "boolean": self.counts[Kind.BOOLEAN],
            "number": self.counts[Kind.INTEGER] + self.counts[Kind.NUMBER],
            "array": self.counts[Kind.OTHER],
        }
        most = max(totals, key=lambda kind: totals[kind])
        if most == "number" and self.counts[Kind.NUMBER] <= (1 - REQUIRED_SHARE) * totals["number"]:
            return "integer"
        if most == "array" and not any(isinstance(value, list) for value in self._values.values()):
            return "object"
        return most

    @cached_property
    def usable(self) -> Flags:
        """Marks the values of that type."""
        if self.type in {"integer", "number"}:
            flags: Flags = (self.kinds == Kind.INTEGER) | (self.kinds == Kind.NUMBER) & (self.type == "number")
        else:
            flags = self.kinds == {"string": Kind.TEXT, "boolean": Kind.BOOLEAN}.get(self.type, Kind.OTHER)
        return flags

    @property
    def share(self) -> float:
        """Share of the events that have a usable value."""
        return float(self.usable.mean())

    @cached_property
    def distinct(self) -> tuple[Integers, Integers]:
        """The codes of the distinct usable values, and how often each occurs."""
        codes, counts = np.unique(self.codes[self.usable], return_counts=True)
        return codes, counts

    @cached_property
    def numbers(self) -> Floats:
        """The usable values of a numeric field."""
        return self.codes[self.usable].view(np.float64)

    def value(self, code: int) -> Any:
        """The value of a code; `...` if the recording did not keep it."""
        if self.type in {"integer", "number"}:
            number = float(np.int64(code).view(np.float64))
            return int(number) if self.type == "integer" else number
        return self._values.get(code, ...)

    @cached_property
    def _values(self) -> dict[int, Any]:
        return self.column.values


def is_coincidence(size: int, codes: Integers) -> bool:
    """Whether `size` agreements may be chance, given how often each value occurs."""
    shares = np.unique(codes, return_counts=True)[1] / max(codes.size, 1)
    return bool(size * np.log(float((shares**2).sum()) or 1.0) > np.log(SIGNIFICANCE))


MAX_LISTED = 200
"""Values of a list in the catalog."""
MAX_CHOICES, MAX_CHOICES_LENGTH = 12, 80
"""Values, and characters of all of them, that stand at the field itself instead of in a list."""
MAX_NUMERIC_CHOICES = 24
"""Distinct numbers that may be choices rather than a range."""
CLASSES = 20
"""Classes of the chi-square test for uniformity."""
SAFE = 2.0**53
"""Largest bound; doubles hold every integer up to it."""
MAX_DECIMALS = 9
DURATION_WORDS = ("ms", "elapsed", "duration", "latency", "took", "milliseconds")


def is_elapsed(sample: FieldSample) -> bool:
    """Whether the field is the time since the causing event, in whole milliseconds."""
    if sample.type != "integer":
        return False
    elapsed = sample.events.elapsed[sample.usable]
    values = sample.numbers
    if not values.size or (elapsed < 0).any() or np.mean(np.abs(values - elapsed // 1000) <= 1) < REQUIRED_SHARE:
        return False
    return sample.distinct[0].size > 1 or any(word in sample.path[-1].lower() for word in DURATION_WORDS)


def is_uniform(sample: FieldSample) -> bool:
    """Whether the numbers look uniformly distributed between the smallest and the largest of them."""
    codes, counts = sample.distinct
    if sample.type not in {"integer", "number"} or codes.size < 2:
        return False
    low, high = float(sample.numbers.min()), float(sample.numbers.max())
    step = 10.0 ** -decimals(codes.view(np.float64))
    possible = round((high - low) / step) + 1
    if (
        codes.size < min(possible, MAX_NUMERIC_CHOICES) and sample.numbers.size > 2 * codes.size
    ):  # few values that recur
        return False
    if sample.numbers.size < 5 * min(possible, CLASSES):
        return codes.size > MAX_NUMERIC_CHOICES
    values = np.round((codes.view(np.float64) - low) / step)
    classes = min(possible, CLASSES)
    observed = np.bincount((values * classes / possible).astype(np.int64).clip(0, classes - 1), counts, classes)
    edges = np.ceil(np.arange(classes + 1) * possible / classes)
    expected = np.diff(edges) * counts.sum() / possible
    return chi_square(observed.tolist(), expected.tolist()) > SIGNIFICANCE


def number_range(sample: FieldSample) -> NumberRange:
    """Numbers between the smallest and the largest recorded one."""
    values = sample.numbers
    places = decimals(sample.distinct[0].view(np.float64)) if sample.type == "number" else 0
    low, high = (max(-SAFE, min(SAFE, float(bound))) for bound in (values.min(), values.max()))
    whole = sample.type == "integer"
    return NumberRange(int(low) if whole else low, int(high) if whole else high, places)


def decimals(values: Floats) -> int:
    """Number of decimals, judged by up to 2,000 of the values."""
    sample = values[:: -(-values.size // 2000)] if values.size else values
    for digits in range(MAX_DECIMALS):
        scaled = sample * 10.0**digits
        if np.all(np.abs(scaled - np.round(scaled)) <= 1e-6 * np.maximum(1.0, np.abs(scaled) * 1e-6)):
            return digits
    return MAX_DECIMALS


def as_list(values: Sequence[Any], counts: Sequence[int]) -> tuple[Any, ...]:
    """Sorts values and repeats them in proportion to their counts; keeps the most frequent if there are too many."""
    pairs = sorted(zip(values, counts, strict=True), key=lambda pair: (-pair[1], sort_key(pair[0])))[:MAX_LISTED]
    pairs.sort(key=lambda pair: sort_key(pair[0]))
    copies = repetitions([count for _, count in pairs])
    return tuple(value for (value, _), size in zip(pairs, copies, strict=True) for _ in range(size))


def sort_key(value: Any) -> tuple[int, float, str]:
    """Sort key: numbers by size, everything else by its text."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return 0, value, ""
    return 1, 0.0, str(value)


def known_values(sample: FieldSample, codes: Integers, counts: Integers) -> tuple[list[Any], list[int]]:
    """The values that the recording kept, and how often each occurs."""
    pairs = [(sample.value(code), count) for code, count in zip(codes.tolist(), counts.tolist(), strict=True)]
    kept = [
        (value, count) for value, count in pairs if value is not ... and isinstance(value, _PYTHON_TYPES[sample.type])
    ]
    return [value for value, _ in kept], [count for _, count in kept]


_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


def fits_in_line(values: Sequence[Any]) -> bool:
    """Whether values are few and short enough to stand at the field itself."""
    return len(set(map(str, values))) <= MAX_CHOICES and sum(len(str(value)) for value in values) <= MAX_CHOICES_LENGTH
