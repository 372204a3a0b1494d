"""Visitors who act at random: sessions whose event types have given shares of the stream, independent of any site.

Each session starts once. After each event the next type is drawn by its share, until the end of the session is drawn;
with as many ends as starts, every type has its share of the stream. If fewer sessions end than start, the others are
abandoned, after each of their events with the same probability, which preserves the shares.
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
from eventbus.catalog.sources import ElapsedTime, ListPick, VariableValue, VisitAttribute

TOLERANCE = 1e-9
"""Maximum difference of the sum of the shares from 1, due to rounding."""
START, END = full_name("session_start"), full_name("session_end")
MIN_END_SHARE = 1e-12
"""Replaces a share of 0 of `session_end`, since a chain must be able to end."""
MAX_STEPS = 1 << 20
MAX_MEAN_LENGTHS = 40
"""Maximum length of a session, in mean lengths: one in e^40 would be longer."""


def with_probabilities(catalog: SectionsT, shares: Mapping[str, float]) -> SectionsT:
    """A copy of a catalog whose visitors act at random.

    Args:
        shares: of the stream's events, by type, short name or alias; an unknown name defines a type:
            `form_submit` is `omninode.visitor.form.submit.v1`.

    Raises:
        CatalogError: the shares do not sum to 1, one is negative or given twice, `session_start` has none, or the
            catalog has no visitors.
    """
    by_type = _by_type(shares)
    sites = [chain for chain in catalog.chains.values() if chain.visitors]
    if not sites:
        raise CatalogError("expected a catalog with visitors: a chain such as visitor-session")
    lists, events = dict(catalog.lists), dict(catalog.events)
    for chain in sites:
        assert chain.visitors is not None
        lists |= _lists(chain.name, chain.visitors)
        events |= {name: _event(name, chain, catalog) for name in by_type}
    chains = {**catalog.chains, **{chain.name: _at_random(chain, by_type) for chain in sites}}
    return replace(catalog, lists=lists, events=events, chains=chains)


def warnings(shares: Mapping[str, float]) -> list[str]:
    """Where the stream will differ from the shares, one sentence each."""
    by_type = {full_name(name): share for name, share in shares.items()}
    start, end = by_type.get(START, 0.0), by_type.get(END, 0.0)
    if end <= start:
        return []
    return [
        f"session_end ({end:g}) is above session_start ({start:g}): a session ends once at most, so as many end as "
        f"begin, and the other events fill the rest in proportion"
    ]


def _by_type(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares by event type, without zeros, and with no more ends than starts."""
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
    if not by_type.get(START):
        raise CatalogError("expected a share above 0 for session_start: no session would begin")
    by_type[END] = min(max(by_type.get(END, 0.0), MIN_END_SHARE), by_type[START])
    return {name: share for name, share in by_type.items() if share > 0}


def _at_random(chain: Chain, shares: Mapping[str, float]) -> Chain:
    assert chain.visitors is not None
    behaviour = chain.visitors.behaviour
    return replace(
        chain,
        description="Somebody visits the web site and does what chance says.",
        start=short_name(START),
        states={short_name(name): _state(name, shares, _delay(behaviour)) for name in shares},
        max_steps=min(math.ceil(MAX_MEAN_LENGTHS / shares[START]), MAX_STEPS),
        visitors=None,
    )


def _state(name: str, shares: Mapping[str, float], delay: Delay) -> State:
    """A state after which (1 - start) / (1 - end) of all sessions continue, independently of its history."""
    if name == END:
        return State(name=short_name(name), emits=name, outcome="completed")
    total = math.fsum(shares.values())
    abandoned = (shares[START] - shares[END]) / (total - shares[END])
    following = {to: share for to, share in shares.items() if to != START}
    weights = {to: share / (total - shares[START]) * (1 - abandoned) * 100 for to, share in following.items()}
    return State(
        name=short_name(name),
        emits=name,
        next=tuple(Transition(to=short_name(to), delay=delay, weight=weight) for to, weight in weights.items()),
        abandon=abandoned * 100,
    )


def _delay(behaviour: Behaviour) -> Delay:
    if not behaviour.human_like_delays:
        return Fixed(value=1)
    low, high = behaviour.action_delay
    return Uniform(minimum=max(low * 1000, 1), maximum=max(high * 1000, 1))


def _lists(name: str, visitors: Visitors) -> dict[str, tuple[Any, ...]]:
    """Pages and clicks as lists that payload fields pick from."""
    pages = [{"path": page.path, "title": page.title} for page in visitors.pages.values()]
    hrefs = dict(zip(visitors.clicks, visitors.texts("click.href"), strict=True))
    lists: dict[str, tuple[Any, ...]] = {f"{name}_page": tuple(pages)}
    for kind in ("button", "link"):
        lists[f"{name}_{kind}"] = tuple(
            {"path": page.path, "title": page.title, "element": click.element, "text": click.text, "href": href}
            for (page, click), href in hrefs.items()
            if click.kind == kind
        )
    return lists


def _event(name: str, chain: Chain, catalog: Sections) -> EventType:
    """An event type without the attributes of a walk through the site; a new type has those of a page and a visitor."""
    states = {state.emits: state.name for state in chain.states.values()}
    if name in states:
        base, state = catalog.event_type(name), states[name]
    else:
        visited = catalog.event_type(chain.states["visited"].emits)
        base, state = replace(visited, name=name, description="Something else that a visitor does."), "visited"
    return replace(base, payload=tuple(_fields(base.payload, state, chain)))


def _fields(fields: tuple[PayloadField, ...], state: str, chain: Chain) -> Iterator[PayloadField]:
    assert chain.visitors is not None
    for field in fields:
        source = field.source
        if field.fields is not None:
            yield replace(field, fields=tuple(_fields(field.fields, state, chain)))
        elif not isinstance(source, VisitAttribute | ElapsedTime):
            yield field
        elif isinstance(source, VisitAttribute) and source.attribute == "referrer" and chain.visitors.referrer:
            yield replace(field, source=VariableValue(chain.visitors.referrer))
        elif isinstance(source, VisitAttribute) and source.attribute not in {*INTEGER_ATTRIBUTES, "referrer"}:
            kind = state if state in {"button", "link"} else "page"
            yield replace(field, source=ListPick(f"{chain.name}_{kind}.{source.attribute.partition('.')[2]}"))
