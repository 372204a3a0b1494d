"""A site and its journeys as arrays of numbers, for many visitors at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from eventbus.catalog.model import Journey, Stop, Visitors
from eventbus.chains.randomness import Integers, Words, shares

NONE = -1


class PageElements(NamedTuple):
    """Things to click on each page: those of page p are `ids[first[p] : first[p] + size[p]]`."""

    ids: Integers
    first: Integers
    size: Integers

    @classmethod
    def of(cls, pages: Iterable[list[int]]) -> PageElements:
        every = list(pages)
        size = np.array([len(page) for page in every], np.int64)
        ids = np.array([number for page in every for number in page] or [NONE], np.int64)
        return cls(ids, size.cumsum() - size, size)

    def drawn(self, words: Words, page: Integers) -> Integers:
        """A thing to click on each page, by the word's lower 28 bits; NONE where there is none."""
        numbers = (words & np.uint64((1 << 28) - 1)).view(np.int64)
        size = self.size.take(page)
        numbers *= size
        numbers >>= 28
        numbers += self.first.take(page)
        found = self.ids.take(numbers, mode="clip")
        found[size == 0] = NONE
        return found


class JourneyStops(NamedTuple):
    """The ways of the journeys through the site; shape (journeys, stops), NONE where there is no stop or click."""

    length: Integers
    """Stops of each journey; 0: it wanders."""
    page: Integers
    onward: Integers
    """The click that leads to the next stop."""
    clicks: Integers
    """Those that belong to the stop, beside `onward`; shape (journeys, stops, clicks)."""
    asked: Integers
    """How many these are."""
    least: Integers
    """The same, and 1 more where `onward` belongs to the stop, too."""


class Site:
    """The site of some visitors, and the journeys that take part.

    Args:
        kinds: number of the emitter of each kind of click.
    """

    def __init__(self, visitors: Visitors, kinds: Mapping[str, int]) -> None:
        pages = {name: number for number, name in enumerate(visitors.pages)}
        clicks = visitors.clicks
        journeys = visitors.active_journeys
        self.pages = len(pages)
        #: By click: where it leads, and its emitter.
        self.target = np.array([pages[click.to] if click.to else NONE for _, click in clicks] or [NONE], np.int64)
        self.kind = np.array([kinds[click.kind] for _, click in clicks] or [NONE], np.int64)
        #: What can be clicked on a page without leaving it, and what leads away.
        self.here = PageElements.of(self._on_pages(visitors, leaving=False))
        self.away = PageElements.of(self._on_pages(visitors, leaving=True))
        self.edges: Words = np.array(shares([journey.weight for journey in journeys]), np.uint64)
        self.ways = self._ways(visitors, journeys, pages)

    def _on_pages(self, visitors: Visitors, *, leaving: bool) -> list[list[int]]:
        numbers = iter(range(len(visitors.clicks)))
        every = [[(next(numbers), click) for click in page.clicks] for page in visitors.pages.values()]
        return [[number for number, click in page if (click.to is not None) == leaving] for page in every]

    def _ways(self, visitors: Visitors, journeys: tuple[Journey, ...], pages: Mapping[str, int]) -> JourneyStops:
        numbers = {(page.name, click.element): n for n, (page, click) in enumerate(visitors.clicks)}
        longest = max((len(journey.stops) for journey in journeys), default=0) or 1
        deepest = max((len(stop.clicks) for journey in journeys for stop in journey.stops), default=0) or 1
        shape = len(journeys), longest
        page, onward, clicks = np.full(shape, NONE), np.full(shape, NONE), np.full((*shape, deepest), NONE)
        asked, least = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for at, stop, after in _stops(journeys):
            page[at] = pages[stop.page]
            own = [numbers[stop.page, element] for element in stop.clicks]
            onward[at] = self._onward(page[at], own, pages[after.page]) if after else NONE
            least[at] = len(own)
            own = [number for number in own if number != onward[at]]
            asked[at], clicks[at][: len(own)] = len(own), own
        return JourneyStops(np.array([len(journey.stops) for journey in journeys]), page, onward, clicks, asked, least)

    def _onward(self, page: int, own: list[int], after: int) -> int:
        """The click on a page that leads to another one; one of the stop's own, if there is one."""
        away = self.away.ids[self.away.first[page] :][: self.away.size[page]].tolist()
        ways = [number for number in away if self.target[number] == after]
        return next((number for number in [*own, *ways] if number in ways), NONE)


def _stops(journeys: tuple[Journey, ...]) -> Iterable[tuple[tuple[int, int], Stop, Stop | None]]:
    """Each stop of each journey, where it stands in the arrays, and the stop behind it."""
    for number, journey in enumerate(journeys):
        after = [*journey.stops[1:], None][: len(journey.stops)]  # none at all where there is no way
        for place, pair in enumerate(zip(journey.stops, after, strict=True)):
            yield (number, place), *pair
