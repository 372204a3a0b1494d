"""What visitors do on a page: how long it is open, what they click, and which page they open next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.catalog.model import Journey, Range, Visitors
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose
from eventbus.chains.simulation.site import NONE, Site
from eventbus.chains.table import SECOND

LOADING, LEAVING, ENDING = Range(0.2, 1.5), Range(0.005, 0.06), Range(0.01, 0.5)
"""Seconds: to load a page, from a navigation click until its page is closed, and from that to the end of a session."""
MIN_GAP = 1000
"""Microseconds between two events of a visitor: what every clock can tell apart."""
ENDLESS = 1 << 60


class JourneyRanges(NamedTuple):
    """Ranges of integers, one for each journey."""

    low: Integers
    high: Integers

    @classmethod
    def of(cls, ranges: Iterable[Range], unit: int = 1, minimum: int = 0) -> JourneyRanges:
        """Ranges with both ends included, but nothing below `minimum`."""
        bounds = [(round(limits.low * unit), round(limits.high * unit)) for limits in ranges]
        low, high = np.array(bounds, np.int64).reshape(-1, 2).T
        return cls(np.maximum(low, minimum), np.maximum(high, minimum))

    def draw(self, words: Words, journey: Integers) -> Integers:
        """A number of each journey's range, drawn by the upper 28 bits of the words."""
        numbers = (words >> np.uint64(36)).view(np.int64)
        numbers *= (self.high - self.low + 1).take(journey)
        numbers >>= 28
        numbers += self.low.take(journey)
        return numbers


class Timing(NamedTuple):
    """Ranges by journey; times are microseconds."""

    human: bool
    """Whether visitors take their time; otherwise everything takes as little time as possible."""
    pages: JourneyRanges
    """Of visitors who wander."""
    clicks: JourneyRanges
    duration: JourneyRanges
    action: JourneyRanges
    loading: JourneyRanges
    leaving: JourneyRanges
    ending: JourneyRanges
    time: JourneyRanges
    """On a page."""

    @classmethod
    def of(cls, visitors: Visitors) -> Timing:
        """The timing of the active journeys."""
        behaviour, journeys = visitors.behaviour, visitors.active_journeys
        human, hurried = behaviour.human_like_delays, [Range(0, 0)] * len(journeys)

        def times(limits: Range) -> JourneyRanges:
            return JourneyRanges.of([limits] * len(journeys) if human else hurried, SECOND, MIN_GAP)

        clicks, time = behaviour.clicks_per_page, behaviour.time_per_page
        return cls(
            human=human,
            pages=JourneyRanges.of([behaviour.pages_per_session] * len(journeys)),
            clicks=JourneyRanges.of((journey.clicks_per_page or clicks).capped(clicks.high) for journey in journeys),
            duration=JourneyRanges.of([behaviour.session_duration] * len(journeys), SECOND),
            action=times(behaviour.action_delay),
            loading=times(LOADING),
            leaving=times(LEAVING),
            ending=times(ENDING),
            time=JourneyRanges.of(
                [_time_per_page(journey, time) for journey in journeys] if human else hurried, SECOND, MIN_GAP
            ),
        )

    @property
    def longest(self) -> int:
        """No session lasts longer, microseconds."""
        return int(self.duration.high.max())


def _time_per_page(journey: Journey, default: Range) -> Range:
    return (journey.time_per_page or default).capped(default.high)


MAX_CLICKS = 1 << 10
"""Above the number of clicks on a page: keeps the draws of two pages apart."""


class OpenSessions(NamedTuple):
    """Sessions that are about to open a page, one value for each."""

    chain: Integers
    keys: Words
    began: Integers
    journey: Integers
    pages: Integers
    """Intended number of pages."""
    min_end: Integers
    """Time before which the session should not end."""
    end: Integers
    """Time by which the last page is closed."""
    ending: Integers
    """From then to the end of the session."""
    page: Integers
    previous: Integers
    """The page before, plus 1; 0: none."""
    time: Integers
    """When the page is opened."""
    step: Integers
    """Of that event."""
    cause: Integers
    """Step of its cause."""
    cause_time: Integers
    clicks: Integers
    """On the pages before."""

    def take(self, rows: Integers) -> OpenSessions:
        columns: list[Any] = [column.take(rows) for column in self]
        return OpenSessions(*columns)


class PageClicks(NamedTuple):
    """Clicks that stay on the page, grouped by session."""

    session: Integers
    """Row of the session."""
    position: Integers
    """On the page, from 0."""
    click: Integers
    after: Integers
    """Microseconds since the page was opened."""

    def take(self, rows: Integers) -> PageClicks:
        return PageClicks(*(column.take(rows) for column in self))


class PageVisits(NamedTuple):
    """What happens on the page that each session has open."""

    length: Integers
    """Microseconds until the page is closed."""
    clicked: PageClicks
    clicks: Integers
    """Number of these clicks."""
    onward: Integers
    """The click that leads to the next page; NONE: there is none."""
    leaving: Integers
    """Microseconds from that click until the page is closed."""
    loading: Integers
    """Microseconds from then until the next page is opened."""
    continues: npt.NDArray[np.bool_]
    page: Integers
    """The next one."""


