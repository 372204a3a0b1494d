"""A rate that changes with time, in straight lines, and where its integral reaches a number.

The n-th chain begins when as many chains are due: where the area under the rate is n. Places on that scale are counted
in billionths of a chain, so that a rate of one chain a second makes one a nanosecond. The area under a straight line is
a quadratic function, which a square root inverts. The operations used are rounded correctly by every CPU and never fall
as their argument rises: the times are the same everywhere, and in order.
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
from eventbus.chains.arrivals.batch import NEVER
from eventbus.chains.randomness import Integers
from eventbus.event import microseconds

Reals = npt.NDArray[np.float64]

CHAIN = 10**9
"""Places in a chain."""
MOST = 1 << 60
"""Places in a cycle, or in an hour of a profile: sums of a few stay below 2^63."""
NEARLY_STEADY = 2.0**-20
"""Of its rate: a change below it would be lost in rounding, and moves no chain by a millionth of the piece."""


class ArrivalRate(Protocol):
    """Chains per second, as it changes."""

    peak: float
    """Chains per second, hardly ever exceeded."""

    def times(self, base: int, beyond: Integers) -> Integers:
        """When the integral reaches places.

        Args:
            base: what the places are counted from.
            beyond: the places, in order.

        Returns:
            Nanoseconds since the start; `NEVER` for places that are not reached.
        """
        ...

    def place(self, time: int) -> int:
        """The integral from the start to a time, nanoseconds since then."""
        ...


class RateSegment(NamedTuple):
    """A stretch of time in which the rate is a straight line."""

    place: int
    """Where the integral is at its beginning."""
    time: int
    """Of its beginning, nanoseconds since the start."""
    lasts: int
    """Nanoseconds."""
    begin: float
    """Places per nanosecond, which are chains per second."""
    end: float

    @property
    def amount(self) -> int:
        """Places in it."""
        return int((self.begin + self.end) / 2 * self.lasts)

    def at(self, time: int) -> int:
        """The place at a time inside."""
        passed = time - self.time
        return self.place + int((self.begin + (self.end - self.begin) * passed / self.lasts / 2) * passed)


class SegmentLookup:
    """Pieces of a rate, one after the other, to be looked up together."""

    def __init__(self, pieces: Sequence[RateSegment], base: int = 0) -> None:
        #: Places are counted from the base.
        self._place = np.array([piece.place - base for piece in pieces])
        self._time = np.array([piece.time for piece in pieces])
        self._lasts = np.array([piece.lasts for piece in pieces])
        self._begin, end = np.array([(piece.begin, piece.end) for piece in pieces], np.float64).T
        self._steady = abs(end - self._begin) <= NEARLY_STEADY * (self._begin + end)
        self._mean = np.where(self._steady & (self._begin + end > 0), (self._begin + end) / 2, 1.0)
        self._slope = (end - self._begin) / np.maximum(self._lasts, 1)

    def times(self, places: Integers) -> Integers:
        """When the integral reaches places, which are not before the first piece."""
        row = self._place.searchsorted(places, side="right") - 1
        inside = (places - self._place.take(row)).astype(np.float64)
        passed = inside / self._mean.take(row)
        bent = np.flatnonzero(~self._steady.take(row))
        if bent.size:
            rows = row.take(bent)
            passed[bent] = _inverted(inside.take(bent), self._begin.take(rows), self._slope.take(rows))
        times: Integers = np.minimum(passed, self._lasts.take(row)).astype(np.int64)
        times += self._time.take(row)
        return times


class PiecewiseLinearRate:
    """Stretches of time one after the other, once or for ever.

    Args:
        stretches: seconds, and chains per second at their beginning and end; less than `MOST` places in all.
    """

    def __init__(self, stretches: Sequence[tuple[float, float, float]], *, repeat: bool) -> None:
        self.peak = max(max(begin, end) for _, begin, end in stretches)
        self._repeat = repeat
        self._pieces: list[RateSegment] = []
        self._places = self._time = 0
        for duration, begin, end in stretches:
            piece = RateSegment(self._places, self._time, round(duration * 1e9), begin, end)
            self._pieces.append(piece)
            self._places, self._time = self._places + piece.amount, self._time + piece.lasts
        self._lines = SegmentLookup([piece for piece in self._pieces if piece.amount])

    def times(self, base: int, beyond: Integers) -> Integers:
        cycle, inside = divmod(base, self._places)
        cycles, places = np.divmod(beyond + inside, self._places)
        times = self._lines.times(places)
        if not self._repeat:
            times[cycles + cycle > 0] = NEVER
            return times
        times += cycles * self._time
        times += cycle * self._time
        return times

    def place(self, time: int) -> int:
        cycle, inside = divmod(time, self._time)
        if cycle and not self._repeat:
            return self._places
        piece = self._pieces[bisect_right(self._pieces, inside, key=lambda piece: piece.time) - 1]
        return cycle * self._places + piece.at(inside)


def _inverted(inside: Reals, begin: Reals, slope: Reals) -> Reals:
    """Where the area under a line that is `begin` high at its beginning is `inside`."""
    root = np.sqrt(np.maximum(begin * begin + (slope * 2) * inside, 0.0))
    inverted: Reals = (root - begin) / slope
    return inverted


# A profile of the day and the week as a rate: the hours of a clock on the wall, on days of 23, 24 or 25 of them.


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END = date(2262, 1, 1)
"""Nanoseconds since 1970 have run out of 63 bits soon after."""
SECOND, MINUTE, HOUR, DAY = 10**9, 60 * 10**9, 3600 * 10**9, 24 * 3600 * 10**9
KEPT = 64
"""Days whose lines are remembered."""


class CalendarHour(NamedTuple):
    """An hour of a day, or the part of one that is left when the clock is put forward or back."""

    begin: int
    """Nanoseconds since the start of the run."""
    lasts: int
    rate: float
    """Chains per second, on average."""


class CalendarRate:
    """The rate that a profile gives each moment.

    Args:
        start: nanoseconds since the Unix epoch.
    """

    def __init__(self, profile: Profile, start: int) -> None:
        self._profile = profile
        self._zone = ZoneInfo(profile.time_zone)
        self._start = start
        self._first = self._wall_clock(start).date()
        self._days = (END - self._first).days
        self._known: dict[int, list[RateSegment]] = {}
        self._hourly: dict[int, list[CalendarHour]] = {}
        #: Where the integral is at the beginning of each day, the first of which began before the start.
        self._places = [0]
        self._places, self._known = [-self.place(0)], {}
        self.peak = max(slot.rate for day in range(len(WEEK)) for slot in self._slots(day))

    def times(self, base: int, beyond: Integers) -> Integers:
        """When the integral reaches places (see `rates.Rate`)."""
        return SegmentLookup([*self._covering(base, base + int(beyond[-1]))], base).times(beyond)

    def place(self, time: int) -> int:
        """The integral from the start to a time, nanoseconds since then."""
        return next(self.pieces(time)).at(time)

    def pieces(self, time: int) -> Iterator[RateSegment]:
        """The straight lines from the one in which a time lies, nanoseconds since the start."""
        day = (self._wall_clock(self._start + time).date() - self._first).days
        return dropwhile(lambda piece: piece.time + piece.lasts <= time, self._from(day))

    def _covering(self, place: int, end: int) -> Iterator[RateSegment]:
        """The lines in which places lie, and the end of all time if they run out."""
        while self._places[-1] <= place and len(self._places) < self._days:
            self._count(len(self._places))
        for piece in self._from(bisect_right(self._places, place) - 1):
            if piece.place > end:
                return
            yield piece
        yield RateSegment(self._places[-1], NEVER, 0, 0.0, 0.0)

    def _from(self, day: int) -> Iterator[RateSegment]:
        for one in range(day, self._days):
            yield from self._pieces(one)

    def _count(self, days: int) -> None:
        """Integrates up to a day."""
        for day in range(len(self._places) - 1, days):
            self._pieces(day)

    def _pieces(self, day: int) -> list[RateSegment]:
        """The straight lines of a day."""
        if day not in self._known:
            self._count(day)
            self._known[day], end = self._integrated(day)
            if day + 1 == len(self._places):
                self._places.append(end)
            if len(self._known) > KEPT:
                del self._known[next(iter(self._known))]
        return self._known[day]

    def _integrated(self, day: int) -> tuple[list[RateSegment], int]:
        """The straight lines of a day, and where the integral is at its end."""
        pieces, place = [], self._places[day]
        for begin, lasts, low, high in self._lines(day):
            piece = RateSegment(place, begin, lasts, low, high)
            pieces.append(piece)
            place += piece.amount
        return pieces, place

    def _lines(self, day: int) -> Iterator[tuple[int, int, float, float]]:
        """Begin and length of straight lines, and their rates at both ends.

        Two lines in an hour, from edge to middle and on to the next edge: its average is kept by making the middle as
        much higher as the edges are lower, and an edge is at most twice the lower of its hours, so that no middle is
        below 0.
        """
        slots = self._slots(day)
        if not self._profile.interpolate:
            yield from ((slot.begin, slot.lasts, slot.rate, slot.rate) for slot in slots)
            return
        before, after = self._slots(day - 1) or slots, self._slots(day + 1) or slots  # a place may leave out a day
        rates = [slot.rate for slot in (*before[-1:], *slots, *after[:1])]
        edges = [min((a + b) / 2, a * 2, b * 2) for a, b in pairwise(rates)]
        for slot, (left, right) in zip(slots, pairwise(edges), strict=False):
            middle, half = slot.rate * 2 - (left + right) / 2, slot.lasts // 2
            yield slot.begin, half, left, middle
            yield slot.begin + half, slot.lasts - half, middle, right

    def _slots(self, day: int) -> list[CalendarHour]:
        """The hours of a day; those of three days are asked for again and again."""
        if day not in self._hourly:
            self._hourly = {one: slots for one, slots in self._hourly.items() if abs(one - day) < 3}
            self._hourly[day] = self._slots_of(day)
        return self._hourly[day]

    def _slots_of(self, day: int) -> list[CalendarHour]:
        weekday = (self._first + timedelta(days=day)).weekday()
        hours = self._profile.hours[weekday % len(self._profile.hours)]
        parts = list(self._hours(day))
        unit = 1 / 3600
        if self._profile.per_day is not None:
            unit = self._profile.per_day / (math.fsum(hours[hour] * lasts / SECOND for _, lasts, hour in parts) or 1.0)
        unit *= self._profile.days[weekday]
        return [CalendarHour(begin - self._start, lasts, hours[hour] * unit) for begin, lasts, hour in parts]

    def _hours(self, day: int) -> Iterator[tuple[int, int, int]]:
        """Begin, length and number of a day's hours, nanoseconds since the Unix epoch."""
        begin, end = self._midnight(day), self._midnight(day + 1)
        if end - begin == DAY:
            yield from ((begin + hour * HOUR, HOUR, hour) for hour in range(24))
            return
        minutes = [(moment, self._wall_clock(moment)) for moment in range(begin, end, MINUTE)]
        hours = groupby(minutes, lambda minute: (minute[1].hour, minute[1].utcoffset()))
        begins = [(next(group)[0], hour) for (hour, _), group in hours]
        for (since, hour), (until, _) in pairwise([*begins, (end, 0)]):
            yield since, until - since, hour

    def _midnight(self, day: int) -> int:
        """When a day begins: where the clock skips midnight, when it does so."""
        begin = datetime.combine(self._first + timedelta(days=day), time(), self._zone)
        return microseconds(begin.astimezone(UTC)) * 1000

    def _wall_clock(self, nanoseconds: int) -> datetime:
        return (EPOCH + timedelta(microseconds=nanoseconds // 1000)).astimezone(self._zone)
