"""Sessions whose event types have given shares of the stream: the section `event_probabilities` of a scenario.

The shares set how many pages and clicks a session has on average; how these vary, and when they happen, stays with the
ranges of the behaviour. Where shares and ranges contradict each other, the bounds that the caller chose win over the
shares, and the shares win over the catalog's bounds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from eventbus.catalog.errors import CatalogError, join_names
from eventbus.catalog.model import (
    SESSION_STATES,
    Behaviour,
    Chain,
    EventType,
    Fixed,
    Journey,
    Page,
    Range,
    SessionMeans,
    State,
    Transition,
    Uniform,
    Visitors,
    full_name,
    short_name,
)
from eventbus.catalog.model.sections import Sections, SectionsT
from eventbus.catalog.model.visitors import LIFE_CYCLE, MAX_CLICKS, MAX_PAGES, MAX_SECONDS

TOLERANCE = 1e-9
"""Maximum difference of the sum of the shares from 1, due to rounding."""
MIN_SHARE = 1e-9
"""In place of a share of 0, where something has to be possible."""
ABANDONED = ""
"""Instead of a state that follows."""
LABELS = {"pages_per_session": "pages a session", "clicks_per_page": "clicks a page"}
LIMITS = {"pages_per_session": MAX_PAGES, "clicks_per_page": MAX_CLICKS}


def with_probabilities(catalog: SectionsT, shares: Mapping[str, float], bounds: Collection[str] = ()) -> SectionsT:
    """A copy of a catalog whose visitors make a stream in which event types have given shares.

    Journeys still say which pages come first; a visitor who has seen these goes on at random. Clicks cause no chains,
    whose events would change the shares.

    Args:
        shares: of the stream's events, by type, short name or alias; an unknown name defines a type that happens on
            open pages: `form_submit` is `omninode.visitor.form.submit.v1`.
        bounds: those of the behaviour that win over the shares: `pages_per_session_max`. The others are widened if the
            shares require it.

    Raises:
        CatalogError: the shares do not sum to 1, one is negative or given twice, no session would begin, events have
            no page to happen on, there are too many of them for a page or a session, or the catalog has no visitors.
    """
    events, chains = dict(catalog.events), dict(catalog.chains)
    for chain in _sites(catalog):
        states = _states(catalog, chain, shares)
        chains[chain.name] = _with_shares(chain, _Fitting(chain, states, bounds))
        visited = catalog.event_type(chain.states["visited"].emits)
        own = [state for state in states if state not in chain.states]
        events |= {name: _own_event(visited, name) for name in map(_type_of, own)}
    return replace(catalog, events=events, chains=chains)


def probability_notes(catalog: Sections, shares: Mapping[str, float], bounds: Collection[str] = ()) -> list[str]:
    """Where the stream will differ from the shares, or sessions from their ranges, one sentence each.

    Raises:
        CatalogError: as `with_probabilities`.
    """
    fittings = (_Fitting(chain, _states(catalog, chain, shares), bounds) for chain in _sites(catalog))
    return list(dict.fromkeys(note for fitting in fittings for note in fitting.notes))


def _sites(catalog: Sections) -> list[Chain]:
    sites = [chain for chain in catalog.chains.values() if chain.visitors]
    if not sites:
        raise CatalogError("expected a catalog with visitors: a chain such as visitor-session")
    return sites


def _states(catalog: Sections, chain: Chain, shares: Mapping[str, float]) -> dict[str, float]:
    """The share of each state of a chain; states of one's own are named after their event type."""
    by_type: dict[str, float] = {}
    for name, share in shares.items():
        if full_name(name) in by_type:
            raise CatalogError(f"expected each event type once, got {full_name(name)} twice")
        if not 0 <= share <= 1:
            raise CatalogError(f"expected a share of 0 to 1, got {share:g} for {name}")
        by_type[full_name(name)] = share
    total = math.fsum(by_type.values())
    if abs(total - 1) > TOLERANCE:
        raise CatalogError(f"expected shares that sum to 1.0, got {total:.12g} for {join_names(shares)}")
    known = {state.emits: name for name, state in chain.states.items()}
    states = {known.get(name, _own_state(name)): share for name, share in by_type.items() if share}
    for name in by_type.keys() - known.keys() & catalog.events.keys():
        raise CatalogError(
            f"expected an event of visitors or a name of your own, got {name}, which is of another chain"
        )
    if "created" not in states:
        raise CatalogError("expected a share above 0 for session_start: no session would begin")
    paged = next((name for name in states if name not in ("created", "ended", "visited")), None)
    if paged and "visited" not in states:
        raise CatalogError(f"expected a share above 0 for page_visit: {paged} ({states[paged]:g}) needs an open page")
    return {**states, **{name: states.get(name, 0.0) for name in LIFE_CYCLE}}  # what the end of a run needs, at least


