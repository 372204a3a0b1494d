"""From the values of a payload field to the source that a catalog gives it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from eventbus.catalog.model.events import PayloadField
from eventbus.chains.learning.columns import Floats
from eventbus.chains.learning.rounding import repetitions
from eventbus.chains.learning.samples import ALWAYS, SMALLEST, Sample
from eventbus.chains.randomness import Integers
from eventbus.chains.verification.significance import chi_square

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
