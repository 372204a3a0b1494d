"""Rules for chains of sessions: their states, pages, clicks, journeys and behaviour, and what payloads ask of them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from eventbus.catalog.errors import LocatedProblem, Location, did_you_mean, join_names
from eventbus.catalog.model import (
    SESSION_STATES,
    Behaviour,
    Chain,
    Click,
    Journey,
    Page,
    Range,
    SessionMeans,
    Stop,
    Visitors,
    split_reference,
)
from eventbus.catalog.model.sources import Lists
from eventbus.catalog.model.visitors import LIFE_CYCLE, MAX_CLICKS, MAX_PAGES, MAX_SECONDS
from eventbus.catalog.validation.chains import weight_problems

MAX_PLACES = 4000
"""Pages, and elements to click, of a site."""
INTEGER_RANGES = ("pages_per_session", "clicks_per_page")

path_form = re.compile(r"/[^\s?#]*")


def visitor_problems(chain: Chain, lists: Lists) -> Iterator[LocatedProblem]:
    """The problems of a chain's visitors and their site."""
    loc: Location = ("chains", chain.name)
    if chain.visitors is None:
        return
    yield from _state_problems((*loc, "states"), chain)
    loc = (*loc, "visitors")
    yield from _referrer_problems(loc, chain, lists)
    yield from _site_problems(loc, chain.visitors)
    yield from _cause_problems(loc, chain, chain.visitors)
    yield from _journey_problems(loc, chain.visitors)
    yield from behaviour_problems((*loc, "behaviour"), chain.visitors.behaviour)
    yield from (((*loc, "shares"), problem) for problem in _share_problems(chain.visitors))


def behaviour_problems(loc: Location, behaviour: Behaviour) -> Iterator[LocatedProblem]:
    """The ranges of a behaviour that are empty or too large."""
    limits = {"session_duration": MAX_SECONDS, "pages_per_session": MAX_PAGES, "clicks_per_page": MAX_CLICKS}
    for name in ("session_duration", "pages_per_session", "time_per_page", "clicks_per_page", "action_delay"):
        minimum = 1 if name == "pages_per_session" else 0.1 if name == "session_duration" else 0
        for problem in _range_problems(name, getattr(behaviour, name), minimum, limits.get(name, MAX_SECONDS)):
            yield (*loc, name), problem


def _range_problems(name: str, bounds: Range, minimum: float, maximum: float) -> Iterator[str]:
    if bounds.low > bounds.high:
        yield f"min {bounds.low:g} is above max {bounds.high:g}"
    for bound in bounds:
        if not minimum <= bound <= maximum:
            yield f"expected {minimum:g} to {maximum:,g}, got {bound:g}"
        elif name in INTEGER_RANGES and bound != int(bound):
            yield f"expected a whole number, got {bound:g}"


def _state_problems(loc: Location, chain: Chain) -> Iterator[LocatedProblem]:
    shares = chain.visitors.shares if chain.visitors else {}
    expected = dict.fromkeys([*LIFE_CYCLE, *shares] if shares else SESSION_STATES)
    if set(chain.states) != set(expected):
        yield loc, f"expected the states of a session ({join_names(expected)}), got {join_names(chain.states)}"
    elif chain.start != "created":
        yield (*loc[:-1], "start"), f"expected 'created', got {chain.start!r}"


def _share_problems(visitors: Visitors) -> Iterator[str]:
    """Shares that do not sum to 1, or that no sessions within the ranges of the behaviour can have."""
    if not visitors.shares:
        return
    shares, behaviour = visitors.shares, visitors.behaviour
    if not all(share >= 0 for share in shares.values()) or not math.isclose(
        math.fsum(shares.values()), 1, abs_tol=1e-9
    ):
        yield f"expected shares from 0 to 1 that sum to 1, got {', '.join(f'{share:g}' for share in shares.values())}"
        return
    if not shares.get("created"):
        yield "expected a share above 0 for created: no session would begin"
        return
    for name, limit in (("ended", "created"), ("closed", "visited")):
        if shares.get(name, 0) > shares.get(limit, 0) + 1e-9:
            yield f"expected no more than {limit} has, {shares.get(limit, 0):g}, got {shares[name]:g} for {name}"
    if not shares.get("visited") and any(share for name, share in shares.items() if name not in ("created", "ended")):
        yield "expected a share above 0 for visited: other events happen on an open page"
        return
    means = SessionMeans.of(shares)
    ranges = {"pages_per_session": means.pages, "clicks_per_page": means.clicks_per_page}
    for name, mean in ranges.items() if means.pages else [("pages_per_session", means.pages)]:
        bounds: Range = getattr(behaviour, name)
        if not math.isclose(bounds.nearest(mean), mean, rel_tol=1e-9, abs_tol=1e-9):
            asked = f"{mean:g} {name.replace('_', ' ')}"
            yield f"they ask for {asked}, and the behaviour has {bounds.low:g} to {bounds.high:g}"
    if means.others_per_page > MAX_CLICKS:
        yield f"expected at most {MAX_CLICKS} events of other types on a page, got {means.others_per_page:g}"


