"""Rules for chains of sessions: pages and clicks that exist, ranges that leave something, states and what they tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from eventbus.catalog.errors import Location, did_you_mean, join_names
from eventbus.catalog.model import (
    INTEGER_ATTRIBUTES,
    SESSION_ATTRIBUTES,
    SESSION_STATES,
    Behaviour,
    Chain,
    Click,
    EventType,
    Journey,
    Page,
    PayloadField,
    Range,
    Stop,
    Visitors,
    every_field,
    split,
)

Lists = Mapping[str, tuple[Any, ...]]
Problem = tuple[Location, str]

LONGEST_SESSION, MOST_PAGES, MOST_CLICKS = 14_400, 1000, 60
"""Seconds, pages in a session and clicks on a page: what the bits of `sessions.Layout` have room for."""
MOST_PLACES = 4000
"""Pages, and things to click."""
WHOLE = ("pages_per_session", "clicks_per_page")

path_form = re.compile(r"/[^\s?#]*")


def visitor_problems(chain: Chain, events: Mapping[str, EventType], lists: Lists) -> Iterator[Problem]:
    """What is wrong with a chain's site, its visitors, and what its events tell of them."""
    place: Location = ("chains", chain.name)
    for state in chain.states.values():
        for path, one in every_field(events[state.emits].payload) if state.emits in events else ():
            if one.visit in SESSION_ATTRIBUTES:
                yield from _misplaced((*place, "states", state.name, "emits"), chain, state.name, path, one)
    if chain.visitors is None:
        return
    yield from _state_problems((*place, "states"), chain)
    place = (*place, "visitors")
    yield from _referrer_problems(place, chain, lists)
    yield from _site_problems(place, chain.visitors)
    yield from _cause_problems(place, chain, chain.visitors)
    yield from _journey_problems(place, chain.visitors)
    yield from behaviour_problems((*place, "behaviour"), chain.visitors.behaviour)


def visit_problems(one: PayloadField) -> Iterator[str]:
    """What is wrong with a field's `visit`."""
    assert one.visit is not None
    if one.visit not in SESSION_ATTRIBUTES:
        near = did_you_mean(one.visit, SESSION_ATTRIBUTES)
        yield f"expected one of {join_names(SESSION_ATTRIBUTES)}, got {one.visit!r}{near}"
    elif one.type != ("integer" if one.visit in INTEGER_ATTRIBUTES else "string"):
        yield f"{one.visit} is {'a whole number' if one.visit in INTEGER_ATTRIBUTES else 'a text'}, got type {one.type}"


def behaviour_problems(place: Location, behaviour: Behaviour) -> Iterator[Problem]:
    """Ranges that leave nothing, or more than there is room for."""
    limits = {"session_duration": LONGEST_SESSION, "pages_per_session": MOST_PAGES, "clicks_per_page": MOST_CLICKS}
    for name in ("session_duration", "pages_per_session", "time_per_page", "clicks_per_page", "action_delay"):
        least = 1 if name == "pages_per_session" else 0.1 if name == "session_duration" else 0
        for problem in _range_problems(name, getattr(behaviour, name), least, limits.get(name, LONGEST_SESSION)):
            yield (*place, name), problem


def _range_problems(name: str, bounds: Range, least: float, most: float) -> Iterator[str]:
    if bounds.low > bounds.high:
        yield f"min {bounds.low:g} is above max {bounds.high:g}"
    for bound in bounds:
        if not least <= bound <= most:
            yield f"expected {least:g} to {most:,g}, got {bound:g}"
        elif name in WHOLE and bound != int(bound):
            yield f"expected a whole number, got {bound:g}"


def _misplaced(place: Location, chain: Chain, state: str, path: Location, one: PayloadField) -> Iterator[Problem]:
    name = ".".join(str(part) for part in path if part != "fields")
    if chain.visitors is None:
        yield place, f"the payload field {name!r} tells of a visit ({one.visit}), but this chain has no `visitors`"
    elif state in SESSION_STATES and state not in SESSION_ATTRIBUTES[one.visit or ""]:
        yield (
            place,
            f"the payload field {name!r} tells {one.visit}, which is known only in "
            f"{join_names(SESSION_ATTRIBUTES[one.visit or ''])}",
        )


def _state_problems(place: Location, chain: Chain) -> Iterator[Problem]:
    if set(chain.states) != set(SESSION_STATES):
        yield place, f"expected the states of a session ({join_names(SESSION_STATES)}), got {join_names(chain.states)}"
    elif chain.start != "created":
        yield (*place[:-1], "start"), f"expected 'created', got {chain.start!r}"


