"""What visitors do in their sessions: which pages they open, what they do there, and which page they open next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.catalog.model import SessionMeans, Visitors
from eventbus.chains.randomness import Integers, Words, draw, fraction, purpose, shares
from eventbus.chains.sampling import tilted_shares
from eventbus.chains.simulation.site import KINDS, LOW_BITS, NONE, Site, low_below
from eventbus.chains.simulation.timing import JourneyRanges, Pages, Timing

MAX_ACTIONS = 1 << 10
"""Above the number of actions on a page: keeps the draws of two pages apart."""


class SessionPlans(NamedTuple):
    """What is drawn for sessions as a whole, a value for each, and how their pages begin."""

    keys: Words
    journey: Integers
    pages: Integers
    """How many."""
    first: Integers
    """Row of the first page."""
    landing: Integers
    """The page that the session begins on."""
    ends: npt.NDArray[np.bool_]
    """Whether an event ends it; otherwise it is abandoned."""
    words: Words
    """Of each page: the upper bits are the number of clicks, the lower 28 the way to the next page."""
    clicks: Integers
    """Of each page: how many of its actions are clicks."""


class Actions(NamedTuple):
    """Clicks and other events on pages, page by page; a value for each."""

    row: Integers
    """Of the page among those of all sessions."""
    position: Integers
    """On the page, from 0."""
    words: Words
    """The upper 28 bits are the gap before it, the others select the element."""
    kind: Integers | None
    """Index into the kinds of the model's `states`; None: the kind of the element."""
    click: Integers
    """The element; NONE: it is not a click."""

    def take(self, rows: Integers) -> Actions:
        kind = None if self.kind is None else self.kind.take(rows)
        return Actions(
            self.row.take(rows), self.position.take(rows), self.words.take(rows), kind, self.click.take(rows)
        )


class Visits(NamedTuple):
    """Everything that happens in some sessions, without its times."""

    plans: SessionPlans
    pages: Pages
    page: Integers
    """The number of each page in the site."""
    onward: Integers
    """The last click on the page, if it leads to the next one; else NONE."""
    actions: Actions