def _own_state(event_type: str) -> str:
    name = short_name(event_type)
    return event_type if name in SESSION_STATES else name


def _type_of(own_state: str) -> str:
    return full_name(own_state)


def _own_event(visited: EventType, name: str) -> EventType:
    """A new event type, which has the attributes of a page and a visitor."""
    return replace(visited, name=name, description="Something else that a visitor does on a page.")


class _Fitting:
    """Makes shares and ranges hold together: changes what may change, and notes what does.

    Args:
        shares: by state.
        bounds: of the behaviour, which win over the shares.
    """

    def __init__(self, chain: Chain, shares: Mapping[str, float], bounds: Collection[str]) -> None:
        assert chain.visitors is not None
        self.notes: list[str] = []
        self.behaviour: Behaviour = chain.visitors.behaviour
        self._bounds = bounds
        self._means = means = SessionMeans.of(self._without_excess(shares))
        self.notes += _missing_elements(means, chain.visitors)
        pages, clicks = self._fit("pages_per_session", means.pages), self._clicks()
        end_early = self._duration(pages)
        ratio = clicks / means.clicks_per_page if means.clicks_per_page else 1.0
        per_session = {
            "created": 1.0,
            "visited": pages,
            "closed": means.closes * (pages / means.pages if means.pages else 1.0),
            "ended": means.ends,
            **{name: mean * ratio * pages for name, mean in means.clicks.items()},
            **{name: mean * pages for name, mean in means.others.items()},
        }
        total = math.fsum(per_session.values())
        #: By state.
        self.shares = {name: per_session[name] / total for name in shares}
        if not end_early and not (math.isclose(pages, means.pages) and math.isclose(ratio, 1)):
            listed = ", ".join(f"{_label(chain, name)} {share:.3g}" for name, share in self.shares.items())
            self.notes.append(f"so the shares of the stream are {listed}")

    def _without_excess(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        """The shares with no more ends than sessions, and no more closed pages than visited ones."""
        capped = dict(shares)
        for name, label, limit, limit_label, sentence in (
            (
                "ended",
                "session_end",
                "created",
                "session_start",
                "a session ends once, so as many end as begin",
            ),
            ("closed", "page_close", "visited", "page_visit", "a page is closed once, so all pages are closed"),
        ):
            most = shares.get(limit, 0.0)
            if shares.get(name, 0.0) > most:
                self.notes.append(
                    f"{label} ({shares[name]:g}) is above {limit_label} ({most:g}): {sentence}, "
                    "and the other events fill the rest in proportion"
                )
                capped[name] = most
        return capped

    def _fit(self, name: str, mean: float) -> float:
        """The mean that a range leaves, which is widened first if it may be."""
        bounds: Range = getattr(self.behaviour, name)
        if mean > LIMITS[name]:
            raise CatalogError(
                f"event_probabilities ask for {mean:g} {LABELS[name]}, and at most {LIMITS[name]:,} are possible"
            )
        fitted, asked = bounds.nearest(mean), f"event_probabilities ask for {mean:g} {LABELS[name]}"
        if math.isclose(fitted, mean, rel_tol=TOLERANCE):
            return fitted
        side = "min" if mean < fitted else "max"
        if f"{name}_{side}" in self._bounds:
            self.notes.append(f"{asked}, {name}_{side} is {fitted:g}: the bound wins")
            return fitted
        low = min(bounds.low, math.floor(mean))
        high = max(bounds.high, min(math.ceil(2 * mean - low), LIMITS[name]))
        widened = Range(low, bounds.high if f"{name}_max" in self._bounds else high)
        self.notes.append(
            f"{asked}, usual are {bounds.low:g} to {bounds.high:g}: the shares win, with {low:g} to {widened.high:g}"
        )
        self._set(name, widened)
        return mean

    def _clicks(self) -> float:
        """The mean number of clicks on a page: as its range allows, and as there is time for."""
        if not self._means.pages:
            return 0.0
        clicks = self._fit("clicks_per_page", self._means.clicks_per_page)
        if self._means.others_per_page > MAX_CLICKS:
            raise CatalogError(
                f"event_probabilities ask for {self._means.others_per_page:g} events of your own a page, "
                f"and at most {MAX_CLICKS} are possible"
            )
        time, action = self.behaviour.time_per_page, self.behaviour.action_delay
        room = self.behaviour.max_clicks(time)
        if clicks > room:
            longest, winner = min((time.high, "time on the page"), (self.behaviour.session_duration.high, "session"))
            self.notes.append(
                f"event_probabilities ask for {clicks:g} clicks a page, and {longest:g} s have room for {room:g}, "
                f"{action.low:g} s apart: the {winner} wins"
            )
        self._set("clicks_per_page", self.behaviour.clicks_per_page.capped(room))
        return min(clicks, room)

    def _duration(self, pages: float) -> bool:
        """Leaves out numbers of pages that may take longer than a session, or lets sessions last longer.

        Returns:
            Whether neither is possible, so that sessions end early.
        """
        behaviour = self.behaviour
        if not behaviour.human_like_delays or not pages:
            return False
        gap, events = behaviour.action_delay.low, behaviour.clicks_per_page.high + self._means.max_others(behaviour) + 1
        longest = max(behaviour.time_per_page.low, events * gap) + gap
        if not longest:  # pages that may take no time fit into any session
            return False
        most, room = behaviour.pages_per_session.high, (behaviour.session_duration.high - gap) // longest
        if most <= room:
            return False
        if room > pages:
            self._set("pages_per_session", behaviour.pages_per_session.capped(room))
            return False
        needed, asked = min(most * longest + gap, MAX_SECONDS), f"event_probabilities ask for {pages:g} pages a session"
        if "session_duration_max" in self._bounds:
            limit = behaviour.session_duration.high
            self.notes.append(
                f"{asked}, session_duration_max is {limit:g} s: long sessions end early, with fewer pages than "
                "the shares ask for"
            )
            return True
        self.notes.append(
            f"{asked}, for which {behaviour.session_duration.high:g} s may be too short: the shares win, and a session "
            f"may last {needed:g} s"
        )
        self._set("session_duration", Range(behaviour.session_duration.low, needed))
        return False

    def _set(self, name: str, bounds: Range) -> None:
        changed: dict[str, Any] = {name: bounds}
        self.behaviour = replace(self.behaviour, **changed)


def _missing_elements(means: SessionMeans, visitors: Visitors) -> Iterator[str]:
    """Which pages cannot have the clicks that the shares ask for."""
    for kind, mean in means.clicks.items():
        pages = [page.name for page in visitors.pages.values() if all(click.kind != kind for click in page.clicks)]
        if mean and pages:
            yield f"no {kind} on {join_names(pages)}: what else is there is clicked instead, if anything"


def _label(chain: Chain, state: str) -> str:
    return short_name(chain.states[state].emits) if state in chain.states else state


def _with_shares(chain: Chain, fitting: _Fitting) -> Chain:
    assert chain.visitors is not None
    visitors = replace(
        chain.visitors,
        behaviour=fitting.behaviour,
        shares=fitting.shares,
        pages={name: _without_causes(page) for name, page in chain.visitors.pages.items()},
        sets={name: tuple(map(_without_ranges, journeys)) for name, journeys in chain.visitors.sets.items()},
    )
    names = dict.fromkeys(name for name in (*SESSION_STATES, *visitors.shares) if name in visitors.shares)
    states = {name: _state(name, chain, visitors) for name in names}
    return replace(chain, states=states, visitors=visitors, max_steps=visitors.max_events)


def _without_causes(page: Page) -> Page:
    return replace(page, clicks=tuple(replace(click, causes=None) for click in page.clicks))


def _without_ranges(journey: Journey) -> Journey:
    """A journey that leaves numbers and times to the shares and the behaviour."""
    return replace(journey, clicks_per_page=None, time_per_page=None)


def _state(name: str, chain: Chain, visitors: Visitors) -> State:
    """A state with what may follow it; how often it does so is up to the visitors."""
    emits = chain.states[name].emits if name in chain.states else _type_of(name)
    if name == "ended":
        return State(name=name, emits=emits, outcome="completed")
    low, high = (max(bound * 1000, 1) for bound in visitors.behaviour.action_delay)
    delay = Uniform(minimum=low, maximum=high) if visitors.behaviour.human_like_delays else Fixed(value=1)
    weights = dict(_successors(name, visitors))
    weight = 100 / math.fsum(weights.values())
    return State(
        name=name,
        emits=emits,
        next=tuple(
            Transition(to=to, delay=delay, weight=share * weight) for to, share in weights.items() if to != ABANDONED
        ),
        abandon=weights.get(ABANDONED, 0.0) * weight,
    )


def _successors(name: str, visitors: Visitors) -> Iterator[tuple[str, float]]:
    """The states that may follow a state, in proportion to their shares; sessions may be abandoned."""
    shares, means = visitors.shares, SessionMeans.of(visitors.shares)
    actions = {*means.clicks, *means.others}
    on_page = name == "visited" or name in actions
    may_be_empty = visitors.behaviour.pages_per_session.low < 1
    leaves = not on_page or means.closes < means.pages * (1 - TOLERANCE)
    follow = {
        "visited": leaves,
        "closed": on_page,
        "ended": may_be_empty if name == "created" else leaves,
        **dict.fromkeys(actions, on_page),
    }
    yield from ((to, max(share, MIN_SHARE)) for to, share in shares.items() if follow.get(to))
    if means.ends < 1 - TOLERANCE and (name != "created" or may_be_empty):
        yield ABANDONED, max(shares["created"] - shares["ended"], MIN_SHARE)