def _referrer_problems(place: Location, chain: Chain, lists: Lists) -> Iterator[Problem]:
    if chain.visitors is None or chain.visitors.referrer is None:
        return
    name, attribute = split(chain.visitors.referrer)
    variable = chain.variables.get(name)
    items = lists.get(variable.list or "", ()) if variable else ()
    if variable is None or variable.list is None or variable.per:
        yield (*place, "referrer"), f"expected a variable of this chain that is drawn from a list, got {name!r}"
    elif items and not all(isinstance(_attribute(item, attribute), str) for item in items):
        yield (*place, "referrer"), f"expected a text, but list {variable.list!r} has no {attribute!r} that is one"


def _attribute(item: Any, name: str | None) -> Any:
    return item.get(name) if isinstance(item, dict) and name else item


def _site_problems(place: Location, visitors: Visitors) -> Iterator[Problem]:
    if not visitors.pages:
        yield (*place, "pages"), "expected at least one page"
    for what, count in (("pages", len(visitors.pages)), ("things to click", len(visitors.clicks))):
        if count > MOST_PLACES:
            yield (*place, "pages"), f"expected at most {MOST_PLACES:,} {what}, got {count:,}"
    for page in visitors.pages.values():
        yield from _page_problems((*place, "pages", page.name), page, visitors)


def _page_problems(place: Location, page: Page, visitors: Visitors) -> Iterator[Problem]:
    if page.path and not path_form.fullmatch(page.path):
        yield (*place, "path"), f"expected a path such as /pricing, got {page.path!r}"
    named = Counter(click.element for click in page.clicks)
    for number, click in enumerate(page.clicks):
        if named[click.element] > 1:
            yield (*place, "clicks", number), f"{click.element!r} is on this page twice"
        yield from _click_problems((*place, "clicks", number), click, visitors)


def _click_problems(place: Location, click: Click, visitors: Visitors) -> Iterator[Problem]:
    if click.to is not None and click.to not in visitors.pages:
        yield (*place, "to"), _no_page(click.to, visitors)


def _cause_problems(place: Location, chain: Chain, visitors: Visitors) -> Iterator[Problem]:
    """A click causes what the state of its kind may, which says how often and how soon."""
    known = {name: [one.chain for one in state.causes] for name, state in chain.states.items()}
    for page in visitors.pages.values():
        for number, click in enumerate(page.clicks):
            if click.causes is not None and click.causes not in known.get(click.kind, ()):
                yield (
                    (*place, "pages", page.name, "clicks", number, "causes"),
                    f"expected a chain that the state {click.kind!r} causes, got {click.causes!r}"
                    f"{did_you_mean(click.causes, known.get(click.kind, ()))}",
                )


def _journey_problems(place: Location, visitors: Visitors) -> Iterator[Problem]:
    if visitors.journeys and visitors.journeys not in visitors.sets:
        near = did_you_mean(visitors.journeys, visitors.sets)
        yield (*place, "journeys"), f"no set {visitors.journeys!r}{near}; there are {join_names(visitors.sets)}"
    for name, journeys in visitors.sets.items():
        if not any(journey.weight > 0 for journey in journeys):
            yield (*place, "sets", name), "expected at least one journey with a weight above 0"
        for journey in journeys:
            yield from _one_journey((*place, "sets", name, journey.name), journey, visitors)


def _one_journey(place: Location, journey: Journey, visitors: Visitors) -> Iterator[Problem]:
    if journey.weight < 0:
        yield (*place, "weight"), f"expected a weight of 0 or more, got {journey.weight:g}"
    for name, most in (("clicks_per_page", MOST_CLICKS), ("time_per_page", LONGEST_SESSION)):
        if bounds := getattr(journey, name):
            yield from (((*place, name), text) for text in _range_problems(name, bounds, 0, most))
    if len(journey.stops) > MOST_PAGES:
        yield (*place, "stops"), f"expected at most {MOST_PAGES} pages, got {len(journey.stops)}"
    for number, stop in enumerate(journey.stops):
        yield from _stop_problems((*place, "stops", number), stop, visitors)


def _stop_problems(place: Location, stop: Stop, visitors: Visitors) -> Iterator[Problem]:
    if not stop.page:
        return
    if stop.page not in visitors.pages:
        yield place, _no_page(stop.page, visitors)
        return
    page = visitors.pages[stop.page]
    if len(stop.clicks) > MOST_CLICKS:
        yield place, f"expected at most {MOST_CLICKS} clicks, got {len(stop.clicks)}"
    for element in stop.clicks:
        if page.click(element) is None:
            known = [click.element for click in page.clicks]
            near = did_you_mean(element, known)
            yield place, f"page {page.name!r} has no {element!r}{near}; it has {join_names(known)}"


def _no_page(name: str, visitors: Visitors) -> str:
    return f"no page {name!r}{did_you_mean(name, visitors.pages)}; the site has {join_names(visitors.pages)}"