class CountRange(NamedTuple):
    """The distribution of maximum entropy on a range of whole numbers, among those with its mean."""

    low: int
    edges: Words

    @classmethod
    def of(cls, low: int, high: int, mean: float) -> CountRange:
        """Of a mean that lies in the range."""
        return cls(low, np.array(shares(tilted_shares(low, high, mean)), np.uint64))

    def draw(self, words: Words) -> Integers:
        """A number for each word, by its upper 32 bits."""
        return self.edges.searchsorted(fraction(words), side="right") + self.low

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Of the numbers from `low` on."""
        return np.diff(self.edges.astype(np.float64), prepend=0) / (1 << 32)


class ShareModel:
    """The counts of sessions whose events have given shares of the stream."""

    def __init__(self, visitors: Visitors, means: SessionMeans, site: Site) -> None:
        pages, clicks = visitors.behaviour.pages_per_session, visitors.behaviour.clicks_per_page
        self.pages = CountRange.of(int(pages.low), int(pages.high), means.pages)
        self.clicks = CountRange.of(int(clicks.low), int(clicks.high), means.clicks_per_page)
        self.others = CountRange.of(0, visitors.max_others, means.others_per_page) if means.others else None
        #: The states of actions, by kind; clicks come first.
        self.states = (*KINDS, *means.others)
        kinds = [means.clicks.get(kind, 0.0) for kind in KINDS]
        self._click_edges = np.array(shares(kinds if any(kinds) else [1.0, 1.0]), np.uint64)
        self._other_edges = np.array(shares([*means.others.values()] or [1.0]), np.uint64)
        self.ends = round(means.ends * (1 << 32))
        self._closing = self._probabilities(means)
        self.always_closes = all(closing == 1 << LOW_BITS for closing in self._closing)
        #: By kind of click: the elements that stay on the page, and those that navigate away.
        self.elements = [site.of_kind(kind) for kind in range(len(KINDS))]

    def _probabilities(self, means: SessionMeans) -> Integers:
        """That a page is closed (× 2^28): one that is not the last, the last of a session that ends, and of another.

        The last page of a session that ends is the first to be closed, that of an abandoned session the last.
        """
        visiting = 1 - float(self.pages.probabilities[0]) if self.pages.low == 0 else 1.0
        expected = means.pages - visiting, visiting * means.ends, visiting * (1 - means.ends)
        left, closing = means.closes, np.zeros(3, np.int64)
        for place in (1, 0, 2):
            probability = min(left / expected[place], 1.0) if expected[place] > 1e-12 else 1.0
            closing[place] = round(probability * (1 << LOW_BITS))
            left = max(left - probability * expected[place], 0.0)
        return closing

    def closed(self, words: Words, is_last: npt.NDArray[np.bool_], ends: npt.NDArray[np.bool_]) -> Integers:
        """1 for pages that are closed, by the lower 28 bits of the words."""
        edges = self._closing.take(np.where(is_last, np.where(ends, 1, 2), 0))
        return (low_below(words, 1 << LOW_BITS) < edges).astype(np.int64)

    def kinds(self, words: Words, row: Integers, position: Integers, clicks: Integers) -> Integers:
        """The kind of each action.

        Args:
            row: of the page of each action.
            clicks: the number of clicks on each page; the other actions are spread among them.
        """
        kinds = self._click_edges.searchsorted(fraction(words), side="right")
        if self.others is None:
            return kinds
        others = np.flatnonzero(position >= clicks.take(row))
        kinds[others] = len(KINDS) + self._other_edges.searchsorted(fraction(words.take(others)), side="right")
        shuffled = np.empty_like(kinds)
        shuffled[np.lexsort((low_below(words, 1 << LOW_BITS), row))] = kinds
        return shuffled


class PageModel:
    """Draws what happens in sessions.

    Args:
        chain: its name.
    """

    def __init__(self, chain: str, visitors: Visitors, site: Site, timing: Timing) -> None:
        behaviour, journeys = visitors.behaviour, visitors.active_journeys
        self._site, self._timing = site, timing
        self._pages = JourneyRanges.of([behaviour.pages_per_session] * len(journeys))
        self._clicks = JourneyRanges.of(map(behaviour.clicks_of, journeys))
        self.shares = ShareModel(visitors, visitors.means, site) if visitors.means else None
        self._wanders = self.shares is not None or not site.stops.length.all()
        names = ("journey", "pages", "page", "end", "clicks", "others", "kind", "close", "click")
        self._purposes = {name: purpose("visit", chain, name) for name in names}

    def visits(self, keys: Words) -> Visits:
        """What happens in sessions.

        Args:
            keys: of the sessions.
        """
        plans, pages = self._plans(keys)
        last_kind, kinds = np.empty(0, np.int64), None
        row, position = _places(pages.actions)
        steps = position + pages.number.take(row) * MAX_ACTIONS
        of_row = pages.keys.take(row)
        words = draw(of_row, self._purposes["click"], steps)
        if self.shares:
            kinds = self.shares.kinds(draw(of_row, self._purposes["kind"], steps), row, position, plans.clicks)
            last_kind = np.full(pages.number.size, NONE)
            acting = np.flatnonzero(pages.actions)
            last_kind[acting] = kinds.take(pages.actions.cumsum().take(acting) - 1)
        page, onward = self._path(plans, pages, last_kind)
        actions = Actions(row, position, words, kinds, np.full(row.size, NONE))
        actions = actions._replace(click=self._elements(pages, page, onward, actions))
        missing = actions.click == NONE if kinds is None else (actions.click == NONE) & (kinds < len(KINDS))
        if missing.any():  # on pages that have nothing to click
            actions = actions.take(np.flatnonzero(~missing))
            pages = pages._replace(actions=np.bincount(actions.row, minlength=page.size))
            actions = actions._replace(position=_places(pages.actions)[1])
        return Visits(plans, pages, page, onward, actions)

    def _word(self, keys: Words, name: str, step: int | Integers = 0) -> Words:
        return draw(keys, self._purposes[name], step)

    def _plans(self, keys: Words) -> tuple[SessionPlans, Pages]:
        """The sessions and their pages."""
        site, stops = self._site, self._site.stops
        journey = site.edges.searchsorted(fraction(self._word(keys, "journey")), side="right")
        counts = length = stops.length.take(journey)
        landing, ends = stops.page[:, 0].take(journey), np.ones(keys.size, np.bool_)
        if self.shares:
            counts = self.shares.pages.draw(self._word(keys, "pages"))
            ends = fraction(self._word(keys, "end")) < np.uint64(self.shares.ends)
        elif self._wanders:
            counts = np.where(length > 0, length, self._pages.draw(self._word(keys, "pages"), journey))
        if self._wanders:
            anywhere = fraction(self._word(keys, "page")).view(np.int64) * site.pages >> 32
            landing = np.where(length > 0, landing, anywhere)
        session, number = _places(counts)
        of_page = keys.take(session)
        words = self._word(of_page, "clicks", number)
        clicks = self._click_counts(words, journey.take(session), number)
        pages = Pages(session, number, of_page, journey.take(session), clicks, np.ones(session.size, np.int64))
        first = counts.cumsum() - counts
        if self._timing.may_overrun:
            counts = self._timing.max_pages(pages, first, counts)
            rows = np.flatnonzero(number < counts.take(session))
            pages = Pages(*(column.take(rows) for column in pages))  # type: ignore[arg-type]
            words, first = words.take(rows), counts.cumsum() - counts
        plans = SessionPlans(keys, journey, counts, first, landing, ends, words, pages.actions)
        if not self.shares:
            return plans, pages
        if self.shares.others:
            others = self.shares.others.draw(self._word(pages.keys, "others", pages.number))
            pages = pages._replace(actions=plans.clicks + others)
        if not self.shares.always_closes:
            is_last = pages.number + 1 == counts.take(pages.session)
            closing = self._word(pages.keys, "close", pages.number)
            pages = pages._replace(closed=self.shares.closed(closing, is_last, ends.take(pages.session)))
        return plans, pages

    def _click_counts(self, words: Words, journey: Integers, number: Integers) -> Integers:
        """The number of clicks on each page."""
        if self.shares:
            return self.shares.clicks.draw(words)
        stops = self._site.stops
        return np.maximum(self._clicks.draw(words, journey), stops.at(stops.min_clicks, journey, number))

    def _path(self, plans: SessionPlans, pages: Pages, last_kind: Integers) -> tuple[Integers, Integers]:
        """The pages that sessions open, and the clicks that lead from each to the next.

        Args:
            last_kind: the kind of the last action on each page, of visitors whose events have shares.
        """
        stops = self._site.stops
        if not self._wanders:
            onward = stops.at(stops.onward, pages.journey, pages.number)
            listed = stops.at(stops.other_clicks, pages.journey, pages.number)
            onward = np.where(pages.actions > listed, onward, NONE)
            if self._timing.may_overrun:
                onward[plans.first + plans.pages - 1] = NONE
            return stops.at(stops.page, pages.journey, pages.number), onward
        page, onward = np.empty(pages.number.size, np.int64), np.full(pages.number.size, NONE)
        sessions = np.flatnonzero(plans.pages)
        current, number = plans.landing.take(sessions), 0
        while sessions.size:
            rows = plans.first.take(sessions) + number
            page[rows] = current
            number += 1
            more = np.flatnonzero(plans.pages.take(sessions) > number)
            sessions, rows, current = sessions.take(more), rows.take(more), current.take(more)
            onward[rows], current = self._onward(pages, rows, current, plans.words.take(rows), last_kind)
        return page, onward

    def _onward(
        self, pages: Pages, rows: Integers, page: Integers, words: Words, last_kind: Integers
    ) -> tuple[Integers, Integers]:
        """The clicks that lead from pages to the next ones, NONE if there is none, and those pages."""
        site, stops = self._site, self._site.stops
        journey, number = pages.journey.take(rows), pages.number.take(rows)
        away = site.away.draw(words, page)
        target = np.where(away >= 0, site.target.take(away), low_below(words, site.pages))
        click = away
        if self.shares:
            kind = last_kind.take(rows)
            click = np.full(rows.size, NONE)
            for number_of_kind, (_, leaving) in enumerate(self.shares.elements):
                of_kind = np.flatnonzero(kind == number_of_kind)
                click[of_kind] = leaving.draw(words.take(of_kind), page.take(of_kind))
            target = np.where(click >= 0, site.target.take(click), target)
        planned = stops.length.take(journey) > number + 1
        click = np.where(planned, stops.at(stops.onward, journey, number), click)
        target = np.where(planned, stops.at(stops.page, journey, number + 1), target)
        if self.shares:
            possible = site.kind.take(click) == kind
        else:
            listed = np.where(planned, stops.at(stops.other_clicks, journey, number), 0)
            possible = pages.actions.take(rows) > listed
        return np.where(possible, click, NONE), target

    def _elements(self, pages: Pages, page: Integers, onward: Integers, actions: Actions) -> Integers:
        """The clicked elements: the last of a page leads to the next one; those that its stop lists come before it."""
        site, stops, row, words, kinds = self._site, self._site.stops, actions.row, actions.words, actions.kind
        if kinds is None or self.shares is None:
            click = site.in_page.draw(words, page.take(row))
        else:
            click = actions.click.copy()
            for kind, (staying, _) in enumerate(self.shares.elements):
                of_kind = np.flatnonzero(kinds == kind)
                click[of_kind] = staying.draw(words.take(of_kind), page.take(row.take(of_kind)))
        ends = pages.actions.cumsum()
        listed = stops.at(stops.other_clicks, pages.journey, pages.number)
        listed[pages.number >= stops.length.take(pages.journey)] = 0
        for place in range(int(stops.other_clicks.max(initial=0))):  # from the last that the stop lists
            after = (onward >= 0) + place
            at = np.flatnonzero((listed > place) & (after < pages.actions))
            element = stops.at(stops.clicks, pages.journey.take(at), pages.number.take(at))
            element = element[np.arange(at.size), listed.take(at) - 1 - place]
            where = (ends - 1 - after).take(at)
            if kinds is not None:
                same = np.flatnonzero(site.kind.take(element) == kinds.take(where))
                element, where = element.take(same), where.take(same)
            click[where] = element
        leading = np.flatnonzero(onward >= 0)
        click[ends.take(leading) - 1] = onward.take(leading)
        return click


def _places(counts: Integers) -> tuple[Integers, Integers]:
    """For each member of groups of these sizes: its group, and its place there."""
    group = np.repeat(np.arange(counts.size), counts)
    return group, np.arange(group.size) - (counts.cumsum() - counts).take(group)
