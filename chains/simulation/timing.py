"""When the events of sessions happen: ranges of single gaps, of the time on a page and of a session, held together.

Each event of a session comes an action delay after the one before. Between the visit of a page and what ends it, the
closing or else the next page, lie its actions; so a page with c actions is open for c + 1 gaps. Its time is drawn from
what its range and that many gaps have in common, and the gaps are fitted to it: moved towards one end of their range,
all by the same proportion. A session that would be too short or too long gets a duration from its range, and its pages
are fitted to that in the same way. So all ranges hold, wherever they can.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.catalog.model import Range, Visitors
from eventbus.chains.randomness import Integers, Words, draw, purpose
from eventbus.chains.simulation.site import low_below
from eventbus.chains.table import SECOND

Floats = npt.NDArray[np.float64]

MIN_GAP = 1000
"""Microseconds between two events of a visitor: what every clock can tell apart."""
ROUNDING = 0.001
"""Microseconds: more than what a product of a time and a ratio may be off."""
LONGEST = ((1 << 24) - 1) * 1000
"""No session lasts longer, in microseconds: its duration has 24 bits of milliseconds (see `table.DURATION`)."""


def high_below(words: Words, counts: Integers | int) -> Integers:
    """Uniform integers from 0 to `counts` - 1, by the upper 28 bits of the words."""
    numbers = (words >> np.uint64(36)).view(np.int64)
    numbers *= counts
    numbers >>= 28
    return numbers


class JourneyRanges(NamedTuple):
    """Ranges of integers, both ends included, one for each journey."""

    low: Integers
    high: Integers

    @classmethod
    def of(cls, ranges: Iterable[Range], unit: int = 1) -> JourneyRanges:
        """Ranges in other units, up to the longest time."""
        bounds = [[min(round(bound * unit), LONGEST) for bound in limits] for limits in ranges]
        low, high = np.array(bounds, np.int64).reshape(-1, 2).T
        return cls(low, high)

    def draw(self, words: Words, journey: Integers) -> Integers:
        """A number of each journey's range, drawn by the upper 28 bits of the words."""
        return high_below(words, (self.high - self.low + 1).take(journey)) + self.low.take(journey)


class Pages(NamedTuple):
    """The pages of some sessions, session by session; a value for each page."""

    session: Integers
    """Row of the session."""
    number: Integers
    """Of the page in its session, from 0."""
    keys: Words
    """Of the session."""
    journey: Integers
    actions: Integers
    """Events between its visit and what ends it."""
    closed: Integers
    """1 if it is closed, 0 if the next page or the end of the session replaces it."""


class PageTimes(NamedTuple):
    """When the pages of sessions open and end; microseconds."""

    arrival: Integers
    """From the beginning of each session to its first page."""
    opened: Integers
    """Of each page, since the beginning of its session."""
    length: Integers
    """From there to what ends the page."""
    transit: Integers
    """From the closing of a page to the event that follows; 0 if it is not closed."""
    leave: Integers
    """The last of a page's gaps as it was drawn, above the minimum."""


