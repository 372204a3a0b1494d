"""Rates that change over time, as piecewise linear functions, and the inverse of their integral.

The n-th chain begins when the cumulative rate, the area under the rate, reaches n. Positions on this scale are counted
in billionths of a chain, so that a rate of one chain per second makes one position per nanosecond. Under a straight
line the area is a quadratic function, which a square root inverts. All operations are correctly rounded by every
CPU and are monotonic: the times are the same on every machine, and in order.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import dropwhile, groupby, pairwise
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from eventbus.catalog.model import WEEK, Profile
from eventbus.chains.randomness import Integers
from eventbus.event import EPOCH, microseconds

Reals = npt.NDArray[np.float64]

NEVER = (1 << 63) - 1
"""The time of what does not happen, nanoseconds since the Unix epoch."""
CHAIN = 10**9
"""Positions per chain."""
MAX_POSITIONS = 1 << 60
"""Positions in a cycle, or in an hour of a profile: sums of a few stay below 2^63."""
NEARLY_CONSTANT = 2.0**-20
"""Relative change of a rate that is treated as none: it would be lost in rounding."""


class ArrivalRate(Protocol):
    """Chains per second, as a function of time."""

    peak: float
    """Chains per second, hardly ever exceeded."""

    def times(self, base: int, offsets: Integers) -> Integers:
        """When the cumulative rate reaches positions.

        Args:
            base: the position that the offsets are counted from.
            offsets: ascending.

        Returns:
            Nanoseconds since the start; `NEVER` for positions that are not reached.
        """
        ...

    def cumulative(self, time: int) -> int:
        """The position at a time, nanoseconds since the start."""
        ...


class RateSegment(NamedTuple):
    """An interval in which the rate is linear."""

    position: int
    """At its beginning."""
    time: int
    """Of its beginning, nanoseconds since the start."""
    duration: int
    """Nanoseconds."""
    begin: float
    """Positions per nanosecond, which are chains per second."""
    end: float

    @property
    def area(self) -> int:
        """Number of positions in it."""
        return int((self.begin + self.end) / 2 * self.duration)

    def cumulative(self, time: int) -> int:
        """The position at a time in the segment."""
        elapsed = time - self.time
        return self.position + int((self.begin + (self.end - self.begin) * elapsed / self.duration / 2) * elapsed)


class SegmentLookup:
    """Consecutive segments of a rate, inverted together.

    Args:
        base: the position that the positions to invert are counted from.
    """

    def __init__(self, segments: Sequence[RateSegment], base: int = 0) -> None:
        self._position = np.array([segment.position - base for segment in segments])
        self._time = np.array([segment.time for segment in segments])
        self._duration = np.array([segment.duration for segment in segments])
        self._begin, end = np.array([(segment.begin, segment.end) for segment in segments], np.float64).T
        self._constant = abs(end - self._begin) <= NEARLY_CONSTANT * (self._begin + end)
        self._mean = np.where(self._constant & (self._begin + end > 0), (self._begin + end) / 2, 1.0)
        self._slope = (end - self._begin) / np.maximum(self._duration, 1)

    def times(self, positions: Integers) -> Integers:
        """When the cumulative rate reaches positions that are not before the first segment."""
        row = self._position.searchsorted(positions, side="right") - 1
        area = (positions - self._position.take(row)).astype(np.float64)
        elapsed = area / self._mean.take(row)
        sloped = np.flatnonzero(~self._constant.take(row))
        if sloped.size:
            rows = row.take(sloped)
            elapsed[sloped] = _inverse_area(area.take(sloped), self._begin.take(rows), self._slope.take(rows))
        times: Integers = np.minimum(elapsed, self._duration.take(row)).astype(np.int64)
        times += self._time.take(row)
        return times


class PiecewiseLinearRate:
    """Consecutive segments, once or repeated for ever.

    Args:
        segments: seconds, and chains per second at their beginning and end; less than `MAX_POSITIONS` in all.
    """

    def __init__(self, segments: Sequence[tuple[float, float, float]], *, repeat: bool) -> None:
        self.peak = max(max(begin, end) for _, begin, end in segments)
        self._repeat = repeat
        self._segments: list[RateSegment] = []
        self._area = self._duration = 0
        for duration, begin, end in segments:
            segment = RateSegment(self._area, self._duration, round(duration * 1e9), begin, end)
            self._segments.append(segment)
            self._area, self._duration = self._area + segment.area, self._duration + segment.duration
        self._lookup = SegmentLookup([segment for segment in self._segments if segment.area])

    def times(self, base: int, offsets: Integers) -> Integers:
        cycle, inside = divmod(base, self._area)
        cycles, positions = np.divmod(offsets + inside, self._area)
        times = self._lookup.times(positions)
        if not self._repeat:
            times[cycles + cycle > 0] = NEVER
            return times
        times += cycles * self._duration
        times += cycle * self._duration
        return times

    def cumulative(self, time: int) -> int:
        cycle, inside = divmod(time, self._duration)
        if cycle and not self._repeat:
            return self._area
        segment = self._segments[bisect_right(self._segments, inside, key=lambda segment: segment.time) - 1]
        return cycle * self._area + segment.cumulative(inside)


def _inverse_area(area: Reals, begin: Reals, slope: Reals) -> Reals:
    """Where the area under a line reaches `area`; the line is `begin` at its beginning."""
    root = np.sqrt(np.maximum(begin * begin + (slope * 2) * area, 0.0))
    inverse: Reals = (root - begin) / slope
    return inverse


# A profile of the day and the week as a rate: hours of local time, on days of 23, 24 or 25 hours.


END = date(2262, 1, 1)
"""Nanoseconds since 1970 exceed 63 bits soon after."""
HOUR_NS, DAY_NS = 3600 * 10**9, 24 * 3600 * 10**9
SECOND_NS, MINUTE_NS = 10**9, 60 * 10**9
CACHED_DAYS = 64
"""Days whose segments are cached."""


class CalendarHour(NamedTuple):
    """An hour of a day, or the part of one that is left when the clock is put forward or back."""

    begin: int
    """Nanoseconds since the start of the run."""
    duration: int
    rate: float
    """Chains per second, on average."""


class CalendarRate:
    """The rate of a profile.

    Args:
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, profile: Profile, start: int) -> None:
        self._profile = profile
        self._zone = ZoneInfo(profile.time_zone)
        self._start = start
        self._first = self._local(start).date()
        self._days = (END - self._first).days
        self._segments: dict[int, list[RateSegment]] = {}
        self._hours: dict[int, list[CalendarHour]] = {}
        #: The position at the beginning of each day; the first day began before the start.
        self._positions = [0]
        self._positions, self._segments = [-self.cumulative(0)], {}
        self.peak = max(hour.rate for day in range(len(WEEK)) for hour in self._hours_of(day))

    def times(self, base: int, offsets: Integers) -> Integers:
        return SegmentLookup([*self._covering(base, base + int(offsets[-1]))], base).times(offsets)

    def cumulative(self, time: int) -> int:
        return next(self.segments(time)).cumulative(time)

    def segments(self, time: int) -> Iterator[RateSegment]:
        """The segments from the one that contains a time, nanoseconds since the start."""
        day = (self._local(self._start + time).date() - self._first).days
        return dropwhile(lambda segment: segment.time + segment.duration <= time, self._segments_from(day))

    def _covering(self, position: int, end: int) -> Iterator[RateSegment]:
        """The segments that contain positions, followed by one at `NEVER` if the calendar ends before them."""
        while self._positions[-1] <= position and len(self._positions) < self._days:
            self._integrate_up_to(len(self._positions))
        for segment in self._segments_from(bisect_right(self._positions, position) - 1):
            if segment.position > end:
                return
            yield segment
        yield RateSegment(self._positions[-1], NEVER, 0, 0.0, 0.0)

    def _segments_from(self, first: int) -> Iterator[RateSegment]:
        for day in range(first, self._days):
            yield from self._segments_of(day)

    def _integrate_up_to(self, end: int) -> None:
        for day in range(len(self._positions) - 1, end):
            self._segments_of(day)

    def _segments_of(self, day: int) -> list[RateSegment]:
        if day not in self._segments:
            self._integrate_up_to(day)
            self._segments[day], end = self._integrated(day)
            if day + 1 == len(self._positions):
                self._positions.append(end)
            if len(self._segments) > CACHED_DAYS:
                del self._segments[next(iter(self._segments))]
        return self._segments[day]

    def _integrated(self, day: int) -> tuple[list[RateSegment], int]:
        """The segments of a day, and the position at its end."""
        segments, position = [], self._positions[day]
        for begin, duration, low, high in self._lines(day):
            segment = RateSegment(position, begin, duration, low, high)
            segments.append(segment)
            position += segment.area
        return segments, position

    def _lines(self, day: int) -> Iterator[tuple[int, int, float, float]]:
        """Beginnings and durations of straight lines, and the rates at both ends.

        An interpolated hour has two lines, from edge to middle and from middle to edge. The rate in the middle is
        chosen so that the average of the hour is kept. An edge is at most twice the lower of its two hours, so
        that the middle is never below 0.
        """
        hours = self._hours_of(day)
        if not self._profile.interpolate:
            yield from ((hour.begin, hour.duration, hour.rate, hour.rate) for hour in hours)
            return
        previous, following = self._hours_of(day - 1) or hours, self._hours_of(day + 1) or hours  # zones skip days
        rates = [hour.rate for hour in (*previous[-1:], *hours, *following[:1])]
        edges = [min((a + b) / 2, a * 2, b * 2) for a, b in pairwise(rates)]
        for hour, (left, right) in zip(hours, pairwise(edges), strict=False):
            middle, half = hour.rate * 2 - (left + right) / 2, hour.duration // 2
            yield hour.begin, half, left, middle
            yield hour.begin + half, hour.duration - half, middle, right

    def _hours_of(self, day: int) -> list[CalendarHour]:
        """The hours of a day; those of three days are cached."""
        if day not in self._hours:
            self._hours = {cached: hours for cached, hours in self._hours.items() if abs(cached - day) < 3}
            self._hours[day] = self._rated_hours(day)
        return self._hours[day]

    def _rated_hours(self, day: int) -> list[CalendarHour]:
        weekday = (self._first + timedelta(days=day)).weekday()
        weights = self._profile.hours[weekday % len(self._profile.hours)]
        hours = list(self._local_hours(day))
        unit = 1 / 3600
        if self._profile.per_day is not None:
            total = math.fsum(weights[hour] * duration / SECOND_NS for _, duration, hour in hours)
            unit = self._profile.per_day / (total or 1.0)
        unit *= self._profile.days[weekday]
        return [CalendarHour(begin - self._start, duration, weights[hour] * unit) for begin, duration, hour in hours]

    def _local_hours(self, day: int) -> Iterator[tuple[int, int, int]]:
        """Begin, duration and number of a day's hours; nanoseconds, since the Unix epoch."""
        begin, end = self._midnight(day), self._midnight(day + 1)
        if end - begin == DAY_NS:
            yield from ((begin + hour * HOUR_NS, HOUR_NS, hour) for hour in range(24))
            return
        minutes = [(moment, self._local(moment)) for moment in range(begin, end, MINUTE_NS)]
        groups = groupby(minutes, lambda minute: (minute[1].hour, minute[1].utcoffset()))
        begins = [(next(group)[0], hour) for (hour, _), group in groups]
        for (since, hour), (until, _) in pairwise([*begins, (end, 0)]):
            yield since, until - since, hour

    def _midnight(self, day: int) -> int:
        """When a day begins; where the clock skips midnight, the moment at which it does."""
        begin = datetime.combine(self._first + timedelta(days=day), time(), self._zone)
        return microseconds(begin.astimezone(UTC)) * 1000

    def _local(self, nanoseconds: int) -> datetime:
        return (EPOCH + timedelta(microseconds=nanoseconds // 1000)).astimezone(self._zone)