def _referrer_problems(loc: Location, chain: Chain, lists: Lists) -> Iterator[LocatedProblem]:
    if chain.visitors is None or chain.visitors.referrer is None:
        return
    name, attribute = split_reference(chain.visitors.referrer)
    variable = chain.variables.get(name)
    items = lists.get(variable.list or "", ()) if variable else ()
    if variable is None or variable.list is None or variable.per:
        yield (*loc, "referrer"), f"expected a variable of this chain that is drawn from a list, got {name!r}"
    elif items and not all(isinstance(_attribute(item, attribute), str) for item in items):
        yield (*loc, "referrer"), f"expected a text, but list {variable.list!r} has no {attribute!r} that is one"


def _attribute(item: Any, name: str | None) -> Any:
    return item.get(name) if isinstance(item, dict) and name else item


def _site_problems(loc: Location, visitors: Visitors) -> Iterator[LocatedProblem]:
    if not visitors.pages:
        yield (*loc, "pages"), "expected at least one page"
    for label, count in (("pages", len(visitors.pages)), ("things to click", len(visitors.clicks))):
        if count > MAX_PLACES:
            yield (*loc, "pages"), f"expected at most {MAX_PLACES:,} {label}, got {count:,}"
    for page in visitors.pages.values():
        yield from _page_problems((*loc, "pages", page.name), page, visitors)


def _page_problems(loc: Location, page: Page, visitors: Visitors) -> Iterator[LocatedProblem]:
    if page.path and not path_form.fullmatch(page.path):
        yield (*loc, "path"), f"expected a path such as /pricing, got {page.path!r}"
    counts = Counter(click.element for click in page.clicks)
    for number, click in enumerate(page.clicks):
        if counts[click.element] > 1:
            yield (*loc, "clicks", number), f"{click.element!r} is on this page twice"
        yield from _click_problems((*loc, "clicks", number), click, visitors)


def _click_problems(loc: Location, click: Click, visitors: Visitors) -> Iterator[LocatedProblem]:
    if click.to is not None and click.to not in visitors.pages:
        yield (*loc, "to"), _no_page(click.to, visitors)


def _cause_problems(loc: Location, chain: Chain, visitors: Visitors) -> Iterator[LocatedProblem]:
    """Clicks that cause a chain which the state of their kind does not."""
    caused = {name: [cause.chain for cause in state.causes] for name, state in chain.states.items()}
    for page in visitors.pages.values():
        for number, click in enumerate(page.clicks):
            if click.causes is not None and click.causes not in caused.get(click.kind, ()):
                yield (
                    (*loc, "pages", page.name, "clicks", number, "causes"),
                    f"expected a chain that the state {click.kind!r} causes, got {click.causes!r}"
                    f"{did_you_mean(click.causes, caused.get(click.kind, ()))}",
                )


def _journey_problems(loc: Location, visitors: Visitors) -> Iterator[LocatedProblem]:
    if visitors.journeys and visitors.journeys not in visitors.sets:
        near = did_you_mean(visitors.journeys, visitors.sets)
        yield (*loc, "journeys"), f"no set {visitors.journeys!r}{near}; there are {join_names(visitors.sets)}"
    for name, journeys in visitors.sets.items():
        if not any(journey.weight > 0 for journey in journeys):
            yield (*loc, "sets", name), "expected at least one journey with a weight above 0"
        for journey in journeys:
            yield from _single_journey_problems((*loc, "sets", name, journey.name), journey, visitors)


def _single_journey_problems(loc: Location, journey: Journey, visitors: Visitors) -> Iterator[LocatedProblem]:
    for problem in weight_problems(journey.weight):
        yield (*loc, "weight"), problem
    for name, maximum in (("clicks_per_page", MAX_CLICKS), ("time_per_page", MAX_SECONDS)):
        if bounds := getattr(journey, name):
            yield from (((*loc, name), problem) for problem in _range_problems(name, bounds, 0, maximum))
    if len(journey.stops) > MAX_PAGES:
        yield (*loc, "stops"), f"expected at most {MAX_PAGES} pages, got {len(journey.stops)}"
    for number, stop in enumerate(journey.stops):
        yield from _stop_problems((*loc, "stops", number), stop, visitors)


def _stop_problems(loc: Location, stop: Stop, visitors: Visitors) -> Iterator[LocatedProblem]:
    if not stop.page:
        return
    if stop.page not in visitors.pages:
        yield loc, _no_page(stop.page, visitors)
        return
    page = visitors.pages[stop.page]
    if len(stop.clicks) > MAX_CLICKS:
        yield loc, f"expected at most {MAX_CLICKS} clicks, got {len(stop.clicks)}"
    for element in stop.clicks:
        if page.click(element) is None:
            elements = [click.element for click in page.clicks]
            near = did_you_mean(element, elements)
            yield loc, f"page {page.name!r} has no {element!r}{near}; it has {join_names(elements)}"


def _no_page(name: str, visitors: Visitors) -> str:
    return f"no page {name!r}{did_you_mean(name, visitors.pages)}; the site has {join_names(visitors.pages)}"
