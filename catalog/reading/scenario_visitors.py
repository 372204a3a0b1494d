"""What a scenario changes in a catalog: who visits, how they behave, and which chains there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eventbus.catalog.errors import CatalogError, did_you_mean, join_names
from eventbus.catalog.model import Behaviour, Chain, Journey, Range, Sections, Visitors, full_name
from eventbus.catalog.reading import scalars
from eventbus.catalog.reading.chains import RANGES, read_journeys
from eventbus.catalog.reading.document import YamlNode
from eventbus.catalog.reading.scalars import factor
from eventbus.catalog.validation import event_name
from eventbus.catalog.validation.visitors import behaviour_problems, visitor_problems
from eventbus.catalog.visitors_by_chance import TOLERANCE, with_probabilities

# A scenario's `event_probabilities`: how often each kind of event comes.


def read_probabilities(node: YamlNode) -> Mapping[str, float]:
    """The share of each event type; nothing after a mistake. Names may be short ones and their aliases."""
    shares: dict[str, float] = {}
    before = len(node.mistakes)
    given = {name: scalars.number(member) for name, member in node.mapping().items()}
    for name, member in node.mapping().items():
        share = given[name]
        if not event_name.fullmatch(full_name(name)):
            member.complain(f"expected the name of an event such as video_play, got {name!r}")
        elif full_name(name) in shares:
            member.complain(f"{name!r} stands for {full_name(name)}, which has a share already")
        elif share is not None and not 0 <= share <= 1:
            member.complain(f"expected a share of 0 to 1, got {share:g}")
        shares[full_name(name)] = share or 0.0
    total = math.fsum(share or 0.0 for share in given.values())
    sound = all(share is not None and 0 <= share <= 1 for share in given.values())
    if sound and abs(total - 1) > TOLERANCE:
        node.complain(f"expected shares that sum to 1.0, got {total:.12g} for {join_names(node.mapping())}")
    return shares if len(node.mistakes) == before else {}


def visited_by_chance(node: YamlNode, shares: Mapping[str, float], catalog: Sections) -> Sections:
    """The catalog with visitors who act in these shares; the same one if they cannot, which is noted."""
    try:
        return with_probabilities(catalog, shares)
    except CatalogError as error:
        node.complain(str(error))
        return catalog


OWN_SET = "scenario"
"""The set of journeys that a scenario brings along."""
VISITOR_SECTIONS = ("event_probabilities", "user_behavior", "journeys")
"""The sections that are about visitors."""


def apply_visitor_sections(
    members: Mapping[str, YamlNode], catalog: Sections, *, shares: Mapping[str, float], human: bool, users: bool
) -> Sections:
    """The catalog as the sections of a scenario change it; what is wrong is noted.

    Args:
        shares: of events, where visitors go by chance alone.
        human: whether visitors wait between actions.
        users: whether the scenario says how many there are.
    """
    sites = [chain for chain in catalog.chains.values() if chain.visitors]
    before = next((site.visitors.behaviour for site in sites if site.visitors), Behaviour())
    behaviour = read_behaviour(members["user_behavior"], before) if "user_behavior" in members else None
    if "journeys" in members:
        sites = [_with_journeys(chain, members["journeys"], catalog) for chain in sites]
    changed = [_site(chain, behaviour, human=human) for chain in sites]
    catalog = replace(catalog, chains={**catalog.chains, **{chain.name: chain for chain in changed}})
    if shares:
        catalog = visited_by_chance(members["event_probabilities"], shares, catalog)
    names = [chain.name for chain in changed]
    if "chains" in members:
        return _weighted(members["chains"], catalog)
    is_visited = users or any(section in members for section in VISITOR_SECTIONS)
    return catalog.only(*names) if is_visited and names else catalog


def read_behaviour(node: YamlNode, base: Behaviour) -> Behaviour:
    """The section `user_behavior`: a bound that it does not have is that of `base`, as far as the other one lets it."""
    allowed = [f"{name}_{end}" for name in RANGES for end in ("min", "max")]
    members = {
        name: member
        for name, member in node.members(allowed).items()
        if name in allowed and not scalars.is_nothing(member)
    }
    numbers = {name: number for name, member in members.items() if (number := _bound(name, member)) is not None}
    given = {name: (numbers.get(f"{name}_min"), numbers.get(f"{name}_max")) for name in RANGES}
    for name, (low, high) in given.items():
        if low is not None and high is not None and low > high:
            members[f"{name}_min"].complain(f"expected no more than {name}_max, {high:g}, got {low:g}")
    ranges: dict[str, Any] = {name: _range(getattr(base, name), *bounds) for name, bounds in given.items()}
    return replace(base, **ranges)


def _bound(name: str, node: YamlNode) -> float | None:
    found = scalars.duration(node)
    if found is None:
        return None
    alone: dict[str, Any] = {name.rpartition("_")[0]: Range(found, found)}
    for _, problem in behaviour_problems((), Behaviour(**alone)):
        node.complain(problem)
        return None
    return found


def _range(base: Range, low: float | None, high: float | None) -> Range:
    if low is None:
        low = base.low if high is None else min(base.low, high)
    return Range(low, max(base.high, low) if high is None else high)


def _site(chain: Chain, behaviour: Behaviour | None, *, human: bool) -> Chain:
    """A chain of sessions with another behaviour."""
    visitors = chain.visitors
    assert visitors is not None
    if behaviour:
        visitors = replace(_within(visitors, behaviour), behaviour=behaviour)
    if not human:
        visitors = replace(visitors, behaviour=replace(visitors.behaviour, human_like_delays=False))
    return _of(chain, visitors)


def _of(chain: Chain, visitors: Visitors) -> Chain:
    """The chain with other visitors, as many events as theirs need."""
    return replace(chain, visitors=visitors, max_steps=visitors.max_events)


def _within(visitors: Visitors, behaviour: Behaviour) -> Visitors:
    """A scenario's bounds hold for everybody, also for those on a journey with a way of its own."""
    pages, clicks = int(behaviour.pages_per_session.high), int(behaviour.clicks_per_page.high)

    def shorter(journey: Journey) -> Journey:
        stops = (stop._replace(clicks=stop.clicks[:clicks]) for stop in journey.stops[:pages])
        return replace(journey, stops=tuple(stops))

    return replace(visitors, sets={name: tuple(map(shorter, journeys)) for name, journeys in visitors.sets.items()})


