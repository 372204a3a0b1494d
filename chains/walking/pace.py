"""How long visitors take for everything, and how much of it they do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from eventbus.catalog.model.visitors import Journey, Range, Visitors
from eventbus.chains.randomness import Integers, Words

SECOND = 1_000_000
LOADING, LEAVING, ENDING = Range(0.2, 1.5), Range(0.005, 0.06), Range(0.01, 0.5)
"""Seconds: before a page is there, from the click that leads away until it is closed, and from that to the end."""
LEAST = 1000
"""Microseconds between two events of a visitor: what all clocks tell apart."""
ENDLESS = 1 << 60


class Bounds(NamedTuple):
    """Whole numbers, one range for each journey."""

    low: Integers
    high: Integers

    @classmethod
    def of(cls, ranges: Iterable[Range], unit: int = 1, least: int = 0) -> Bounds:
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


class Pace(NamedTuple):
    """Ranges by journey; times are microseconds."""

    human: bool
    """Whether anybody waits; else everything takes no longer than need be."""
    pages: Bounds
    """Of those who wander."""
    clicks: Bounds
    duration: Bounds
    action: Bounds
    loading: Bounds
    leaving: Bounds
    ending: Bounds
    time: Bounds
    """On a page."""

    @classmethod
    def of(cls, visitors: Visitors) -> Pace:
        """The pace of those who take part."""
        behaviour, journeys = visitors.behaviour, visitors.chosen
        human, hurried = behaviour.human_like_delays, [Range(0, 0)] * len(journeys)

        def times(bounds: Range) -> Bounds:
            return Bounds.of([bounds] * len(journeys) if human else hurried, SECOND, LEAST)

        clicks, time = behaviour.clicks_per_page, behaviour.time_per_page
        return cls(
            human=human,
            pages=Bounds.of([behaviour.pages_per_session] * len(journeys)),
            clicks=Bounds.of((one.clicks_per_page or clicks).below(clicks.high) for one in journeys),
            duration=Bounds.of([behaviour.session_duration] * len(journeys), SECOND),
            action=times(behaviour.action_delay),
            loading=times(LOADING),
            leaving=times(LEAVING),
            ending=times(ENDING),
            time=Bounds.of([_time(one, time) for one in journeys] if human else hurried, SECOND, LEAST),
        )

    @property
    def longest(self) -> int:
        """No session is longer."""
        return int(self.duration.high.max())


def _time(journey: Journey, general: Range) -> Range:
    return (journey.time_per_page or general).below(general.high)
