"""Walks all sessions of a chain of visitors together, one page of all of them at a time.

A page takes as long as it is looked at and clicked on, a session as long as it was meant to last: then the page that is
open is closed, and the session ends. Every draw is by session, page and click, so that a session is the same whatever
others there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from eventbus.catalog import Chain
from eventbus.catalog.model import Visitors
from eventbus.chains.randomness import Integers, Words, chain_keys, draw, fraction, purpose
from eventbus.chains.simulation.chains import EmitterIds, StateMachineSimulator, StepIds, follow, mark_terminal
from eventbus.chains.simulation.pages import ENDLESS, OpenSessions, PageModel, PageVisits, Timing
from eventbus.chains.simulation.policy import TransitionPolicy
from eventbus.chains.simulation.site import NONE, Site
from eventbus.chains.table import (
    ATTRIBUTES,
    BEGAN,
    CAUSE,
    CHAIN,
    CLICK,
    CLICKS,
    COLUMNS,
    DELAY,
    DURATION,
    EMITTER,
    NUMBER,
    PAGE,
    PREVIOUS,
    STEP,
    TERMINAL,
    TIME,
    EventTable,
)

# What clicks of visitors cause behind the scenes: chains of the catalog, under the correlation id of the session.


class ClickTriggers:
    """The chains that may be caused.

    Args:
        walk: of the sessions; its states say how often a click causes a chain that it may cause, and how soon.
        visitors: which click may cause which chain.
        children: walkers of these chains.
    """

    def __init__(
        self, walk: TransitionPolicy, visitors: Visitors, children: Mapping[str, StateMachineSimulator]
    ) -> None:
        ways = {kind: {child.chain: child for child in walk.caused_by(kind)} for kind in ("button", "link")}
        every = [(kind, name) for kind, some in ways.items() for name in some]
        self.children = [ways[kind][name] for kind, name in every]
        self.walkers = [children[name] for _, name in every]
        numbers = {key: number for number, key in enumerate(every)}
        #: By click: the number of the chain.
        self.of_click = np.array([numbers.get((c.kind, c.causes or ""), NONE) for _, c in visitors.clicks], np.int64)
        highest = max([walk.chain.max_steps, *(walker.highest for walker in self.walkers)])
        self.numbering = StepIds(1, highest.bit_length())

    @property
    def span(self) -> int:
        """The longest time from a click to the end of what it caused, microseconds."""
        pairs = zip(self.children, self.walkers, strict=True)
        return max((child.way.longest + walker.span for child, walker in pairs), default=0)

    def begin(self, root: int) -> TriggeredChains:
        """Of some sessions.

        Args:
            root: the random key of the run.
        """
        return TriggeredChains(self, root)


class TriggeredChains:
    """What the clicks of some sessions cause."""

    def __init__(self, consequences: ClickTriggers, root: int) -> None:
        self._consequences = consequences
        self._root = root
        self._first: list[list[EventTable]] = [[] for _ in consequences.children]

    def add(self, clicks: EventTable) -> None:
        """Notes the first events of the chains that clicks cause."""
        if not self._first or not len(clicks):
            return
        numbers = self._consequences.of_click.take(CLICK.get(clicks.attributes))
        for number, child in enumerate(self._consequences.children):
            events = clicks.take(np.flatnonzero(numbers == number))
            keys = chain_keys(self._root, events.chain)
            rows = np.flatnonzero(fraction(draw(keys, child.purpose, events.step)) < np.uint64(child.edge))
            events = events.take(rows)
            columns = follow(child.way, events, keys.take(rows), events.step, self._root)
            columns[STEP] = self._consequences.numbering.first(columns[STEP], 0)
            columns[ATTRIBUTES] = 0
            self._first[number].append(events)

    def events(self, ended: EventTable) -> Iterator[EventTable]:
        """All events of the chains that were caused, and the last ones of the sessions.

        Args:
            ended: these last ones; a session is over when what it caused is, too.
        """
        walkers = self._consequences.walkers
        first = [EventTable.concatenate(tables) for tables in self._first]
        made = [table for walker, some in zip(walkers, first, strict=True) for table in walker.caused(some, self._root)]
        caused = EventTable.concatenate(made)
        longer = np.isin(ended.chain, caused.chain)
        yield ended.take(np.flatnonzero(~longer))
        if len(caused):
            yield mark_terminal(EventTable.concatenate([ended.take(np.flatnonzero(longer)), caused]))


class SessionSimulator:
    """A walker of sessions (see `walker.Walker`).

    Args:
        walk: of a chain with visitors: says what clicks may cause, and how often.
        kinds: of the emitters.
        children: walkers of the chains that clicks may cause.
    """

    def __init__(
        self,
        walk: TransitionPolicy,
        kinds: EmitterIds,
        children: Mapping[str, StateMachineSimulator] = MappingProxyType({}),
    ) -> None:
        self.chain, visitors = walk.chain, walk.chain.visitors
        assert visitors is not None
        self._kinds = {**kinds.states, "created": kinds.root}
        self._site = Site(visitors, self._kinds)
        self._pace = Timing.of(visitors)
        self._most = visitors.max_pages
        self._dwelling = PageModel(
            self.chain.name, self._site, self._pace, fewest=int(visitors.behaviour.pages_per_session.low)
        )
        self._consequences = ClickTriggers(walk, visitors, children)
        self.span = longest_session(self.chain) + self._consequences.span

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of sessions: a few tables for the n-th page of each, until all are over."""
        visits, ended = self._begun(roots, chain_keys(root, roots.chain)), []
        caused = self._consequences.begin(root)
        yield roots
        for number in range(self._most):
            stays = self._dwelling.on_page(visits, number)
            yield self._visited(visits, number)
            clicked = self._clicked(visits, stays, number)
            caused.add(clicked)
            yield clicked
            closed, visits, over = self._closed(visits, stays, number)
            ended.append(over)
            yield closed
            if not visits.chain.size:
                break
        yield from caused.events(EventTable.concatenate(ended))

    def _begun(self, roots: EventTable, keys: Words) -> OpenSessions:
        """Completes the first events, and says what comes next."""

        def words(name: str) -> Words:
            return draw(keys, purpose(f"{self.chain.name}/visit/{name}"))

        pace, began, nothing = self._pace, roots.time, np.zeros(len(roots), np.int64)
        journey = self._site.edges.searchsorted(fraction(words("journey")), side="right")
        stops = self._site.ways.length.take(journey)
        duration = pace.duration.drawn(words("duration"), journey)
        ending = np.minimum(pace.ending.drawn(words("ending"), journey), duration // 4)
        anywhere = fraction(words("page")).view(np.int64) * self._site.pages >> 32
        page = np.where(stops > 0, self._site.ways.page[:, 0].take(journey), anywhere)
        roots.emitter[:] = self._kinds["created"]
        roots.attributes[:] = PAGE.put(page)
        return OpenSessions(
            chain=roots.chain,
            keys=keys,
            began=began,
            journey=journey,
            pages=np.where(stops > 0, stops, pace.pages.drawn(words("pages"), journey)),
            least=began + pace.duration.low.take(journey) - ending,
            end=began + (duration if pace.human else ENDLESS) - ending,
            ending=ending,
            page=page,
            previous=nothing,
            time=began + np.minimum(pace.loading.drawn(words("loading"), journey), duration // 2),
            step=nothing + 1,
            cause=nothing,
            caused=began,
            clicks=nothing,
        )

    def _visited(self, visits: OpenSessions, number: int) -> EventTable:
        item = PAGE.put(visits.page) | PREVIOUS.put(visits.previous) | NUMBER.put(number + 1)
        return _table(
            visits,
            time=visits.time,
            delay=visits.time - visits.caused,
            step=visits.step,
            cause=visits.cause,
            kind=self._kinds["visited"],
            item=item,
        )

    def _clicked(self, visits: OpenSessions, stays: PageVisits, number: int) -> EventTable:
        """All clicks: those that stay on the page, and those that lead away."""
        away = np.flatnonzero(stays.onward >= 0)
        visit = np.concatenate((stays.clicked.visit, away))
        click = np.concatenate((stays.clicked.click, stays.onward.take(away)))
        after = np.concatenate((stays.clicked.after, (stays.length - stays.leaving).take(away)))
        place = np.concatenate((stays.clicked.place, stays.clicks.take(away)))
        visits = visits.take(visit)
        return _table(
            visits,
            time=visits.time + after,
            delay=after,
            step=visits.step + 1 + place,
            cause=visits.step,
            kind=self._site.kind.take(click),
            item=PAGE.put(visits.page) | CLICK.put(click) | NUMBER.put(number + 1),
        )

    def _closed(
        self, visits: OpenSessions, stays: PageVisits, number: int
    ) -> tuple[EventTable, OpenSessions, EventTable]:
        """The events that close the pages, the visits that go on, and the last events of those that do not."""
        away = stays.onward >= 0
        clicks = stays.clicks + away
        step, time = visits.step + 1 + clicks, visits.time + stays.length
        item = PAGE.put(visits.page) | NUMBER.put(number + 1)
        closed = _table(
            visits,
            time=time,
            delay=stays.length,
            step=step,
            cause=visits.step,
            kind=self._kinds["closed"],
            item=item | CLICKS.put(clicks),
        )
        visits = visits._replace(
            page=stays.page,
            previous=visits.page + 1,
            time=time + stays.loading,
            step=step + 1,
            cause=step - away,
            caused=time - np.where(away, stays.leaving, 0),
            clicks=visits.clicks + clicks,
        )
        ended = self._ended(visits, np.flatnonzero(~stays.goes_on), item, time)
        return closed, visits.take(np.flatnonzero(stays.goes_on)), ended

    def _ended(self, visits: OpenSessions, rows: Integers, item: Integers, closed: Integers) -> EventTable:
        over, closed = visits.take(rows), closed.take(rows)
        duration = (closed + over.ending - over.began) // 1000
        return _table(
            over,
            time=closed + over.ending,
            delay=over.ending,
            step=over.step,
            cause=over.step - 1,
            kind=self._kinds["ended"],
            item=item.take(rows) | DURATION.put(duration) | CLICKS.put(over.clicks),
            last=1,
        )


def longest_session(chain: Chain) -> int:
    """No session of a chain is longer, microseconds."""
    assert chain.visitors is not None
    pace = Timing.of(chain.visitors)
    return pace.longest if pace.human else (chain.max_steps + 1) * int(pace.action.high.max())


def _table(
    visits: OpenSessions,
    *,
    time: Integers,
    delay: Integers,
    step: Integers,
    cause: Integers,
    kind: Integers | int,
    item: Integers,
    last: int = 0,
) -> EventTable:
    columns = np.empty((COLUMNS, time.size), np.int64)
    columns[CHAIN], columns[BEGAN] = visits.chain, visits.began
    columns[TIME], columns[DELAY], columns[STEP], columns[CAUSE] = time, delay, step, cause
    columns[EMITTER], columns[ATTRIBUTES], columns[TERMINAL] = kind, item, last
    return EventTable(columns)