class Timing:
    """The ranges of some visitors' behaviour.

    Args:
        chain: its name.
    """

    def __init__(self, chain: str, visitors: Visitors) -> None:
        behaviour, journeys = visitors.behaviour, visitors.active_journeys
        human = behaviour.human_like_delays
        action = JourneyRanges.of([behaviour.action_delay if human else Range(0, 0)], SECOND)
        duration = JourneyRanges.of([behaviour.session_duration], SECOND)
        #: Of each gap.
        self.shortest_gap, self.longest_gap = (max(int(bound[0]), MIN_GAP) for bound in action)
        self._width = self.longest_gap - self.shortest_gap
        max_events = 2 + visitors.max_pages * (2 + visitors.max_clicks + visitors.max_others)
        self._shortest = int(duration.low[0]) if human else 0
        #: No session lasts longer.
        self.longest = int(duration.high[0]) if human else max_events * MIN_GAP
        endless = Range(0, LONGEST / SECOND)
        self._time = JourneyRanges.of(
            [behaviour.time_of(journey) if human else endless for journey in journeys], SECOND
        )
        busiest = max(int(self._time.low.max()), (visitors.max_clicks + visitors.max_others + 1) * self.shortest_gap)
        #: Whether the pages of a session may need more time than it has.
        self.may_overrun = visitors.max_pages * (busiest + self.shortest_gap) + self.shortest_gap > self.longest
        self._purposes = {name: purpose("visit", chain, name) for name in ("arrival", "time", "leave", "duration")}

    def max_pages(self, pages: Pages, first: Integers, counts: Integers) -> Integers:
        """How many of its pages each session has time for; one, at least.

        Args:
            first: row of each session's first page.
            counts: its pages.
        """
        shortest, _ = self._page_ranges(pages)
        ends = np.concatenate(([0], (shortest + self.shortest_gap).cumsum()))
        fits = ends[1:] - ends.take(first.take(pages.session)) + self.shortest_gap <= self.longest
        return np.maximum(np.bincount(pages.session, fits, counts.size).astype(np.int64), np.minimum(counts, 1))

    def times(self, keys: Words, pages: Pages) -> PageTimes:
        """The times of sessions and of their pages.

        Args:
            keys: of the sessions.
        """
        low, high = self._page_ranges(pages)
        words = draw(pages.keys, self._purposes["leave"], pages.number)
        length = high_below(draw(pages.keys, self._purposes["time"], pages.number), high - low + 1) + low
        transit = pages.closed * (low_below(words, self._width + 1) + self.shortest_gap)
        arrival = high_below(draw(keys, self._purposes["arrival"]), self._width + 1) + self.shortest_gap
        spans = _sums(pages.session, length + transit, keys.size) + arrival
        if ((spans < self._shortest) | (spans > self.longest)).any():
            self._fit(keys, pages, spans, (arrival, length, transit), (low, high))
        blocks = length + transit
        opened = blocks.cumsum() - blocks
        starts = opened.take(np.searchsorted(pages.session, np.arange(keys.size)), mode="clip") if opened.size else 0
        opened += (arrival - starts).take(pages.session)
        return PageTimes(arrival, opened, length, transit, high_below(words, self._width + 1))

    def gaps(self, words: Words) -> Integers:
        """Gaps as they are drawn, above the minimum, by the upper 28 bits of the words."""
        return high_below(words, self._width + 1)

    def fitting(self, pages: Pages, length: Integers, gaps: Integers) -> tuple[Floats, Floats]:
        """How the gaps of pages are fitted to their times: each is (first) + (second) × gap.

        Args:
            gaps: the sum of each page's gaps as they were drawn, above the minimum.
        """
        low, width, count = self.shortest_gap, self._width, pages.actions + 1
        spare = length - low * count
        short, long = width * count - gaps, width * count - spare  # below the maximum, as drawn and as needed
        scale, offset = _ratio(spare, gaps), np.full(length.size, float(low))
        raised = np.flatnonzero(spare > gaps)
        if raised.size:
            scale[raised] = _ratio(long.take(raised), short.take(raised))
            offset[raised] = self.longest_gap - scale.take(raised) * width
        odd = np.flatnonzero((spare < 0) | (long < 0))  # the time on the page wins over the range of the gaps
        if odd.size:
            count, length = count.take(odd), length.take(odd) - MIN_GAP * count.take(odd)
            drawn = gaps.take(odd) + (low - MIN_GAP) * count
            scale[odd] = _ratio(length, drawn)
            offset[odd] = np.where(drawn > 0, (low - MIN_GAP) * scale.take(odd), length / count) + MIN_GAP
        return offset, scale

    def _page_ranges(self, pages: Pages) -> tuple[Integers, Integers]:
        """The shortest and the longest time of pages."""
        gaps = pages.actions + 1
        low, high = self._time.low.take(pages.journey), self._time.high.take(pages.journey)
        least, most = np.maximum(low, gaps * self.shortest_gap), np.minimum(high, gaps * self.longest_gap)
        odd = np.flatnonzero(least > most)
        if odd.size:
            minimum = MIN_GAP * gaps.take(odd)
            least[odd], most[odd] = np.maximum(low.take(odd), minimum), np.maximum(high.take(odd), minimum)
        return least, most

    def _fit(
        self,
        keys: Words,
        pages: Pages,
        spans: Integers,
        times: tuple[Integers, Integers, Integers],
        ranges: tuple[Integers, Integers],
    ) -> None:
        """Changes the times of sessions that would be too short or too long, where their pages can be.

        Args:
            spans: how long all sessions would last.
            times: arrivals of all sessions, lengths and transits of all pages; modified in place.
            ranges: the shortest and the longest time of each page.
        """
        sessions, places = np.flatnonzero((spans < self._shortest) | (spans > self.longest)), np.full(keys.size, -1)
        places[sessions] = np.arange(sessions.size)
        rows = np.flatnonzero(places.take(pages.session) >= 0)
        session, closed, gaps = places.take(pages.session.take(rows)), pages.closed.take(rows), pages.actions.take(rows)
        (arrival, length, transit), (low, high) = times, (limits.take(rows) for limits in ranges)
        spans = spans.take(sessions)

        def span(page: Integers, gap: int) -> Integers:
            return _sums(session, page + closed * gap, sessions.size) + gap

        shortest, longest = span(low, self.shortest_gap), span(high, self.longest_gap)
        too_short = longest < self._shortest  # the length of a session wins over the range of the gaps
        high = np.where(too_short.take(session), np.maximum(high, self._time.high.take(pages.journey.take(rows))), high)
        longest = span(high, self.longest_gap)
        least, most = np.maximum(shortest, self._shortest), np.minimum(longest, self.longest)
        words = draw(keys.take(sessions), self._purposes["duration"])
        target = np.where(least <= most, high_below(words, np.maximum(most - least + 1, 1)) + least, spans)
        too_long = shortest > self.longest  # ... and over the time on its page
        bare, minimum = np.minimum(low, self.shortest_gap * (gaps + 1)), MIN_GAP * (gaps + 1)
        bare_span = span(bare, self.shortest_gap)
        hurries = bare_span > self.longest  # ... and over that between two events, if there is no other way
        low = np.where(too_long.take(session), np.where(hurries.take(session), minimum, bare), low)
        shortest = np.where(too_long, np.where(hurries, span(minimum, MIN_GAP), bare_span), shortest)
        target = np.where(too_long, np.maximum(self.longest, shortest), target)

        shrinks = target < spans
        end = np.where(shrinks, shortest, longest)
        gap = np.where(shrinks, np.where(hurries, MIN_GAP, self.shortest_gap), self.longest_gap)
        ends = np.stack((np.where(shrinks.take(session), low, high), gap.take(session) * closed), axis=1)
        parts = np.stack((length.take(rows), transit.take(rows)), axis=1)
        first, parts = _moved(session, (arrival.take(sessions), parts), (gap, ends), _ratio(target - end, spans - end))
        arrival[sessions] = first
        length[rows], transit[rows] = parts.T


