"""The charts of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC

from eventbus.chains.pacing.statistics import LagHistogram, TimeBins
from eventbus.chains.pacing.summary import ENDED, EVENTS, FAILED
from eventbus.cli.report.chart import Bar, Chart
from eventbus.cli.report.facts import SECOND, Facts
from eventbus.cli.report.hours import Hour
from eventbus.cli.report.scale import duration, number, time_ticks

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
DECADES = (*(10**power for power in range(8)), MINUTE, 10 * MINUTE, HOUR, 10 * HOUR, DAY, 10 * DAY)
"""Microseconds that are labelled on a long logarithmic axis."""
ROUNDS = (
    *(10**power * factor for power in range(7) for factor in (1, 2, 5)), 10 * SECOND, 20 * SECOND,
    *(MINUTE * factor for factor in (1, 2, 5, 10, 20)), *(HOUR * factor for factor in (1, 2, 5, 10)), DAY, 2 * DAY,
)  # fmt: skip
"""And on a shorter one."""
SHORTEST = 1000
"""Microseconds that a bin has at least, also one with a single event."""
WIDE = 7.0
"""Doublings on a logarithmic axis from which only powers of ten are labelled."""


def over_time(facts: Facts, *, together: int = 1) -> Chart:
    """Events per second, or a longer time, while the run went on.

    Args:
        together: bins in a bar.
    """
    bins = _merged(_bins(facts.census.over_time, EVENTS), together)
    unit, seconds = _unit(max((count * SECOND / (end - begin) for begin, end, count in bins), default=1.0))
    bars = [_bar_of_time(facts, bin, unit, seconds) for bin in bins]
    return Chart(
        title=f"Events per {unit} over time",
        up=f"events per {unit}",
        across=_across(facts),
        bars=bars,
        marks=time_ticks(bars[-1].end if bars else 0),
    )


def failures(facts: Facts, *, together: int = 1) -> Chart:
    """The share of chains that failed, of those that ended.

    Args:
        together: bins in a bar.
    """
    origin = facts.census.over_time.origin or 0
    ended, failed = (_merged(_bins(facts.census.over_time, row), together) for row in (ENDED, FAILED))
    bars = [
        Bar(
            (begin - origin) / SECOND, (end - origin) / SECOND, 100 * bad / (every or 1), f"{bad:,} of {every:,} failed"
        )
        for (begin, end, every), (_, _, bad) in zip(ended, failed, strict=True)
    ]
    return Chart(
        title="Share of chains that failed over time",
        up="% of the chains that ended",
        across=_across(facts),
        bars=bars,
        marks=time_ticks(bars[-1].end if bars else 0),
        tone="bar bad",
    )


def _across(facts: Facts) -> str:
    by = "the events' own times" if facts.pace is None else "the clock"
    return f"since the beginning, by {by}"


def _bins(bins: TimeBins, row: int) -> list[tuple[int, int, int]]:
    """From, up to, and how many; the last bin ends with the last event, and joins the one before if it is short."""
    origin = bins.origin or 0
    edges = [origin + place * bins.width for place in range(bins.counts.shape[1])] + [max(bins.last, origin + SHORTEST)]
    counts = bins.counts[row].tolist()
    if len(counts) > 1 and edges[-1] - edges[-2] < bins.width / 2:
        counts[-2:], edges[-2:] = [sum(counts[-2:])], edges[-1:]
    return list(zip(edges, edges[1:], counts, strict=False))


def _merged(bins: list[tuple[int, int, int]], together: int) -> list[tuple[int, int, int]]:
    parts = [bins[first : first + together] for first in range(0, len(bins), together)]
    return [(part[0][0], part[-1][1], sum(count for _, _, count in part)) for part in parts]


def _unit(per_second: float) -> tuple[str, int]:
    """The unit of time, and its seconds, in which there is at least one."""
    units = (("second", 1), ("minute", 60), ("hour", 3600))
    return next((unit for unit in units if per_second * unit[1] >= 1), units[-1])


def _bar_of_time(facts: Facts, bin: tuple[int, int, int], unit: str, seconds: int) -> Bar:
    begin, end, count = bin
    origin, per = facts.census.over_time.origin or 0, SECOND * seconds / (end - begin)
    wanted = facts.expected_events(begin, end)
    first, last = (begin - origin) / SECOND, (end - origin) / SECOND
    label = f"from {duration(first)}: {number(count * per)} events per {unit}"
    return Bar(first, last, count * per, label, None if wanted is None else wanted * per)


def by_hour(facts: Facts, hours: Sequence[Hour], noun: str) -> Chart:
    """Chains that began, by hour of the day, beside the target."""
    zone = "UTC" if facts.zone is UTC else str(facts.zone)
    bars = [
        Bar(hour.hour, hour.hour + 1, hour.rate, f"{hour.hour:02d}:00: {number(hour.rate)} {noun} an hour", hour.target)
        for hour in hours
    ]
    return Chart(
        title=f"{noun.capitalize()} by hour of the day, target against actual",
        up=f"{noun} begun per hour",
        across=f"hour of the day, {zone}",
        bars=bars,
        marks=[(hour.hour + 0.5, str(hour.hour)) for hour in hours],
    )


def distribution(
    histogram: LagHistogram, title: str, up: str, across: str, span: tuple[int, int] | None = None
) -> Chart:
    """Times on a logarithmic axis.

    Args:
        span: of the axis, microseconds; None: that of the histogram.
    """
    bars = [
        Bar(_log(low), _log(high), count, f"{duration(low / 1e6)} to {duration(high / 1e6)}: {count:,}")
        for low, high, count in histogram.bars()
    ]
    begin, end = (_log(span[0]), _log(span[1])) if span else (bars[0].begin, bars[-1].end)
    rounds = DECADES if end - begin > WIDE else ROUNDS
    marks = [(_log(time), duration(time / 1e6)) for time in rounds if begin <= _log(time) <= end]
    return Chart(title=title, up=up, across=across, bars=bars, marks=marks, span=(begin, end))


def _log(time: int) -> float:
    return math.log2(max(time, 4))