def _with_journeys(chain: Chain, node: YamlNode, catalog: Sections) -> Chain:
    """A chain of sessions with another set of journeys, by its name or written out."""
    assert chain.visitors is not None
    sets = dict(chain.visitors.sets)
    if not node.is_mapping:
        name = node.text() or chain.visitors.journeys
        if name not in sets:
            node.complain(f"no set of journeys {name!r}{did_you_mean(name, sets)}; there are {join_names(sets)}")
            return chain
        return _of(chain, replace(chain.visitors, journeys=name))
    sets[OWN_SET] = read_journeys(node)
    changed = _of(chain, replace(chain.visitors, sets=sets, journeys=OWN_SET))
    before = ("chains", chain.name, "visitors", "sets", OWN_SET)
    for place, problem in visitor_problems(changed, catalog.events, catalog.lists):
        node.at(place[len(before) :]).complain(problem)
    return changed


def _weighted(node: YamlNode, catalog: Sections) -> Sections:
    """Only these chains, in these proportions."""
    weights: dict[str, float] = {}
    for name, member in node.mapping().items():
        if name not in catalog.chains:
            near = did_you_mean(name, catalog.chains)
            member.complain(f"unknown chain {name!r}{near}; there are {join_names(sorted(catalog.chains))}")
        else:
            weights[name] = factor({name: member}, name)
    if weights and not any(weights.values()):
        node.complain("expected at least one chain with a weight above 0")
    return catalog.with_weights({**dict.fromkeys(catalog.chains, 0), **weights})
