"""Simulates many visitor sessions of a chain together: all their pages at once, then all their clicks.

A session is created; its pages are visited one after the other, with clicks and other events on the open page, which is
closed or replaced by the next one; and it ends. Every draw is identified by session, page and click, so that a session
does not depend on the other sessions of its run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Chain
from eventbus.catalog.model import SESSION_STATES, Visitors
from eventbus.chains.randomness import Integers, Words, chain_keys, draw, fraction
from eventbus.chains.simulation.chains import EmitterIds, StateMachineSimulator, follow, mark_terminal
from eventbus.chains.simulation.pages import PageModel, Visits
from eventbus.chains.simulation.policy import TransitionPolicy
from eventbus.chains.simulation.site import NONE, Site
from eventbus.chains.simulation.timing import PageTimes, Timing
from eventbus.chains.table import (
    ATTRIBUTES,
    CLICK,
    CLICKS,
    COLUMNS,
    DURATION,
    NUMBER,
    PAGE,
    PREVIOUS,
    STEP,
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

    def events(self, clicks: EventTable, root: int) -> EventTable:
        """All events of the chains that clicks trigger; none is marked as terminal.

        Args:
            root: the random key of the run.
        """
        numbers, tables = self.of_click.take(CLICK.get(clicks.attributes)), list[EventTable]()
        for number, (trigger, simulator) in enumerate(zip(self.triggers, self.simulators, strict=True)):
            events = clicks.take(np.flatnonzero(numbers == number))
            keys = chain_keys(root, events.chain)
            rows = np.flatnonzero(fraction(draw(keys, trigger.purpose, events.step)) < np.uint64(trigger.edge))
            events = events.take(rows)
            columns = follow(trigger.transition, events, keys.take(rows), events.step, root)
            columns[STEP] = self.step_ids.first(columns[STEP], 0)
            columns[ATTRIBUTES] = 0
            tables += simulator.triggered_events(events, root)
        return EventTable.concatenate(tables)


def _mark_ends(ended: EventTable, triggered: EventTable) -> None:
    """Marks the last events: a session is over when the chains that it triggered are over, too.

    Args:
        ended: the last event of each session; it and the triggered events are modified.
    """
    ended.terminal[:] = 1
    rows = np.flatnonzero(np.isin(ended.chain, triggered.chain))
    marked = mark_terminal(EventTable.concatenate([ended.take(rows), triggered]))
    ended.terminal[rows], triggered.terminal[:] = marked.terminal[: rows.size], marked.terminal[rows.size :]


# The sessions.


class Timeline(NamedTuple):
    """What happens in sessions, and when: values for each page, unless they are described otherwise."""

    roots: EventTable
    """The first events of the sessions."""
    visits: Visits
    times: PageTimes
    opened: Integers
    """Microseconds since the Unix epoch."""
    step: Integers
    """Of the visit."""
    clicks: Integers
    """Number of clicks."""
    after: Integers
    """Of each action: microseconds since its page was opened."""
    cause: Integers
    """Step of the event that causes the one after the page: the click that leads on, the closing, or else the visit."""
    cause_time: Integers


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
        self._emitters = {**dict.fromkeys(SESSION_STATES, NONE), **emitters.states, "created": emitters.root}
        self._site = Site(visitors, self._emitters)
        self._timing = Timing(self.chain.name, visitors)
        self._model = PageModel(self.chain.name, visitors, self._site, self._timing)
        states = self._model.shares.states if self._model.shares else ()
        self._action_emitters = np.array([self._emitters[state] for state in states], np.int64)
        self._triggers = ClickTriggers(policy, visitors, step_ids, children)
        self.span = self._timing.longest + self._triggers.span

    def events(self, roots: EventTable, root: int) -> Iterator[EventTable]:
        """The events of sessions, and those of the chains that they trigger."""
        timeline = self._timeline(roots, chain_keys(root, roots.chain))
        plans, pages = timeline.visits.plans, timeline.visits.pages
        closed, ended = np.flatnonzero(pages.closed), np.flatnonzero(plans.ends)
        sizes = len(roots), pages.session.size, timeline.after.size, closed.size, ended.size
        starts = np.cumsum([0, *sizes]).tolist()
        events = EventTable(np.zeros((COLUMNS, starts[-1]), np.int64))
        parts = [events[start:stop] for start, stop in pairwise(starts)]
        self._put_created(parts[0], timeline)
        self._put_visited(parts[1], timeline)
        self._put_actions(parts[2], timeline)
        self._put_closed(parts[3], timeline, closed)
        self._put_ended(parts[4], timeline, ended)
        abandoned = np.flatnonzero(~plans.ends)
        if abandoned.size:
            self._mark_abandoned(events, timeline, abandoned, starts)
        if self._triggers.triggers:
            triggered = self._triggers.events(parts[2], root)
            _mark_ends(parts[4], triggered)
            yield triggered
        yield events

    def _timeline(self, roots: EventTable, keys: Words) -> Timeline:
        visits = self._model.visits(keys)
        pages, actions, timing = visits.pages, visits.actions, self._timing
        times = timing.times(keys, pages)
        opened = roots.time.take(pages.session) + times.opened
        events = np.concatenate(([0], (1 + pages.actions + pages.closed).cumsum()))
        step = 1 + events[:-1] - events.take(visits.plans.first).take(pages.session)
        # the actions of a page come after gaps that add up
        gaps, ends = np.concatenate(([0], timing.gaps(actions.words).cumsum())), pages.actions.cumsum()
        before = gaps.take(ends - pages.actions)
        offset, scale = timing.fitting(pages, times.length, gaps.take(ends) - before + times.leave)
        after = scale.take(actions.row)
        after *= gaps[1:] - before.take(actions.row)
        after += offset.take(actions.row) * (actions.position + 1)
        elapsed = after.astype(np.int64)
        leads = np.flatnonzero(visits.onward >= 0)
        cause = step + pages.closed * (pages.actions + 1)
        cause[leads] = (step + pages.actions).take(leads)
        cause_time = opened + pages.closed * times.length
        cause_time[leads] = opened.take(leads) + elapsed.take(ends.take(leads) - 1)
        clicks = pages.actions
        if self._model.shares and self._model.shares.others:
            clicks = np.bincount(actions.row, actions.click >= 0, clicks.size).astype(np.int64)
        return Timeline(roots, visits, times, opened, step, clicks, elapsed, cause, cause_time)

    def _put_created(self, events: EventTable, timeline: Timeline) -> None:
        events.columns[:] = timeline.roots.columns
        events.emitter[:] = self._emitters["created"]
        events.attributes[:] = PAGE.put(timeline.visits.plans.landing)

    def _put_visited(self, events: EventTable, timeline: Timeline) -> None:
        pages = timeline.visits.pages
        self._put(events, timeline.roots, pages.session, time=timeline.opened, step=timeline.step)
        first = np.flatnonzero(pages.number == 0)
        events.cause[1:], events.cause[first] = timeline.cause[:-1], 0
        causes = np.roll(timeline.cause_time, 1)
        causes[first] = events.began.take(first)
        events.delay[:] = timeline.opened - causes
        events.emitter[:] = self._emitters["visited"]
        events.attributes[:] = _seen(timeline)

    def _put_actions(self, events: EventTable, timeline: Timeline) -> None:
        actions, pages = timeline.visits.actions, timeline.visits.pages
        row, step = actions.row, timeline.step.take(actions.row)
        self._put(
            events,
            timeline.roots,
            pages.session.take(row),
            time=timeline.opened.take(row) + timeline.after,
            step=step + actions.position + 1,
        )
        events.delay[:], events.cause[:] = timeline.after, step
        events.emitter[:] = self._site.emitter.take(actions.click)
        events.attributes[:] = _page(timeline).take(row) | CLICK.put(actions.click)
        if actions.kind is not None:
            others = np.flatnonzero(actions.click == NONE)
            events.emitter[others] = self._action_emitters.take(actions.kind.take(others))
            events.attributes[others] = _seen(timeline).take(row.take(others))

    def _put_closed(self, events: EventTable, timeline: Timeline, rows: Integers) -> None:
        """The events that close pages, in some rows."""
        pages, length = timeline.visits.pages, timeline.times.length.take(rows)
        step = timeline.step.take(rows)
        self._put(
            events,
            timeline.roots,
            pages.session.take(rows),
            time=timeline.opened.take(rows) + length,
            step=step + pages.actions.take(rows) + 1,
        )
        events.delay[:], events.cause[:] = length, step
        events.emitter[:] = self._emitters["closed"]
        events.attributes[:] = (_page(timeline) | CLICKS.put(timeline.clicks)).take(rows)

    def _put_ended(self, events: EventTable, timeline: Timeline, sessions: Integers) -> None:
        """The last events of sessions, in some rows; one without pages ends where its first page would be visited."""
        plans, pages, times = timeline.visits.plans, timeline.visits.pages, timeline.times
        began, count = timeline.roots.time.take(sessions), plans.pages.take(sessions)
        visiting = np.flatnonzero(count)
        last = (plans.first.take(sessions) + count - 1).take(visiting)
        time, caused, page = began + times.arrival.take(sessions), began.copy(), plans.landing.take(sessions)
        step, cause = np.ones(count.size, np.int64), np.zeros(count.size, np.int64)
        time[visiting] = (timeline.opened + times.length + times.transit).take(last)
        caused[visiting] = timeline.cause_time.take(last)
        page[visiting] = timeline.visits.page.take(last)
        step[visiting] = (timeline.step + pages.actions + pages.closed + 1).take(last)
        cause[visiting] = timeline.cause.take(last)
        self._put(events, timeline.roots, sessions, time=time, step=step)
        events.delay[:], events.cause[:] = time - caused, cause
        clicks = np.bincount(pages.session, timeline.clicks, plans.pages.size).astype(np.int64).take(sessions)
        events.emitter[:] = self._emitters["ended"]
        events.attributes[:] = (
            PAGE.put(page) | NUMBER.put(count) | CLICKS.put(clicks) | DURATION.put((time - began) // 1000)
        )
        events.terminal[:] = 1

    def _mark_abandoned(self, events: EventTable, timeline: Timeline, sessions: Integers, starts: list[int]) -> None:
        """Marks the last events of sessions that are abandoned.

        Args:
            starts: the first row of each kind of event: created, visited, actions, closed, ended.
        """
        plans, pages = timeline.visits.plans, timeline.visits.pages
        created, visited, actions, closed, _, _ = starts
        events.terminal[created + sessions] = plans.pages.take(sessions) == 0
        sessions = sessions.take(np.flatnonzero(plans.pages.take(sessions)))
        last = plans.first.take(sessions) + plans.pages.take(sessions) - 1
        rows = np.where(
            pages.closed.take(last) > 0,
            closed + pages.closed.cumsum().take(last) - 1,
            np.where(pages.actions.take(last) > 0, actions + pages.actions.cumsum().take(last) - 1, visited + last),
        )
        events.terminal[rows] = 1

    def _put(self, events: EventTable, roots: EventTable, session: Integers, *, time: Integers, step: Integers) -> None:
        """What all events have in common."""
        events.chain[:], events.began[:] = roots.chain.take(session), roots.time.take(session)
        events.time[:], events.step[:] = time, step


def _page(timeline: Timeline) -> Integers:
    """The attributes of each page that all its events have."""
    return PAGE.put(timeline.visits.page) | NUMBER.put(timeline.visits.pages.number + 1)


def _seen(timeline: Timeline) -> Integers:
    """The attributes of each page that its visit has: the page before, too."""
    number, previous = timeline.visits.pages.number, np.roll(timeline.visits.page, 1) + 1
    return _page(timeline) | PREVIOUS.put(np.where(number > 0, previous, 0))


def longest_session(chain: Chain) -> int:
    """No session of a chain lasts longer, microseconds."""
    assert chain.visitors is not None
    return Timing(chain.name, chain.visitors).longest