class PageModel:
    """Draws what happens on pages.

    Args:
        chain: name of the chain.
        min_pages: of visitors who wander, unless the time of their session is over.
    """

    def __init__(self, chain: str, site: Site, timing: Timing, min_pages: int) -> None:
        self._site, self._timing, self._min_pages = site, timing, min_pages
        names = ("time", "clicks", "click", "leave", "way")
        self._purposes = {name: purpose("visit", chain, name) for name in names}

    def visits(self, sessions: OpenSessions, number: int) -> PageVisits:
        """What happens on the pages that sessions have open.

        Args:
            number: of the page in its session, from 0.
        """
        timing, journey = self._timing, sessions.journey
        leave = self._draw(sessions.keys, "leave", number)
        leaving, loading = timing.leaving.draw(leave, journey), timing.loading.draw(leave << np.uint64(28), journey)
        onward, page = self._next_pages(sessions, number)
        clicks, onward = self._click_counts(sessions, onward, number)
        clicked, busy = self._page_clicks(sessions, clicks, number)
        busy += np.where(onward >= 0, timing.action.draw(leave << np.uint64(14), journey), 0)
        length, continues = self._lengths(sessions, busy + leaving, loading, number)
        leaving = np.minimum(leaving, length // 2)
        until = length - leaving - (onward >= 0)
        clicked = clicked.take(np.flatnonzero(clicked.after <= until.take(clicked.session)))
        return PageVisits(
            length=length,
            clicked=clicked,
            clicks=np.bincount(clicked.session, minlength=journey.size),
            onward=np.where(continues, onward, NONE),
            leaving=leaving,
            loading=loading,
            continues=continues,
            page=page,
        )

    def _draw(self, keys: Words, name: str, step: int | Integers) -> Words:
        return draw(keys, self._purposes[name], step)

    def _next_pages(self, sessions: OpenSessions, number: int) -> tuple[Integers, Integers]:
        """The navigation click, and the page that it leads to."""
        site, words = self._site, self._draw(sessions.keys, "way", number)
        click = site.away.draw(words, sessions.page)
        anywhere = fraction(words).view(np.int64) * site.pages >> 32
        page = np.where(click >= 0, site.target.take(click), anywhere)
        stops = site.stops.length.take(sessions.journey)
        onward = self._at_stop(site.stops.onward, sessions, number)
        next_stop = self._at_stop(site.stops.page, sessions, number + 1)
        return np.where(stops > 0, onward, click), np.where(stops > 0, next_stop, page)

    def _at_stop(self, values: Integers, sessions: OpenSessions, number: int) -> Integers:
        return values[:, min(number, values.shape[1] - 1)].take(sessions.journey)

    def _click_counts(self, sessions: OpenSessions, onward: Integers, number: int) -> tuple[Integers, Integers]:
        """Number of in-page clicks, and the navigation click (NONE if the visitor navigates without one)."""
        stops = self._site.stops
        count = self._timing.clicks.draw(self._draw(sessions.keys, "clicks", number), sessions.journey)
        listed = self._at_stop(stops.other_clicks, sessions, number)
        count = np.maximum(count, self._at_stop(stops.min_clicks, sessions, number))
        is_last = sessions.pages <= number + 1
        onward = np.where((count > listed) & ~is_last, onward, NONE)
        free = np.where(self._site.in_page.size.take(sessions.page) > 0, count - listed - (onward >= 0), 0)
        return listed + free, onward

    def _page_clicks(self, sessions: OpenSessions, clicks: Integers, number: int) -> tuple[PageClicks, Integers]:
        """The in-page clicks, and the time of each session's last click since the page was opened."""
        session = np.repeat(np.arange(clicks.size), clicks)
        ends = clicks.cumsum()
        position = np.arange(session.size) - (ends - clicks).take(session)
        words = self._draw(sessions.keys.take(session), "click", position + number * MAX_CLICKS)
        actions = self._timing.action.draw(words, sessions.journey.take(session))
        elapsed = np.concatenate(([0], actions.cumsum()))
        before = elapsed.take(ends - clicks)
        click = self._elements(sessions, words, session, position - clicks.take(session), number)
        after = elapsed[1:] - before.take(session)
        return PageClicks(session, position, click, after), elapsed.take(ends) - before

    def _elements(
        self, sessions: OpenSessions, words: Words, session: Integers, position: Integers, number: int
    ) -> Integers:
        """The clicked elements; those that the stop lists come last.

        Args:
            position: counted from the end, -1 is the last.
        """
        stops = self._site.stops
        click = self._site.in_page.draw(words, sessions.page.take(session))
        listed = self._at_stop(stops.other_clicks, sessions, number).take(session)
        rows = np.flatnonzero(position >= -listed)
        journey, position = sessions.journey.take(session.take(rows)), (position + listed).take(rows)
        click[rows] = stops.clicks[journey, min(number, stops.page.shape[1] - 1), position]
        return click

    def _lengths(
        self, sessions: OpenSessions, busy: Integers, loading: Integers, number: int
    ) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """How long pages are open, and which sessions open another page."""
        continues = sessions.pages > number + 1
        if not self._timing.human:
            return busy, continues
        time, journey = self._timing.time, sessions.journey
        low, high, remaining = time.low.take(journey), time.high.take(journey), sessions.end - sessions.time
        wanders = self._site.stops.length.take(journey) == 0
        reserve = max(self._min_pages - 1 - number, 0) * (low + int(self._timing.loading.high.max()))
        longest = np.minimum(high, np.maximum(remaining - np.where(wanders, reserve, 0), low))
        length = np.maximum(time.draw(self._draw(sessions.keys, "time", number), journey), busy)
        length = np.minimum(length, longest)
        continues &= length + loading + low <= remaining
        required = np.minimum(sessions.min_end - sessions.time, high)
        length = np.where(wanders & ~continues, np.maximum(length, required), length)
        return np.maximum(np.minimum(length, remaining), MIN_GAP), continues
