"""What visitors do on the page that each of them has open: how long they stay, what they click, and where they go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.catalog.model import Journey, Range, Visitors
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose
from eventbus.chains.simulation.site import NONE, Site

# How long visitors take for everything, and how much of it they do.


SECOND = 1_000_000
LOADING, LEAVING, ENDING = Range(0.2, 1.5), Range(0.005, 0.06), Range(0.01, 0.5)
"""Seconds: before a page is there, from the click that leads away until it is closed, and from that to the end."""
LEAST = 1000
"""Microseconds between two events of a visitor: what all clocks tell apart."""
ENDLESS = 1 << 60


class JourneyRanges(NamedTuple):
    """Whole numbers, one range for each journey."""

    low: Integers
    high: Integers

    @classmethod
    def of(cls, ranges: Iterable[Range], unit: int = 1, least: int = 0) -> JourneyRanges:
        """Ranges, both ends included, but nothing below `least`."""
        every = [(round(one.low * unit), round(one.high * unit)) for one in ranges]
        low, high = np.array(every, np.int64).reshape(-1, 2).T
        return cls(np.maximum(low, least), np.maximum(high, least))

    def drawn(self, words: Words, journey: Integers) -> Integers:
        """One number for each random word, by the word's upper 28 bits."""
        numbers = (words >> np.uint64(36)).view(np.int64)
        numbers *= (self.high - self.low + 1).take(journey)
        numbers >>= 28
        numbers += self.low.take(journey)
        return numbers


class Timing(NamedTuple):
    """Ranges by journey; times are microseconds."""

    human: bool
    """Whether anybody waits; else everything takes no longer than need be."""
    pages: JourneyRanges
    """Of those who wander."""
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
        """The pace of those who take part."""
        behaviour, journeys = visitors.behaviour, visitors.active_journeys
        human, hurried = behaviour.human_like_delays, [Range(0, 0)] * len(journeys)

        def times(bounds: Range) -> JourneyRanges:
            return JourneyRanges.of([bounds] * len(journeys) if human else hurried, SECOND, LEAST)

        clicks, time = behaviour.clicks_per_page, behaviour.time_per_page
        return cls(
            human=human,
            pages=JourneyRanges.of([behaviour.pages_per_session] * len(journeys)),
            clicks=JourneyRanges.of((one.clicks_per_page or clicks).capped(clicks.high) for one in journeys),
            duration=JourneyRanges.of([behaviour.session_duration] * len(journeys), SECOND),
            action=times(behaviour.action_delay),
            loading=times(LOADING),
            leaving=times(LEAVING),
            ending=times(ENDING),
            time=JourneyRanges.of([_time(one, time) for one in journeys] if human else hurried, SECOND, LEAST),
        )

    @property
    def longest(self) -> int:
        """No session is longer."""
        return int(self.duration.high.max())


def _time(journey: Journey, general: Range) -> Range:
    return (journey.time_per_page or general).capped(general.high)


PLACES = 1 << 10
"""More than there are clicks on a page: keeps the draws of two pages apart."""


class OpenSessions(NamedTuple):
    """Sessions that are about to open a page, a value for each."""

    chain: Integers
    keys: Words
    began: Integers
    journey: Integers
    pages: Integers
    """How many were meant."""
    least: Integers
    """Time before which it should not be over."""
    end: Integers
    """Time by which the last page is closed."""
    ending: Integers
    """From then to the end of the session."""
    page: Integers
    previous: Integers
    """1 more than the page before; 0: none."""
    time: Integers
    """When the page is opened."""
    step: Integers
    """Of that event."""
    cause: Integers
    """Step of its cause."""
    caused: Integers
    """Time of its cause."""
    clicks: Integers
    """On the pages before."""

    def take(self, rows: Integers) -> OpenSessions:
        columns: list[Any] = [column.take(rows) for column in self]
        return OpenSessions(*columns)


class PageClicks(NamedTuple):
    """Clicks that do not lead away, those of each visit in a row."""

    visit: Integers
    """Row of the visit."""
    place: Integers
    """From 0 on each page."""
    click: Integers
    after: Integers
    """Microseconds since the page was opened."""

    def take(self, rows: Integers) -> PageClicks:
        return PageClicks(*(column.take(rows) for column in self))


class PageVisits(NamedTuple):
    """What happens on the pages of visits."""

    length: Integers
    """Microseconds until the page is closed."""
    clicked: PageClicks
    clicks: Integers
    """How many these are."""
    onward: Integers
    """The click that leads to the next page; NONE: there is none."""
    leaving: Integers
    """Microseconds from that click until the page is closed."""
    loading: Integers
    """Microseconds from then until the next page is there."""
    goes_on: npt.NDArray[np.bool_]
    page: Integers
    """The next one."""


