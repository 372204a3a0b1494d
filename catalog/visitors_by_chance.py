"""Visitors by chance alone: sessions whose events come in given shares, with no site to walk through.

Each session begins once. After every event the next is drawn by the shares of all others, until the session's end is
drawn: with as many ends as beginnings, every type has its share of the stream. Where fewer sessions end than begin, the
others are abandoned, each after any of its events with the same probability; that keeps the shares, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from eventbus.catalog.errors import CatalogError, join_names
from eventbus.catalog.model import (
    INTEGER_ATTRIBUTES,
    Behaviour,
    Chain,
    Delay,
    EventType,
    Fixed,
    PayloadField,
    State,
    Transition,
    Uniform,
    Visitors,
    full_name,
    short_name,
)
from eventbus.catalog.model.sections import Sections, SectionsT

TOLERANCE = 1e-9
"""By which the sum may differ from 1: what adding up leaves of decimal fractions."""
START, END = full_name("session_start"), full_name("session_end")
NEVER = 1e-12
"""In place of no share at all, where a chain must be able to end."""
MAX_STEPS = 1 << 20
TAIL = 40
"""Times the mean length: one session in e^40 would be longer."""


def with_probabilities(catalog: SectionsT, shares: Mapping[str, float]) -> SectionsT:
    """The same catalog, whose visitors do everything by chance.

    Args:
        shares: of the stream's events, by type; short names and aliases are types, too, and a name that is not known
            becomes a type of its own: `form_submit` is `omninode.visitor.form.submit.v1`.

    Raises:
        CatalogError: the shares do not sum to 1, one is negative or there twice, no session begins, or the catalog has
            no visitors.
    """
    known = _checked(shares)
    sites = [chain for chain in catalog.chains.values() if chain.visitors]
    if not sites:
        raise CatalogError("expected a catalog with visitors: a chain such as visitor-session")
    lists, events = dict(catalog.lists), dict(catalog.events)
    for chain in sites:
        assert chain.visitors is not None
        lists |= _places(chain.name, chain.visitors)
        events |= {name: _event(name, chain, catalog) for name in known}
    chains = {**catalog.chains, **{chain.name: _by_chance(chain, known) for chain in sites}}
    return replace(catalog, lists=lists, events=events, chains=chains)


def warnings(shares: Mapping[str, float]) -> list[str]:
    """What is done otherwise than the shares say, a sentence each."""
    known = {full_name(name): share for name, share in shares.items()}
    start, end = known.get(START, 0.0), known.get(END, 0.0)
    if end <= start:
        return []
    return [
        f"session_end ({end:g}) is above session_start ({start:g}): a session ends once at most, so as many end as "
        f"begin, and the other events fill the rest in proportion"
    ]


def _checked(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares by type: as they can be."""
    known: dict[str, float] = {}
    for name, share in shares.items():
        if full_name(name) in known:
            raise CatalogError(f"expected each event type once, got {full_name(name)} twice")
        if not 0 <= share <= 1:
            raise CatalogError(f"expected a share of 0 to 1, got {share:g} for {name}")
        known[full_name(name)] = share
    total = math.fsum(known.values())
    if abs(total - 1) > TOLERANCE:
        raise CatalogError(f"expected shares that sum to 1.0, got {total:.12g} for {join_names(shares)}")
    if not known.get(START):
        raise CatalogError("expected a share above 0 for session_start: no session would begin")
    known[END] = min(max(known.get(END, 0.0), NEVER), known[START])
    return {name: share for name, share in known.items() if share > 0}


def _by_chance(chain: Chain, shares: Mapping[str, float]) -> Chain:
    assert chain.visitors is not None
    behaviour = chain.visitors.behaviour
    return replace(
        chain,
        description="Somebody visits the web site and does what chance says.",
        start=short_name(START),
        states={short_name(name): _state(name, shares, _delay(behaviour)) for name in shares},
        max_steps=min(math.ceil(TAIL / shares[START]), MAX_STEPS),
        visitors=None,
    )


def _state(name: str, shares: Mapping[str, float], delay: Delay) -> State:
    """Where (1 - start) / (1 - end) of all sessions go on, whatever happened before."""
    if name == END:
        return State(name=short_name(name), emits=name, outcome="completed")
    total = math.fsum(shares.values())
    stop = (shares[START] - shares[END]) / (total - shares[END])
    others = {other: share for other, share in shares.items() if other != START}
    weights = {other: share / (total - shares[START]) * (1 - stop) * 100 for other, share in others.items()}
    return State(
        name=short_name(name),
        emits=name,
        next=tuple(Transition(to=short_name(to), delay=delay, weight=weight) for to, weight in weights.items()),
        abandon=stop * 100,
    )


def _delay(behaviour: Behaviour) -> Delay:
    if not behaviour.human_like_delays:
        return Fixed(value=1)
    low, high = behaviour.action_delay
    return Uniform(minimum=max(low * 1000, 1), maximum=max(high * 1000, 1))


def _places(name: str, visitors: Visitors) -> dict[str, tuple[Any, ...]]:
    """Pages and clicks as lists to pick from."""
    pages = [{"path": page.path, "title": page.title} for page in visitors.pages.values()]
    hrefs = dict(zip(visitors.clicks, visitors.texts("click.href"), strict=True))
    found: dict[str, tuple[Any, ...]] = {f"{name}_page": tuple(pages)}
    for kind in ("button", "link"):
        found[f"{name}_{kind}"] = tuple(
            {"path": page.path, "title": page.title, "element": click.element, "text": click.text, "href": href}
            for (page, click), href in hrefs.items()
            if click.kind == kind
        )
    return found


def _event(name: str, chain: Chain, catalog: Sections) -> EventType:
    """An event type without what only a walk through the site can tell; a new one tells of a page, and who is there."""
    states = {state.emits: state.name for state in chain.states.values()}
    if name in states:
        base, state = catalog.event_type(name), states[name]
    else:
        about = catalog.event_type(chain.states["visited"].emits)
        base, state = replace(about, name=name, description="Something else that a visitor does."), "visited"
    return replace(base, payload=tuple(_fields(base.payload, state, chain)))


def _fields(fields: tuple[PayloadField, ...], state: str, chain: Chain) -> Iterator[PayloadField]:
    assert chain.visitors is not None
    for one in fields:
        if one.fields is not None:
            yield replace(one, fields=tuple(_fields(one.fields, state, chain)))
        elif one.visit == "referrer" and chain.visitors.referrer:
            yield replace(one, visit=None, var=chain.visitors.referrer)
        elif one.visit is not None and one.visit not in INTEGER_ATTRIBUTES and one.visit != "referrer":
            kind = state if state in {"button", "link"} else "page"
            yield replace(one, visit=None, pick=f"{chain.name}_{kind}.{one.visit.partition('.')[2]}")
        elif one.visit is None and not one.elapsed:
            yield one
