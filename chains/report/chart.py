"""One kind of chart: bars over an axis, with an optional stepped target line, laid out for the template `chart.svg`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LEFT, RIGHT, TOP, BOTTOM = 40.0, 12.0, 30.0, 42.0
"""Margins around the bars, in pixels; the left one grows with the labels of the vertical axis."""
LETTER_WIDTH = 7.0
"""Upper bound for the width of a letter in a label, in pixels."""
TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
"""Seconds between the labels of a time axis; longer steps are whole days."""
TIME_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
"""Seconds in each unit."""


def duration(seconds: float) -> str:
    """Formats a duration: `250 µs`, `20 ms`, `5 s`, `1.5 min`, `2 h`, `3 d`."""
    for size, unit in TIME_UNITS:
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return "0"


def number(value: float) -> str:
    """Formats a number: `0.25`, `12.5`, `1,200`, `25 M`."""
    if abs(value) >= 1e7:
        return f"{_digits(value / 1e6)} M"
    return f"{value:,.0f}" if abs(value) >= 100 else _digits(value)


def share(part: float, whole: float) -> str:
    """Formats a percentage: `12.3 %`, or `–` if the whole is 0."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def ticks(highest: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to one that is not below `highest`, about `count` of them."""
    if highest <= 0:
        return [0.0, 1.0]
    raw = highest / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [round(step * index, 10) for index in range(math.ceil(highest / step - 1e-9) + 1)]


def time_ticks(seconds: float, count: int = 8) -> list[tuple[float, str]]:
    """Positions from 0 to `seconds` with their labels, all in one unit."""
    raw = max(seconds, 1e-9) / count
    step: float = next((step for step in TIME_STEPS if step >= raw), 86_400 * math.ceil(raw / 86_400))
    if seconds < 2:
        step = ticks(seconds)[1]
    size, unit = next((size, unit) for size, unit in TIME_UNITS if step >= size)
    positions = [step * index for index in range(int(seconds / step + 1e-9) + 1)]
    return [(position, f"{_digits(position / size)} {unit}" if position else "0") for position in positions]


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


class Bar(NamedTuple):
    """A value counted between two positions of the horizontal axis."""

    begin: float
    end: float
    value: float
    label: str
    """Tooltip."""
    target: float | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars with labelled axes, independent of a size."""

    title: str
    """Text equivalent for screen readers."""
    up: str
    """Label of the vertical axis."""
    across: str
    """Label of the horizontal axis."""
    bars: Sequence[Bar]
    marks: Sequence[tuple[float, str]]
    """Positions and labels on the horizontal axis."""
    tone: str = "bar"
    """CSS class of the bars."""
    span: tuple[float, float] | None = None
    """Range of the horizontal axis; by default that of the bars."""

    @property
    def has_target(self) -> bool:
        """Whether any bar has a target."""
        return any(bar.target is not None for bar in self.bars)


class GridLine(NamedTuple):
    y: float
    label: str
    is_axis: bool


class BarShape(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    label: str


class AxisLabel(NamedTuple):
    x: float
    text: str
    is_last: bool
    """Anchored at its end, since it would leave the drawing otherwise."""


class Drawing:
    """A chart at a size: the coordinates of everything in it.

    Args:
        chart: what to draw.
        width: in pixels.
        height: in pixels.
    """

    def __init__(self, chart: Chart, width: float, height: float) -> None:
        self.chart = chart
        self.width = width
        self.height = height
        self.bottom = height - BOTTOM
        self.right = width - RIGHT
        highest = max((max(bar.value, bar.target or 0) for bar in chart.bars), default=0)
        self._ticks = ticks(highest, count=4 if height > 180 else 2)
        self.left = max(LEFT, 10 + LETTER_WIDTH * max(len(number(value)) for value in self._ticks))
        self._begin, self._end = chart.span or (chart.bars[0].begin, chart.bars[-1].end) if chart.bars else (0.0, 1.0)

    def grid_lines(self) -> Iterator[GridLine]:
        """The lines of the vertical axis, from the bottom up."""
        return (GridLine(self._y(value), number(value), not value) for value in self._ticks)

    def columns(self) -> Iterator[BarShape]:
        """The bars, each at least half a pixel wide."""
        for bar in self.chart.bars:
            left, right, top = self._x(bar.begin), self._x(bar.end), self._y(bar.value)
            gap = min((right - left) * 0.15, 2.0)
            yield BarShape(left + gap / 2, top, max(right - left - gap, 0.5), self.bottom - top, bar.label)

    def target_path(self) -> str:
        """The SVG path of the target line, interrupted where a bar has no target."""
        path, previous_end = [], None
        for bar in self.chart.bars:
            if bar.target is None:
                continue
            command = "L" if previous_end == bar.begin else "M"
            path.append(f"{command}{self._x(bar.begin):.1f} {self._y(bar.target):.1f}H{self._x(bar.end):.1f}")
            previous_end = bar.end
        return "".join(path)

    def axis_labels(self) -> Iterator[AxisLabel]:
        """The labels of the horizontal axis; those that would overlap the one before are left out."""
        free = 0.0
        for position, text in self.chart.marks:
            x, half = self._x(position), len(text) * LETTER_WIDTH / 2
            if self.left - 1 <= x <= self.right + 1 and x - half >= free:
                yield AxisLabel(x, text, x + half > self.width)
                free = x + half + 8

    def _x(self, position: float) -> float:
        return self.left + (self.right - self.left) * (position - self._begin) / ((self._end - self._begin) or 1)

    def _y(self, value: float) -> float:
        return self.bottom - (self.bottom - TOP) * value / self._ticks[-1]