class PageModel:
    """Decides about pages.

    Args:
        chain: name of the chain.
        fewest: pages of those who wander, unless their time is over.
    """

    def __init__(self, chain: str, site: Site, pace: Timing, fewest: int) -> None:
        self._site, self._pace, self._fewest = site, pace, fewest
        self._words = {name: purpose(f"{chain}/visit/{name}") for name in ("time", "clicks", "click", "leave", "way")}

    def on_page(self, visits: OpenSessions, number: int) -> PageVisits:
        """What happens on the pages that visits have open.

        Args:
            number: of the page in its session, from 0.
        """
        pace, journey = self._pace, visits.journey
        leave = self._draw(visits.keys, "leave", number)
        leaving, loading = pace.leaving.drawn(leave, journey), pace.loading.drawn(leave << np.uint64(28), journey)
        onward, page = self._ways(visits, number)
        clicks, onward = self._clicks(visits, onward, number)
        clicked, busy = self._clicked(visits, clicks, number)
        busy += np.where(onward >= 0, pace.action.drawn(leave << np.uint64(14), journey), 0)
        length, goes_on = self._length(visits, busy + leaving, loading, number)
        leaving = np.minimum(leaving, length // 2)
        until = length - leaving - (onward >= 0)
        kept = np.flatnonzero(clicked.after <= until.take(clicked.visit))
        clicked = clicked.take(kept)
        return PageVisits(
            length=length,
            clicked=clicked,
            clicks=np.bincount(clicked.visit, minlength=journey.size),
            onward=np.where(goes_on, onward, NONE),
            leaving=leaving,
            loading=loading,
            goes_on=goes_on,
            page=page,
        )

    def _draw(self, keys: Words, name: str, step: int | Integers) -> Words:
        return draw(keys, self._words[name], step)

    def _ways(self, visits: OpenSessions, number: int) -> tuple[Integers, Integers]:
        """The click that leads to the next page, and that page."""
        site, words = self._site, self._draw(visits.keys, "way", number)
        way = site.away.drawn(words, visits.page)
        anywhere = fraction(words).view(np.int64) * site.pages >> 32
        page = np.where(way >= 0, site.target.take(way), anywhere)
        stops = site.ways.length.take(visits.journey)
        onward = self._at_stop(site.ways.onward, visits, number)
        after = self._at_stop(site.ways.page, visits, number + 1)
        return np.where(stops > 0, onward, way), np.where(stops > 0, after, page)

    def _at_stop(self, values: Integers, visits: OpenSessions, number: int) -> Integers:
        return values[:, min(number, values.shape[1] - 1)].take(visits.journey)

    def _clicks(self, visits: OpenSessions, onward: Integers, number: int) -> tuple[Integers, Integers]:
        """How many clicks stay on the page, and the one that leads away: whoever does not click leaves without."""
        ways, page = self._site.ways, visits.page
        wanted = self._pace.clicks.drawn(self._draw(visits.keys, "clicks", number), visits.journey)
        asked = self._at_stop(ways.asked, visits, number)
        wanted = np.maximum(wanted, self._at_stop(ways.least, visits, number))
        last = visits.pages <= number + 1
        onward = np.where((wanted > asked) & ~last, onward, NONE)
        others = np.where(self._site.here.size.take(page) > 0, wanted - asked - (onward >= 0), 0)
        return asked + others, onward

    def _clicked(self, visits: OpenSessions, clicks: Integers, number: int) -> tuple[PageClicks, Integers]:
        """The clicks, and when the last of each visit is done."""
        visit = np.repeat(np.arange(clicks.size), clicks)
        ends = clicks.cumsum()
        place = np.arange(visit.size) - (ends - clicks).take(visit)
        words = self._draw(visits.keys.take(visit), "click", place + number * PLACES)
        done = np.concatenate(([0], self._pace.action.drawn(words, visits.journey.take(visit)).cumsum()))
        before = done.take(ends - clicks)
        click = self._elements(visits, words, visit, place - clicks.take(visit), number)
        return PageClicks(visit, place, click, done[1:] - before.take(visit)), done.take(ends) - before

    def _elements(self, visits: OpenSessions, words: Words, visit: Integers, place: Integers, number: int) -> Integers:
        """What is clicked: the stop's own clicks come last.

        Args:
            place: counted from the end, -1 is the last.
        """
        click = self._site.here.drawn(words, visits.page.take(visit))
        asked = self._at_stop(self._site.ways.asked, visits, number).take(visit)
        own = np.flatnonzero(place >= -asked)
        journey, place = visits.journey.take(visit.take(own)), (place + asked).take(own)
        click[own] = self._site.ways.clicks[journey, min(number, self._site.ways.page.shape[1] - 1), place]
        return click

    def _length(
        self, visits: OpenSessions, busy: Integers, loading: Integers, number: int
    ) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """How long pages are open, and which visits go on from there."""
        goes_on = visits.pages > number + 1
        if not self._pace.human:
            return busy, goes_on
        time, journey = self._pace.time, visits.journey
        low, high, left = time.low.take(journey), time.high.take(journey), visits.end - visits.time
        wanders = self._site.ways.length.take(journey) == 0
        reserve = max(self._fewest - 1 - number, 0) * (low + int(self._pace.loading.high.max()))
        most = np.minimum(high, np.maximum(left - np.where(wanders, reserve, 0), low))
        length = np.minimum(np.maximum(time.drawn(self._draw(visits.keys, "time", number), journey), busy), most)
        goes_on &= length + loading + low <= left
        stays = np.minimum(visits.least - visits.time, high)
        length = np.where(wanders & ~goes_on, np.maximum(length, stays), length)
        return np.maximum(np.minimum(length, left), LEAST), goes_on
