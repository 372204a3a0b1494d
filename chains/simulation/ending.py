"""Ends the sessions that are open at a moment: the open page is closed, and the visitor does nothing more.

This depends on nothing but a session's own events before the moment, so it is the same whether the moment is known when
a run begins or a run is stopped, and for any size of batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.simulation.chains import mark_terminal
from eventbus.chains.table import (
    ATTRIBUTES,
    BEGAN,
    CAUSE,
    CHAIN,
    CLICKS,
    COLUMNS,
    DELAY,
    DURATION,
    EMITTER,
    NUMBER,
    PAGE,
    STEP,
    TERMINAL,
    TIME,
    EventTable,
)

GAP = 1000
"""Microseconds between two of the events that end a session."""
LONGEST_ENDING = 3 * GAP
"""Microseconds that ending a session takes, at most: one without a page opens its first one, as all sessions do."""

ELSEWHERE, CREATED, VISITED, CLICK, ACTION, CLOSED, ENDED = range(-1, 6)
"""What an event is to its session; `ELSEWHERE`: it is of a chain that is no session, or that a click has caused."""
ROLES = {"created": CREATED, "visited": VISITED, "button": CLICK, "link": CLICK, "closed": CLOSED, "ended": ENDED}
"""Roles by state; other states are actions on a page that do not count as clicks."""


class SessionEmitters(NamedTuple):
    """The emitters of a chain of sessions."""

    created: int
    states: Mapping[str, int]
    """Of each other state."""


class SessionEndings:
    """Ends the sessions of a plan.

    Args:
        sessions: the emitters of each chain of sessions.
        emitters: number of emitters in the plan.
    """

    def __init__(self, sessions: Sequence[SessionEmitters], emitters: int) -> None:
        #: What the events of each emitter are to their session.
        self._roles = np.full(emitters, ELSEWHERE, np.int64)
        #: By emitter of a session's event: the emitters that open a page, close it, and end the session.
        self._visited, self._closed, self._ended = np.zeros((3, emitters), np.int64)
        for created, states in sessions:
            for state, emitter in {**states, "created": created}.items():
                self._roles[emitter] = ROLES.get(state, ACTION)
                self._visited[emitter] = states["visited"]
                self._closed[emitter] = states["closed"]
                self._ended[emitter] = states["ended"]

    @property
    def has_sessions(self) -> bool:
        """Whether the plan has chains of sessions."""
        return bool((self._roles != ELSEWHERE).any())

    def end_at(self, events: EventTable, time: int) -> EventTable:
        """The events of whole chains, with sessions ended that are open at a time; in no order.

        Other chains, and those that clicks have caused before, run to their end.

        Args:
            time: microseconds since the Unix epoch; no chain begins then or later.
        """
        is_late = (events.time >= time) & (self._roles.take(events.emitter) != ELSEWHERE)
        late = np.flatnonzero(is_late)
        if not late.size:
            return events
        is_open = np.isin(events.chain, events.chain.take(late))
        unchanged, sessions = events.take(np.flatnonzero(~is_open)), events.take(np.flatnonzero(is_open))
        is_own = self._roles.take(sessions.emitter) != ELSEWHERE
        own = sessions.take(np.flatnonzero(is_own & (sessions.time < time)))
        late_clicks = sessions.take(np.flatnonzero(is_own & (sessions.time >= time)))
        caused = _without_effects(sessions.take(np.flatnonzero(~is_own)), late_clicks)
        ended = EventTable.concatenate([own, caused, self._endings(own, time)])
        return EventTable.concatenate([unchanged, mark_terminal(ended)])

    def stop_at(self, events: EventTable, time: int) -> EventTable:
        """Like `end_at`, but chains that are no sessions break off."""
        is_late = events.time >= time
        sessions = self.begun(events).chain
        kept = events.take(np.flatnonzero(~is_late | np.isin(events.chain, sessions)))
        return self.end_at(kept, time)

    def begun(self, events: EventTable) -> EventTable:
        """The first events of sessions."""
        return events.take(np.flatnonzero(self._roles.take(events.emitter) == CREATED))

    def _endings(self, events: EventTable, time: int) -> EventTable:
        """The events that end open sessions, in no order.

        Args:
            events: all events of these sessions, without those that clicks have caused.
            time: when the sessions end, microseconds since the Unix epoch; no event is later.
        """
        if not len(events):
            return events
        events = events.take(np.lexsort((events.step, events.chain)))
        roles, rows = self._roles.take(events.emitter), np.arange(len(events))
        first = np.flatnonzero(np.diff(events.chain, prepend=-1))
        last = np.append(first[1:], len(events)) - 1
        clicks = np.concatenate(([0], (roles == CLICK).cumsum()))
        latest = events.take(last)
        is_new, is_open = roles.take(last) == CREATED, roles.take(last) != CLOSED
        opened = np.where(is_new, last, np.maximum.accumulate(np.where(roles == VISITED, rows, 0)).take(last))
        pages = events.take(opened)
        page = PAGE.put(PAGE.get(pages.attributes)) | NUMBER.put(np.where(is_new, 1, NUMBER.get(pages.attributes)))

        new = np.flatnonzero(is_new)
        visited = _table(
            latest.take(new),
            time=np.full(new.size, time),
            delay=time - latest.time.take(new),
            step=latest.step.take(new) + 1,
            cause=latest.step.take(new),
            emitter=self._visited.take(latest.emitter.take(new)),
            attributes=page.take(new),
        )
        opened_at, opened_step = np.where(is_new, time, pages.time), np.where(is_new, latest.step + 1, pages.step)
        closing, step = time + GAP * is_new, latest.step + 1 + is_new
        open_rows = np.flatnonzero(is_open)
        on_page = clicks.take(last + 1) - clicks.take(opened + 1)
        closed = _table(
            latest.take(open_rows),
            time=closing.take(open_rows),
            delay=(closing - opened_at).take(open_rows),
            step=step.take(open_rows),
            cause=opened_step.take(open_rows),
            emitter=self._closed.take(latest.emitter.take(open_rows)),
            attributes=(page | CLICKS.put(on_page)).take(open_rows),
        )
        ending = closing + GAP * is_open
        ended = _table(
            latest,
            time=ending,
            delay=np.where(is_open, GAP, ending - latest.time),
            step=step + is_open,
            cause=step + is_open - 1,
            emitter=self._ended.take(latest.emitter),
            attributes=page
            | DURATION.put((ending - latest.began) // 1000)
            | CLICKS.put(clicks.take(last + 1) - clicks.take(first)),
        )
        return EventTable.concatenate([visited, closed, ended])


class OpenSessions:
    """The sessions of a run that are under way, while the run goes on."""

    def __init__(self, endings: SessionEndings) -> None:
        self._endings = endings
        self._begun: list[EventTable] = []
        self._over: list[Integers] = []
        self._since_update = 0

    def add(self, events: EventTable) -> None:
        """Adds the next events of the run."""
        begun = self._endings.begun(events)
        if len(begun):
            self._begun.append(begun)
        self._over.append(events.chain[events.terminal > 0])
        self._since_update += len(begun) + 1
        if self._since_update > UPDATE_EVERY:
            self.begun()

    def begun(self) -> EventTable:
        """The first events of the sessions that are under way."""
        begun = EventTable.concatenate(self._begun)
        over = np.concatenate([np.empty(0, np.int64), *self._over])
        begun = begun.take(np.flatnonzero(~np.isin(begun.chain, over)))
        self._begun, self._over, self._since_update = [begun], [], 0
        return begun


UPDATE_EVERY = 10_000
"""Sessions and batches after which sessions that are over are forgotten."""


def _without_effects(events: EventTable, causes: EventTable) -> EventTable:
    """Events without those that certain events have caused, directly or through others of them."""
    steps = np.unique(np.concatenate([events.step, events.cause, causes.step]))

    def identity(chain: Integers, step: Integers) -> Integers:
        return chain * steps.size + steps.searchsorted(step)

    absent = identity(causes.chain, causes.step)
    while (is_effect := np.isin(identity(events.chain, events.cause), absent)).any():
        effects = events.take(np.flatnonzero(is_effect))
        absent = identity(effects.chain, effects.step)
        events = events.take(np.flatnonzero(~is_effect))
    return events


def _table(
    sessions: EventTable,
    *,
    time: Integers,
    delay: Integers,
    step: Integers,
    cause: Integers,
    emitter: Integers,
    attributes: Integers,
) -> EventTable:
    columns = np.empty((COLUMNS, time.size), np.int64)
    columns[CHAIN], columns[BEGAN] = sessions.chain, sessions.began
    columns[TIME], columns[DELAY], columns[STEP], columns[CAUSE] = time, delay, step, cause
    columns[EMITTER], columns[ATTRIBUTES], columns[TERMINAL] = emitter, attributes, 0
    return EventTable(columns)
