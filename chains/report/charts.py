"""The charts of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC

from eventbus.chains.pacing.statistics import LagHistogram, TimeBins
from eventbus.chains.pacing.summary import ENDED, EVENTS, FAILED
from eventbus.chains.report.chart import Bar, Chart, duration, number, time_ticks
from eventbus.chains.report.run import HourOfDay, RunReport
from eventbus.chains.table import SECOND

MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
COARSE_LABELS = (*(10**power for power in range(8)), MINUTE, 10 * MINUTE, HOUR, 10 * HOUR, DAY, 10 * DAY)
"""Labels of a long logarithmic axis, microseconds."""
FINE_LABELS = (
    *(10**power * factor for power in range(7) for factor in (1, 2, 5)), 10 * SECOND, 20 * SECOND,
    *(MINUTE * factor for factor in (1, 2, 5, 10, 20)), *(HOUR * factor for factor in (1, 2, 5, 10)), DAY, 2 * DAY,
)  # fmt: skip
"""Labels of a short logarithmic axis, microseconds."""
MIN_BIN = 1000
"""Minimum width of a bin, microseconds, even with a single event in it."""
COARSE_FROM = 7.0
"""Length of a logarithmic axis, in doublings, above which only powers of ten are labelled."""


def events_over_time(report: RunReport, *, bins_per_bar: int = 1) -> Chart:
    """Events per second, minute or hour over the run, beside the target."""
    bins = _merged(_bins(report.summary.over_time, EVENTS), bins_per_bar)
    unit, seconds = _unit(max((count * SECOND / (end - begin) for begin, end, count in bins), default=1.0))
    bars = [_rate_bar(report, bin, unit, seconds) for bin in bins]
    return Chart(
        title=f"Events per {unit} over time",
        up=f"events per {unit}",
        across=_time_axis(report),
        bars=bars,
        marks=time_ticks(bars[-1].end if bars else 0),
    )


def failures_over_time(report: RunReport, *, bins_per_bar: int = 1) -> Chart:
    """The percentage of ended chains that failed, over the run."""
    origin = report.summary.over_time.origin or 0
    ended, failed = (_merged(_bins(report.summary.over_time, row), bins_per_bar) for row in (ENDED, FAILED))
    bars = [
        Bar(
            (begin - origin) / SECOND,
            (end - origin) / SECOND,
            100 * failures / (total or 1),
            f"{failures:,} of {total:,} failed",
        )
        for (begin, end, total), (_, _, failures) in zip(ended, failed, strict=True)
    ]
    return Chart(
        title="Share of chains that failed over time",
        up="% of the chains that ended",
        across=_time_axis(report),
        bars=bars,
        marks=time_ticks(bars[-1].end if bars else 0),
        tone="bar bad",
    )


def _time_axis(report: RunReport) -> str:
    clock = "the events' own times" if report.pace is None else "the clock"
    return f"since the beginning, by {clock}"


def _bins(bins: TimeBins, row: int) -> list[tuple[int, int, int]]:
    """(begin, end, count) of each bin; the last one ends with the last event, and joins its neighbour if short."""
    origin = bins.origin or 0
    edges = [origin + index * bins.width for index in range(bins.counts.shape[1])] + [max(bins.last, origin + MIN_BIN)]
    counts = bins.counts[row].tolist()
    if len(counts) > 1 and edges[-1] - edges[-2] < bins.width / 2:
        counts[-2:], edges[-2:] = [sum(counts[-2:])], edges[-1:]
    return list(zip(edges, edges[1:], counts, strict=False))


def _merged(bins: list[tuple[int, int, int]], bins_per_bar: int) -> list[tuple[int, int, int]]:
    parts = [bins[first : first + bins_per_bar] for first in range(0, len(bins), bins_per_bar)]
    return [(part[0][0], part[-1][1], sum(count for _, _, count in part)) for part in parts]


def _unit(per_second: float) -> tuple[str, int]:
    """The shortest unit of time in which at least one event comes, and its seconds."""
    units = (("second", 1), ("minute", 60), ("hour", 3600))
    return next((unit for unit in units if per_second * unit[1] >= 1), units[-1])


def _rate_bar(report: RunReport, bin: tuple[int, int, int], unit: str, seconds: int) -> Bar:
    begin, end, count = bin
    origin, per = report.summary.over_time.origin or 0, SECOND * seconds / (end - begin)
    expected = report.expected_events(begin, end)
    first, last = (begin - origin) / SECOND, (end - origin) / SECOND
    label = f"from {duration(first)}: {number(count * per)} events per {unit}"
    return Bar(first, last, count * per, label, None if expected is None else expected * per)


def by_hour(report: RunReport, hours: Sequence[HourOfDay]) -> Chart:
    """Chains begun per hour, by hour of the day, beside the target."""
    noun = report.noun
    zone = "UTC" if report.zone is UTC else str(report.zone)
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
    """A histogram of times on a logarithmic axis.

    Args:
        span: range of the axis, microseconds; by default that of the histogram.
    """
    bars = [
        Bar(_log(low), _log(high), count, f"{duration(low / 1e6)} to {duration(high / 1e6)}: {count:,}")
        for low, high, count in histogram.bars()
    ]
    begin, end = (_log(span[0]), _log(span[1])) if span else (bars[0].begin, bars[-1].end)
    labels = COARSE_LABELS if end - begin > COARSE_FROM else FINE_LABELS
    marks = [(_log(time), duration(time / 1e6)) for time in labels if begin <= _log(time) <= end]
    return Chart(title=title, up=up, across=across, bars=bars, marks=marks, span=(begin, end))


def _log(time: int) -> float:
    return math.log2(max(time, 4))
