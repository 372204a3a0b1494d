"""Where the labels of an axis stand, and how numbers are written on it."""

from __future__ import annotations

import math

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds between labels on an axis of time; above, whole days."""
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
"""Seconds in each."""


def ticks(most: float, wanted: int = 4) -> list[float]:
    """Round numbers from 0 to one that is not below `most`, about as many as wanted."""
    if most <= 0:
        return [0.0, 1.0]
    raw = most / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [round(step * number, 10) for number in range(math.ceil(most / step - 1e-9) + 1)]


def time_ticks(seconds: float, wanted: int = 8) -> list[tuple[float, str]]:
    """Labelled seconds from 0 on."""
    raw = max(seconds, 1e-9) / wanted
    step: float = next((step for step in STEPS if step >= raw), 86_400 * math.ceil(raw / 86_400))
    if seconds < 2:
        step = ticks(seconds)[1]
    size, unit = next((size, unit) for size, unit in UNITS if step >= size)
    places = [step * number for number in range(int(seconds / step + 1e-9) + 1)]
    return [(place, f"{_digits(place / size)} {unit}" if place else "0") for place in places]


def duration(seconds: float) -> str:
    """`250 µs`, `20 ms`, `5 s`, `1.5 min`, `2 h`, `3 d`."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return "0"


def number(value: float) -> str:
    """`0.25`, `12.5`, `1,200`, `2.5 M`."""
    if abs(value) >= 1e7:
        return f"{_digits(value / 1e6)} M"
    return f"{value:,.0f}" if abs(value) >= 100 else _digits(value)


def share(part: float, whole: float) -> str:
    """`12.3 %`; `–` of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
