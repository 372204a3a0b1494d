"""A web site and its journeys as arrays, for many visitors at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from eventbus.catalog.model import Click, Journey, Stop, Visitors
from eventbus.chains.randomness import Integers, Words, shares

NONE = -1
KINDS = ("button", "link")
LOW_BITS = 28
LOW_MASK = np.uint64((1 << LOW_BITS) - 1)


def low_below(words: Words, counts: Integers | int) -> Integers:
    """Uniform integers from 0 to `counts` - 1, by the lower 28 bits of the words."""
    numbers = (words & LOW_MASK).view(np.int64)
    numbers *= counts
    numbers >>= LOW_BITS
    return numbers


class PageElements(NamedTuple):
    """Some elements of each page that can be clicked: those of page p are `ids[first[p] : first[p] + size[p]]`."""

    ids: Integers
    first: Integers
    size: Integers

    @classmethod
    def of(cls, pages: Iterable[list[int]]) -> PageElements:
        """The elements of pages, by page."""
        by_page = list(pages)
        size = np.array([len(page) for page in by_page], np.int64)
        ids = np.array([number for page in by_page for number in page] or [NONE], np.int64)
        return cls(ids, size.cumsum() - size, size)

    def draw(self, words: Words, page: Integers) -> Integers:
        """An element of each page, drawn by the lower 28 bits of the words; NONE if the page has none."""
        size = self.size.take(page)
        numbers = low_below(words, size)
        numbers += self.first.take(page)
        elements = self.ids.take(numbers, mode="clip")
        if not self.size.all():
            elements[size == 0] = NONE
        return elements


class JourneyStops(NamedTuple):
    """The stops of the journeys; shape (journeys, stops), NONE where there is no stop or click."""

    length: Integers
    """Stops of each journey; 0: the visitor wanders."""
    page: Integers
    onward: Integers
    """The click that leads to the next stop."""
    clicks: Integers
    """The other clicks that the stop lists; shape (journeys, stops, clicks)."""
    other_clicks: Integers
    """Number of these clicks."""
    min_clicks: Integers
    """Number of all clicks that the stop lists, `onward` included."""

    def at(self, values: Integers, journey: Integers, number: Integers) -> Integers:
        """The values of these attributes at stops; of the last stop where there are no more."""
        stops = values.shape[1]
        rows = journey * stops + np.minimum(number, stops - 1)
        at: Integers = values.reshape(-1, *values.shape[2:]).take(rows, axis=0)
        return at


class Site:
    """The site of some visitors, and the journeys that take part.

    Args:
        emitters: index of the emitter of each kind of click.
    """

    def __init__(self, visitors: Visitors, emitters: Mapping[str, int]) -> None:
        self._pages = {name: number for number, name in enumerate(visitors.pages)}
        numbers = iter(range(len(visitors.clicks)))
        self._clicks = [[(next(numbers), click) for click in page.clicks] for page in visitors.pages.values()]
        clicks, journeys = [click for _, click in visitors.clicks], visitors.active_journeys
        self.pages = len(self._pages)
        #: By click: the page it leads to, its emitter, and its kind.
        self.target = np.array([self._pages[click.to] if click.to else NONE for click in clicks] or [NONE], np.int64)
        self.emitter = np.array([emitters[click.kind] for click in clicks] or [NONE], np.int64)
        self.kind = np.array([KINDS.index(click.kind) for click in clicks] or [NONE], np.int64)
        #: The elements that stay on the page, and those that navigate away.
        self.in_page = PageElements.of(self._where(lambda click: click.to is None))
        self.away = PageElements.of(self._where(lambda click: click.to is not None))
        self.edges: Words = np.array(shares([journey.weight for journey in journeys]), np.uint64)
        self.stops = self._stops(visitors, journeys)

    def of_kind(self, kind: int) -> tuple[PageElements, PageElements]:
        """The elements of a kind that stay on the page, or the nearest to them, and those that navigate away."""
        name = KINDS[kind]
        away = self._where(lambda click: click.kind == name and click.to is not None)
        preferences = (
            self._where(lambda click: click.kind == name and click.to is None),
            away,
            self._where(lambda _: True),
        )
        staying = [next(filter(None, choices), []) for choices in zip(*preferences, strict=True)]
        return PageElements.of(staying), PageElements.of(away)

    def _where(self, condition: Callable[[Click], bool]) -> list[list[int]]:
        return [[number for number, click in page if condition(click)] for page in self._clicks]

    def _stops(self, visitors: Visitors, journeys: tuple[Journey, ...]) -> JourneyStops:
        numbers = {(page.name, click.element): n for n, (page, click) in enumerate(visitors.clicks)}
        max_stops = max((len(journey.stops) for journey in journeys), default=0) or 1
        max_clicks = max((len(stop.clicks) for journey in journeys for stop in journey.stops), default=0) or 1
        shape = len(journeys), max_stops
        page, onward, clicks = np.full(shape, NONE), np.full(shape, NONE), np.full((*shape, max_clicks), NONE)
        other_clicks, min_clicks = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for at, stop, following in _indexed_stops(journeys):
            page[at] = self._pages[stop.page]
            listed = [numbers[stop.page, element] for element in stop.clicks]
            onward[at] = self._onward(page[at], listed, self._pages[following.page]) if following else NONE
            min_clicks[at] = len(listed)
            staying = [number for number in listed if number != onward[at]]
            other_clicks[at], clicks[at][: len(staying)] = len(staying), staying
        length = np.array([len(journey.stops) for journey in journeys])
        return JourneyStops(length, page, onward, clicks, other_clicks, min_clicks)

    def _onward(self, page: int, listed: list[int], target: int) -> int:
        """The click on a page that leads to another page; one that the stop lists, if there is one."""
        away = self.away.ids[self.away.first[page] :][: self.away.size[page]].tolist()
        onward = [number for number in away if self.target[number] == target]
        return next((number for number in [*listed, *onward] if number in onward), NONE)


def _indexed_stops(journeys: tuple[Journey, ...]) -> Iterable[tuple[tuple[int, int], Stop, Stop | None]]:
    """Each stop of each journey, with its index in the arrays before it and the following stop after it."""
    for number, journey in enumerate(journeys):
        following = [*journey.stops[1:], None][: len(journey.stops)]  # empty for a journey without stops
        for position, pair in enumerate(zip(journey.stops, following, strict=True)):
            yield (number, position), *pair
