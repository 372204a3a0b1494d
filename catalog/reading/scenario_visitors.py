"""Applies the sections of a scenario that change its catalog: its visitors, their behaviour, and its chains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eventbus.catalog.errors import CatalogError, did_you_mean, join_names
from eventbus.catalog.model import Behaviour, Chain, Journey, Range, Sections, Visitors, full_name
from eventbus.catalog.reading.chains import RANGES, read_journeys
from eventbus.catalog.reading.document import Members, YamlNode
from eventbus.catalog.reading.scalars import coerce_duration, coerce_factor, coerce_number, is_null
from eventbus.catalog.validation import event_name
from eventbus.catalog.validation.visitors import behaviour_problems, visitor_problems
from eventbus.catalog.visitors_by_chance import TOLERANCE, with_probabilities

OWN_SET = "scenario"
"""The name of the set of journeys that a scenario defines."""
BEHAVIOUR = tuple(f"{name}_{end}" for name in RANGES for end in ("min", "max"))
"""The keys of the section `user_behavior`."""
VISITOR_SECTIONS = ("event_probabilities", "user_behavior", "journeys", "profile")
"""Sections that make a scenario one about visitors."""
SIMULATOR_SECTIONS = ("simulation", "advanced")
"""Sections that do so if there are none of `CHAIN_SECTIONS`."""
CHAIN_SECTIONS = ("arrivals", "faults", "phases")


def apply_visitor_sections(
    members: Members, catalog: Sections, *, shares: Mapping[str, float], human: bool, users: bool
) -> Sections:
    """The catalog with the changes of a scenario's sections; what is wrong is added to the mistakes.

    Args:
        shares: the shares of event types, if visitors act at random.
        human: whether visitors wait between actions.
        users: whether the scenario sets the number of users.
    """
    sites = [chain for chain in catalog.chains.values() if chain.visitors]
    base = next((site.visitors.behaviour for site in sites if site.visitors), Behaviour())
    behaviour = _behaviour(members["user_behavior"], base) if "user_behavior" in members else None
    if "journeys" in members:
        sites = [_with_journeys(chain, members["journeys"], catalog) for chain in sites]
    elif users or "profile" in members:
        sites = [_with_default_set(chain, "shop" if users else "site") for chain in sites]
    changed = [_with_behaviour(chain, behaviour, human=human) for chain in sites]
    catalog = replace(catalog, chains={**catalog.chains, **{chain.name: chain for chain in changed}})
    if shares:
        catalog = _with_shares(members["event_probabilities"], shares, catalog)
    names = [chain.name for chain in changed]
    if "chains" in members:
        return _with_weights(members["chains"], catalog)
    return catalog.only(*names) if names and is_about_visitors(members, users=users) else catalog


def is_about_visitors(members: Members, *, users: bool) -> bool:
    """Whether a scenario is about visitors alone.

    Args:
        users: whether it sets their number.
    """
    if "chains" in members:
        return False
    if users or any(name in members for name in VISITOR_SECTIONS):
        return True
    return any(name in members for name in SIMULATOR_SECTIONS) and not any(name in members for name in CHAIN_SECTIONS)


def read_probabilities(node: YamlNode) -> Mapping[str, float]:
    """The share of each event type in `event_probabilities`, by full name; empty after a mistake."""
    shares: dict[str, float] = {}
    before = len(node.mistakes)
    numbers = {name: coerce_number(member) for name, member in node.mapping().items()}
    for name, member in node.mapping().items():
        share = numbers[name]
        if not event_name.fullmatch(full_name(name)):
            member.complain(f"expected the name of an event such as video_play, got {name!r}")
        elif full_name(name) in shares:
            member.complain(f"{name!r} is {full_name(name)}, which already has a share")
        elif share is not None and not 0 <= share <= 1:
            member.complain(f"expected a share of 0 to 1, got {share:g}")
        shares[full_name(name)] = share or 0.0
    total = math.fsum(share or 0.0 for share in numbers.values())
    are_shares = all(share is not None and 0 <= share <= 1 for share in numbers.values())
    if are_shares and abs(total - 1) > TOLERANCE:
        node.complain(f"expected shares that sum to 1.0, got {total:.12g} for {join_names(node.mapping())}")
    return shares if len(node.mistakes) == before else {}


def _with_shares(node: YamlNode, shares: Mapping[str, float], catalog: Sections) -> Sections:
    """The catalog with visitors who act at random; the same catalog after a mistake."""
    try:
        return with_probabilities(catalog, shares)
    except CatalogError as error:
        node.complain(str(error))
        return catalog


def _behaviour(node: YamlNode, base: Behaviour) -> Behaviour:
    """The section `user_behavior`; the base provides missing bounds, moved if the other bound requires it."""
    members = {
        name: member for name, member in node.members(BEHAVIOUR).items() if name in BEHAVIOUR and not is_null(member)
    }
    numbers = {name: number for name, member in members.items() if (number := _bound(name, member)) is not None}
    bounds = {name: (numbers.get(f"{name}_min"), numbers.get(f"{name}_max")) for name in RANGES}
    for name, (low, high) in bounds.items():
        if low is not None and high is not None and low > high:
            members[f"{name}_min"].complain(f"expected no more than {name}_max, {high:g}, got {low:g}")
    ranges: dict[str, Any] = {name: _range(getattr(base, name), low, high) for name, (low, high) in bounds.items()}
    return replace(base, **ranges)


def _bound(name: str, node: YamlNode) -> float | None:
    number = coerce_duration(node)
    if number is None:
        return None
    behaviour: dict[str, Any] = {name.rpartition("_")[0]: Range(number, number)}
    for _, problem in behaviour_problems((), Behaviour(**behaviour)):
        node.complain(problem)
        return None
    return number


def _range(base: Range, low: float | None, high: float | None) -> Range:
    if low is None:
        low = base.low if high is None else min(base.low, high)
    return Range(low, max(base.high, low) if high is None else high)


def _with_behaviour(chain: Chain, behaviour: Behaviour | None, *, human: bool) -> Chain:
    """A chain of sessions with another behaviour; None: only its waiting may change."""
    visitors = chain.visitors
    assert visitors is not None
    if behaviour:
        visitors = replace(_capped(visitors, behaviour), behaviour=behaviour)
    if not human:
        visitors = replace(visitors, behaviour=replace(visitors.behaviour, human_like_delays=False))
    return _with_visitors(chain, visitors)


def _with_visitors(chain: Chain, visitors: Visitors) -> Chain:
    """The chain with other visitors, and the maximum number of events that they need."""
    return replace(chain, visitors=visitors, max_steps=visitors.max_events)


def _capped(visitors: Visitors, behaviour: Behaviour) -> Visitors:
    """Visitors whose journeys keep to the maximum numbers of pages and clicks of a behaviour."""
    pages, clicks = int(behaviour.pages_per_session.high), int(behaviour.clicks_per_page.high)

    def shorter(journey: Journey) -> Journey:
        stops = (stop._replace(clicks=stop.clicks[:clicks]) for stop in journey.stops[:pages])
        return replace(journey, stops=tuple(stops))

    return replace(visitors, sets={name: tuple(map(shorter, journeys)) for name, journeys in visitors.sets.items()})


def _with_default_set(chain: Chain, name: str) -> Chain:
    """A chain of sessions with a set of journeys, if it has that set."""
    assert chain.visitors is not None
    if name not in chain.visitors.sets:
        return chain
    return _with_visitors(chain, replace(chain.visitors, journeys=name))


def _with_journeys(chain: Chain, node: YamlNode, catalog: Sections) -> Chain:
    """A chain of sessions with another set of journeys: the name of one, or the journeys themselves."""
    assert chain.visitors is not None
    sets = dict(chain.visitors.sets)
    if not node.is_mapping:
        name = node.text() or chain.visitors.journeys
        if name not in sets:
            node.complain(f"no set of journeys {name!r}{did_you_mean(name, sets)}; there are {join_names(sets)}")
            return chain
        return _with_visitors(chain, replace(chain.visitors, journeys=name))
    sets[OWN_SET] = read_journeys(node)
    changed = _with_visitors(chain, replace(chain.visitors, sets=sets, journeys=OWN_SET))
    prefix = ("chains", chain.name, "visitors", "sets", OWN_SET)
    for loc, problem in visitor_problems(changed, catalog.lists):
        node.at(loc[len(prefix) :]).complain(problem)
    return changed


def _with_weights(node: YamlNode, catalog: Sections) -> Sections:
    """The catalog with only these chains switched on, in these proportions."""
    weights: dict[str, float] = {}
    for name, member in node.mapping().items():
        if name not in catalog.chains:
            near = did_you_mean(name, catalog.chains)
            member.complain(f"unknown chain {name!r}{near}; there are {join_names(sorted(catalog.chains))}")
        else:
            weights[name] = coerce_factor(member)
    if weights and not any(weights.values()):
        node.complain("expected at least one chain with a weight above 0")
    return catalog.with_weights({**dict.fromkeys(catalog.chains, 0), **weights})
