"""One kind of chart serves all: bars over an axis, and a stepped line for what they should have been."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eventbus.cli.report.markup import Markup, joined, tag
from eventbus.cli.report.scale import number, ticks

LEFT, RIGHT, TOP, BOTTOM = 40.0, 12.0, 30.0, 42.0
"""Pixels around the bars; more on the left where numbers need it."""
LETTER = 7.0
"""Pixels that a letter of a label takes at most."""


class Bar(NamedTuple):
    """What was counted between two places of the axis."""

    begin: float
    end: float
    value: float
    label: str
    target: float | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Bars with labelled axes."""

    title: str
    """For those who cannot see it."""
    up: str
    """What the vertical axis counts."""
    across: str
    bars: Sequence[Bar]
    marks: Sequence[tuple[float, str]]
    """Labels of the horizontal axis."""
    tone: str = "bar"
    """Class of the bars."""
    span: tuple[float, float] | None = None
    """Of the horizontal axis; None: that of the bars."""

    def svg(self, width: float, height: float, class_: str | None = None, style: Markup | None = None) -> Markup:
        """The drawing.

        Args:
            style: to stand inside, where it is a file of its own.
        """
        frame = Frame(self, width, height)
        return tag(
            "svg",
            tag("title", self.title),
            *([tag("style", style), tag("rect", class_="ground", width=width, height=height)] if style else []),
            frame.grid(),
            frame.columns(),
            frame.target(),
            frame.labels(),
            frame.legend(),
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {width:.0f} {height:.0f}",
            role="img",
            class_=class_,
        )


class Frame:
    """A chart at a size: from numbers to places."""

    def __init__(self, chart: Chart, width: float, height: float) -> None:
        self._chart = chart
        self._width = width
        self._bottom = height - BOTTOM
        most = max((max(bar.value, bar.target or 0) for bar in chart.bars), default=0)
        self._ticks = ticks(most, wanted=4 if height > 180 else 2)
        self._left = max(LEFT, 10 + LETTER * max(len(number(value)) for value in self._ticks))
        self._begin, self._end = chart.span or (chart.bars[0].begin, chart.bars[-1].end) if chart.bars else (0.0, 1.0)

    def grid(self) -> Markup:
        """Lines and labels of the vertical axis."""
        lines = []
        for value in self._ticks:
            y = self._y(value)
            lines.append(
                tag("line", class_="grid" if value else "axis", x1=self._left, x2=self._width - RIGHT, y1=y, y2=y)
            )
            lines.append(tag("text", number(value), class_="y", x=self._left - 6, y=y + 4))
        return joined(*lines)

    def columns(self) -> Markup:
        """The bars, each with what it says when pointed at."""
        return joined(*(self._column(bar) for bar in self._chart.bars))

    def target(self) -> Markup:
        """A line over the bars that have a target."""
        steps = [bar for bar in self._chart.bars if bar.target is not None]
        if not steps:
            return joined()
        path, before = [], None
        for bar in steps:
            y = self._y(bar.target or 0)
            path.append(f"{'L' if before == bar.begin else 'M'}{self._x(bar.begin):.1f} {y:.1f}H{self._x(bar.end):.1f}")
            before = bar.end
        return tag("path", class_="target", d="".join(path))

    def labels(self) -> Markup:
        """Of the horizontal axis, as many as there is room for, and what both axes are."""
        y, texts, free = self._bottom + 16, [], 0.0
        for place, label in self._chart.marks:
            x, half = self._x(place), len(label) * LETTER / 2
            if not self._left - 1 <= x <= self._width - RIGHT + 1 or x - half < free:
                continue
            texts.append(tag("text", label, class_="x end" if x + half > self._width else "x", x=x, y=y))
            free = x + half + 8
        texts.append(
            tag("text", self._chart.across, class_="x name", x=(self._left + self._width - RIGHT) / 2, y=y + 18)
        )
        texts.append(tag("text", self._chart.up, class_="name", x=4, y=14))
        return joined(*texts)

    def legend(self) -> Markup:
        """What bars and line are, where there are both."""
        if all(bar.target is None for bar in self._chart.bars):
            return joined()
        x = self._width - RIGHT - 118
        return joined(
            tag("rect", class_="bar", x=x, y=5, width=10, height=10),
            tag("text", "actual", class_="name", x=x + 14, y=14),
            tag("path", class_="target", d=f"M{x + 62:.1f} 10h14"),
            tag("text", "target", class_="name", x=x + 80, y=14),
        )

    def _column(self, bar: Bar) -> Markup:
        left, right, top = self._x(bar.begin), self._x(bar.end), self._y(bar.value)
        gap = min((right - left) * 0.15, 2.0)
        return tag(
            "rect",
            tag("title", bar.label),
            class_=self._chart.tone,
            x=left + gap / 2,
            y=top,
            width=max(right - left - gap, 0.5),
            height=self._bottom - top,
        )

    def _x(self, place: float) -> float:
        room = self._width - RIGHT - self._left
        return self._left + room * (place - self._begin) / ((self._end - self._begin) or 1)

    def _y(self, value: float) -> float:
        return self._bottom - (self._bottom - TOP) * value / self._ticks[-1]
