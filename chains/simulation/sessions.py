"""Simulates all visitor sessions of a chain together, one page of all of them at a time.

The duration of a session is drawn at its start; when it is over, the open page is closed and the session ends. Every
draw is identified by session, page and click, so that a session does not depend on the other sessions of its run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from eventbus.catalog import Chain
from eventbus.catalog.model import Visitors
from eventbus.chains.randomness import Integers, Words, chain_keys, draw, fraction, purpose
from eventbus.chains.simulation.chains import EmitterIds, StateMachineSimulator, follow, mark_terminal
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
    StepIds,
)

# Chains that clicks trigger, under the correlation id of the session.


class ClickTriggers:
    """The chains that clicks may trigger.

    Args:
        policy: of the sessions; its states say how often a click triggers a chain, and how soon.
        visitors: which click may trigger which chain.
        step_ids: of the sessions and of the chains that they trigger.
        children: simulators of these chains.
    """

    def __init__(
        self,
        policy: TransitionPolicy,
        visitors: Visitors,
        step_ids: StepIds,
        children: Mapping[str, StateMachineSimulator],
    ) -> None:
        by_kind = {
            kind: {trigger.chain: trigger for trigger in policy.triggers_of(kind)} for kind in ("button", "link")
        }
        pairs = [(kind, name) for kind, triggers in by_kind.items() for name in triggers]
        self.triggers = [by_kind[kind][name] for kind, name in pairs]
        self.simulators = [children[name] for _, name in pairs]
        numbers = {pair: number for number, pair in enumerate(pairs)}
        clicks = [numbers.get((click.kind, click.causes or ""), NONE) for _, click in visitors.clicks]
        #: By click: the number of its trigger.
        self.of_click = np.array(clicks, np.int64)
        self.step_ids = step_ids

    @property
    def span(self) -> int:
        """The longest time from a click to the end of what it triggered, microseconds."""
        pairs = zip(self.triggers, self.simulators, strict=True)
        return max((trigger.transition.longest + simulator.span for trigger, simulator in pairs), default=0)


class TriggeredChains:
    """The chains that the clicks of some sessions trigger.

    Args:
        root: the random key of the run.
    """

    def __init__(self, triggers: ClickTriggers, root: int) -> None:
        self._triggers = triggers
        self._root = root
        self._first: list[list[EventTable]] = [[] for _ in triggers.triggers]

    def add(self, clicks: EventTable) -> None:
        """Adds the first events of the chains that clicks trigger."""
        if not self._first or not len(clicks):
            return
        numbers = self._triggers.of_click.take(CLICK.get(clicks.attributes))
        for number, trigger in enumerate(self._triggers.triggers):
            events = clicks.take(np.flatnonzero(numbers == number))
            keys = chain_keys(self._root, events.chain)
            rows = np.flatnonzero(fraction(draw(keys, trigger.purpose, events.step)) < np.uint64(trigger.edge))
            events = events.take(rows)
            columns = follow(trigger.transition, events, keys.take(rows), events.step, self._root)
            columns[STEP] = self._triggers.step_ids.first(columns[STEP], 0)
            columns[ATTRIBUTES] = 0
            self._first[number].append(events)

    def events(self, ended: EventTable) -> Iterator[EventTable]:
        """All events of the triggered chains, and the last events of the sessions.

        Args:
            ended: these last events; a session is over when the chains that it triggered are over, too.
        """
        tables: list[EventTable] = []
        for simulator, first in zip(self._triggers.simulators, self._first, strict=True):
            tables += simulator.triggered_events(EventTable.concatenate(first), self._root)
        triggered = EventTable.concatenate(tables)
        has_triggered = np.isin(ended.chain, triggered.chain)
        yield ended.take(np.flatnonzero(~has_triggered))
        if len(triggered):
            yield mark_terminal(EventTable.concatenate([ended.take(np.flatnonzero(has_triggered)), triggered]))


class SessionSimulator:
    """Simulates visitor sessions (see `simulation.Simulator`).

    Args:
        policy: of a chain with visitors: what clicks may trigger, and how often.
        step_ids: of the sessions and of the chains that they trigger.
        children: simulators of the chains that clicks may trigger.
    """

    def __init__(
        self,
        policy: TransitionPolicy,
        emitters: EmitterIds,
        step_ids: StepIds,
        children: Mapping[str, StateMachineSimulator] = MappingProxyType({}),
    ) -> None:
        self.chain, visitors = policy.chain, policy.chain.visitors
        assert visitors is not None
        self._emitters = {**emitters.states, "created": emitters.root}
        self._site = Site(visitors, self._emitters)
        self._timing = Timing.of(visitors)
        self._max_pages = visitors.max_pages
        min_pages = int(visitors.behaviour.pages_per_session.low)
        self._page_model = PageModel(self.chain.name, self._site, self._timing, min_pages)
        self._triggers = ClickTriggers(policy, visitors, step_ids, children)
        self.span = longest_session(self.chain) + self._triggers.span

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of sessions: a few tables for the n-th page of each, until all sessions are over."""
        sessions, ended = self._begin(roots, chain_keys(root, roots.chain)), []
        triggered = TriggeredChains(self._triggers, root)
        yield roots
        for number in range(self._max_pages):
            visits = self._page_model.visits(sessions, number)
            yield self._visited(sessions, number)
            clicks = self._clicks(sessions, visits, number)
            triggered.add(clicks)
            yield clicks
            closed, sessions, over = self._close(sessions, visits, number)
            ended.append(over)
            yield closed
            if not sessions.chain.size:
                break
        yield from triggered.events(EventTable.concatenate(ended))

    def _begin(self, roots: EventTable, keys: Words) -> OpenSessions:
        """Completes the first events, and draws the sessions."""

        def words(name: str) -> Words:
            return draw(keys, purpose("visit", self.chain.name, name))

        timing, began, zeros = self._timing, roots.time, np.zeros(len(roots), np.int64)
        journey = self._site.edges.searchsorted(fraction(words("journey")), side="right")
        stops = self._site.stops.length.take(journey)
        duration = timing.duration.draw(words("duration"), journey)
        ending = np.minimum(timing.ending.draw(words("ending"), journey), duration // 4)
        anywhere = fraction(words("page")).view(np.int64) * self._site.pages >> 32
        page = np.where(stops > 0, self._site.stops.page[:, 0].take(journey), anywhere)
        roots.emitter[:] = self._emitters["created"]
        roots.attributes[:] = PAGE.put(page)
        return OpenSessions(
            chain=roots.chain,
            keys=keys,
            began=began,
            journey=journey,
            pages=np.where(stops > 0, stops, timing.pages.draw(words("pages"), journey)),
            min_end=began + timing.duration.low.take(journey) - ending,
            end=began + (duration if timing.human else ENDLESS) - ending,
            ending=ending,
            page=page,
            previous=zeros,
            time=began + np.minimum(timing.loading.draw(words("loading"), journey), duration // 2),
            step=zeros + 1,
            cause=zeros,
            cause_time=began,
            clicks=zeros,
        )

    def _visited(self, sessions: OpenSessions, number: int) -> EventTable:
        return _table(
            sessions,
            time=sessions.time,
            delay=sessions.time - sessions.cause_time,
            step=sessions.step,
            cause=sessions.cause,
            emitter=self._emitters["visited"],
            attributes=PAGE.put(sessions.page) | PREVIOUS.put(sessions.previous) | NUMBER.put(number + 1),
        )

    def _clicks(self, sessions: OpenSessions, visits: PageVisits, number: int) -> EventTable:
        """All clicks: those that stay on the page, and those that navigate away."""
        away = np.flatnonzero(visits.onward >= 0)
        session = np.concatenate((visits.clicked.session, away))
        click = np.concatenate((visits.clicked.click, visits.onward.take(away)))
        after = np.concatenate((visits.clicked.after, (visits.length - visits.leaving).take(away)))
        position = np.concatenate((visits.clicked.position, visits.clicks.take(away)))
        sessions = sessions.take(session)
        return _table(
            sessions,
            time=sessions.time + after,
            delay=after,
            step=sessions.step + 1 + position,
            cause=sessions.step,
            emitter=self._site.emitter.take(click),
            attributes=PAGE.put(sessions.page) | CLICK.put(click) | NUMBER.put(number + 1),
        )

    def _close(
        self, sessions: OpenSessions, visits: PageVisits, number: int
    ) -> tuple[EventTable, OpenSessions, EventTable]:
        """The events that close the pages, the sessions that continue, and the last events of the others."""
        away = visits.onward >= 0
        clicks = visits.clicks + away
        step, time = sessions.step + 1 + clicks, sessions.time + visits.length
        attributes = PAGE.put(sessions.page) | NUMBER.put(number + 1)
        closed = _table(
            sessions,
            time=time,
            delay=visits.length,
            step=step,
            cause=sessions.step,
            emitter=self._emitters["closed"],
            attributes=attributes | CLICKS.put(clicks),
        )
        sessions = sessions._replace(
            page=visits.page,
            previous=sessions.page + 1,
            time=time + visits.loading,
            step=step + 1,
            cause=step - away,
            cause_time=time - np.where(away, visits.leaving, 0),
            clicks=sessions.clicks + clicks,
        )
        ended = self._ended(sessions, np.flatnonzero(~visits.continues), attributes, time)
        return closed, sessions.take(np.flatnonzero(visits.continues)), ended

    def _ended(self, sessions: OpenSessions, rows: Integers, attributes: Integers, closed: Integers) -> EventTable:
        over, closed = sessions.take(rows), closed.take(rows)
        duration = (closed + over.ending - over.began) // 1000
        return _table(
            over,
            time=closed + over.ending,
            delay=over.ending,
            step=over.step,
            cause=over.step - 1,
            emitter=self._emitters["ended"],
            attributes=attributes.take(rows) | DURATION.put(duration) | CLICKS.put(over.clicks),
            terminal=1,
        )


def longest_session(chain: Chain) -> int:
    """No session of a chain lasts longer, microseconds."""
    assert chain.visitors is not None
    timing = Timing.of(chain.visitors)
    return timing.longest if timing.human else (chain.max_steps + 1) * int(timing.action.high.max())


def _table(
    sessions: OpenSessions,
    *,
    time: Integers,
    delay: Integers,
    step: Integers,
    cause: Integers,
    emitter: Integers | int,
    attributes: Integers,
    terminal: int = 0,
) -> EventTable:
    columns = np.empty((COLUMNS, time.size), np.int64)
    columns[CHAIN], columns[BEGAN] = sessions.chain, sessions.began
    columns[TIME], columns[DELAY], columns[STEP], columns[CAUSE] = time, delay, step, cause
    columns[EMITTER], columns[ATTRIBUTES], columns[TERMINAL] = emitter, attributes, terminal
    return EventTable(columns)