def _moved(
    session: Integers, times: tuple[Integers, Integers], ends: tuple[Integers, Integers], ratio: Floats
) -> tuple[Integers, Integers]:
    """Times moved towards one end of their ranges: the distance from there is multiplied by a ratio.

    Distances are rounded as sums, so that those of a session add up to the product of their sum.

    Args:
        session: of each page.
        times: the first of each session, and two of each page.
        ends: the same.
        ratio: of each session, from 0 to 1.
    """
    (first, parts), (first_end, part_ends) = times, ends
    first, distances = first - first_end, parts - part_ends
    sums = np.concatenate(([0], distances.ravel().cumsum()))
    before = first - sums.take(2 * np.searchsorted(session, np.arange(first.size)))
    reached = sums[1:].reshape(-1, 2) + before.take(session)[:, np.newaxis]
    rounded, first_rounded = _rounded(reached * ratio.take(session)[:, np.newaxis]), _rounded(first * ratio)
    previous = np.roll(rounded[:, 1], 1)
    opening = np.flatnonzero(np.diff(session, prepend=-1))
    previous[opening] = first_rounded.take(session.take(opening))
    return first_end + first_rounded, part_ends + np.diff(rounded, axis=1, prepend=previous[:, np.newaxis])


def _rounded(distances: Floats) -> Integers:
    """Whole numbers, rounded towards 0; a product of a time and a ratio may be a little off a whole number."""
    return np.trunc(distances + np.copysign(ROUNDING, distances)).astype(np.int64)


def _sums(session: Integers, values: Integers, count: int) -> Integers:
    """The sum of the values of each session; exact, as all of them are below 2^53."""
    return np.bincount(session, values, count).astype(np.int64)


def _ratio(part: Integers, whole: Integers) -> Floats:
    """Part / whole; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(part.size), where=whole != 0)
