"""Applies the sections of a scenario that change its catalog: its visitors, their behaviour, and its chains."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from eventbus.catalog.errors import CatalogError, did_you_mean, join_names
from eventbus.catalog.event_probabilities import TOLERANCE, probability_notes, with_probabilities
from eventbus.catalog.model import Behaviour, Chain, Journey, Range, Sections, Visitors, full_name
from eventbus.catalog.reading.chains import RANGES, read_journeys
from eventbus.catalog.reading.document import Members, YamlNode
from eventbus.catalog.reading.scalars import coerce_duration, coerce_factor, coerce_number, is_null
from eventbus.catalog.validation import event_name
from eventbus.catalog.validation.visitors import behaviour_problems, visitor_problems

OWN_SET = "scenario"
"""The name of the set of journeys that a scenario defines."""
BEHAVIOUR = tuple(f"{name}_{end}" for name in RANGES for end in ("min", "max"))
"""The keys of the section `user_behavior`."""
VISITOR_SECTIONS = ("event_probabilities", "user_behavior", "journeys", "profile")
"""Sections that make a scenario one about visitors."""
SIMULATOR_SECTIONS = ("simulation", "advanced")
"""Sections that do so if there are none of `CHAIN_SECTIONS`."""
CHAIN_SECTIONS = ("arrivals", "faults", "phases")
JOURNEYS_BESIDE_SHARES = (
    "event_probabilities say how many pages and clicks a session has, journeys which pages come first: a visitor may "
    "leave a journey early, or go on at random after it"
)
WANDERER = Journey(name="random", weight=1)


def apply_visitor_sections(
    members: Members, catalog: Sections, *, shares: Mapping[str, float], human: bool, users: bool
) -> tuple[Sections, list[str]]:
    """The catalog with the changes of a scenario's sections; what is wrong is added to the mistakes.

    Returns:
        The catalog, and where the sections contradict each other, one sentence each.

    Args:
        shares: the shares of event types, if the scenario gives them.
        human: whether visitors wait between actions.
        users: whether the scenario sets the number of users.
    """
    sites = [chain for chain in catalog.chains.values() if chain.visitors]
    base = next((site.visitors.behaviour for site in sites if site.visitors), Behaviour())
    numbers = _numbers(members["user_behavior"]) if "user_behavior" in members else {}
    behaviour = _behaviour(numbers, base) if numbers else None
    if "journeys" in members:
        sites = [_with_journeys(chain, members["journeys"], catalog) for chain in sites]
    elif users or "profile" in members:
        sites = [_with_default_set(chain, "shop" if users else "site") for chain in sites]
    changed = [_with_behaviour(chain, behaviour, numbers, human=human) for chain in sites]
    catalog = replace(catalog, chains={**catalog.chains, **{chain.name: chain for chain in changed}})
    notes: list[str] = []
    if shares:
        catalog, notes = _with_shares(members["event_probabilities"], shares, catalog, numbers)
        if "journeys" in members:
            notes.append(JOURNEYS_BESIDE_SHARES)
    ranges = [note for chain in changed for note in _range_notes(chain, numbers, catalog.chains[chain.name])]
    notes = [*ranges, *notes]
    names = [chain.name for chain in changed]
    if "chains" in members:
        catalog = _with_weights(members["chains"], catalog)
        if not any(chain.visitors for chain in catalog.weighted):
            unused = [name for name in ("event_probabilities", "user_behavior", "journeys") if name in members]
            has = "has" if len(unused) == 1 else "have"
            notes = [f"{' and '.join(unused)} {has} no effect: no chain in `chains` has visitors"] if unused else []
    elif names and is_about_visitors(members, users=users):
        catalog = catalog.only(*names)
    return catalog, list(dict.fromkeys(notes))


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


def _with_shares(
    node: YamlNode, shares: Mapping[str, float], catalog: Sections, bounds: Collection[str]
) -> tuple[Sections, list[str]]:
    """The catalog with visitors whose events have shares, and notes; the same catalog after a mistake."""
    try:
        return with_probabilities(catalog, shares, bounds), probability_notes(catalog, shares, bounds)
    except CatalogError as error:
        node.complain(str(error))
        return catalog, []


def _numbers(node: YamlNode) -> dict[str, float]:
    """The section `user_behavior`: its bounds by name."""
    members = {
        name: member for name, member in node.members(BEHAVIOUR).items() if name in BEHAVIOUR and not is_null(member)
    }
    numbers = {name: number for name, member in members.items() if (number := _bound(name, member)) is not None}
    for name in RANGES:
        low, high = numbers.get(f"{name}_min"), numbers.get(f"{name}_max")
        if low is not None and high is not None and low > high:
            members[f"{name}_min"].complain(f"expected no more than {name}_max, {high:g}, got {low:g}")
    return numbers


def _behaviour(numbers: Mapping[str, float], base: Behaviour) -> Behaviour:
    """A behaviour with other bounds; the base provides missing ones, moved if the other bound requires it."""
    ranges: dict[str, Any] = {
        name: _range(getattr(base, name), numbers.get(f"{name}_min"), numbers.get(f"{name}_max")) for name in RANGES
    }
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


def _with_behaviour(chain: Chain, behaviour: Behaviour | None, numbers: Mapping[str, float], *, human: bool) -> Chain:
    """A chain of sessions with another behaviour; None: only its waiting may change.

    Args:
        numbers: the bounds that the scenario gives.
    """
    visitors = chain.visitors
    assert visitors is not None
    if behaviour:
        visitors = replace(_capped(visitors, behaviour, numbers), behaviour=behaviour)
    if not human:
        visitors = replace(visitors, behaviour=replace(visitors.behaviour, human_like_delays=False))
    return _with_visitors(chain, visitors)


def _with_visitors(chain: Chain, visitors: Visitors) -> Chain:
    """The chain with other visitors, and the maximum number of events that they need."""
    return replace(chain, visitors=visitors, max_steps=visitors.max_events)


def _capped(visitors: Visitors, behaviour: Behaviour, numbers: Mapping[str, float]) -> Visitors:
    """Visitors whose journeys keep to the bounds of a behaviour."""
    pages, clicks = int(behaviour.pages_per_session.high), int(behaviour.clicks_per_page.high)

    def clipped(name: str, bounds: Range | None) -> Range | None:
        limits = Range(numbers.get(f"{name}_min", 0.0), numbers.get(f"{name}_max", math.inf))
        return bounds and Range(limits.nearest(bounds.low), limits.nearest(bounds.high))

    def shorter(journey: Journey) -> Journey:
        stops = (stop._replace(clicks=stop.clicks[:clicks]) for stop in journey.stops[:pages])
        return replace(
            journey,
            stops=tuple(stops),
            clicks_per_page=clipped("clicks_per_page", journey.clicks_per_page),
            time_per_page=clipped("time_per_page", journey.time_per_page),
        )

    return replace(visitors, sets={name: tuple(map(shorter, journeys)) for name, journeys in visitors.sets.items()})


def _range_notes(chain: Chain, numbers: Mapping[str, float], drawn: Chain) -> Iterator[str]:
    """Which bounds of a scenario cannot be kept beside others, and which of them win.

    Args:
        drawn: the chain with the shares of the scenario, which may have widened ranges that it does not give.
    """
    assert chain.visitors is not None
    assert drawn.visitors is not None
    means, fitted = drawn.visitors.means, drawn.visitors.behaviour
    behaviour = replace(
        chain.visitors.behaviour,
        pages_per_session=fitted.pages_per_session,
        session_duration=fitted.session_duration,
    )
    if not behaviour.human_like_delays or not numbers:
        return
    closes = means is None or means.closes >= means.pages * (1 - TOLERANCE)
    for journey in [WANDERER] if means else chain.visitors.active_journeys:
        yield from _page_notes(journey, behaviour, numbers)
        yield from _session_notes(journey, behaviour, numbers, closes=closes, wanders=bool(means) or not journey.stops)


def _page_notes(journey: Journey, behaviour: Behaviour, numbers: Mapping[str, float]) -> Iterator[str]:
    """Those that even a single page cannot keep."""
    clicks, time, action = journey.clicks_per_page or behaviour.clicks_per_page, *_times(journey, behaviour)
    room, longest = behaviour.max_clicks(time), behaviour.session_duration.high
    if clicks.low > room:
        limit, winner = min((time.high, "time on the page"), (longest, "session"))
        yield (
            f"clicks_per_page_min {clicks.low:g} does not fit into {limit:g} s on a page with {action.low:g} s "
            f"between actions: the {winner} wins, with {room:g} clicks"
        )
    if time.low > action.high * (clicks.low + 1) and "action_delay_max" in numbers:
        yield (
            f"action_delay_max {action.high:g} s is too short for {time.low:g} s on a page with {clicks.low:g} "
            "clicks: the time on the page wins"
        )
    if time.high < action.low:
        yield f"action_delay_min {action.low:g} s is above {time.high:g} s on a page: the time on the page wins"
    if 3 * action.low > longest:
        yield (
            f"action_delay_min {action.low:g} s does not fit into session_duration_max {longest:g} s three times, "
            "before a page, on it and after it: the length of the session wins"
        )
    if time.low + 2 * action.low > longest:
        yield (
            f"time_per_page_min {time.low:g} s and twice {action.low:g} s, before and after the page, do not fit into "
            f"session_duration_max {longest:g} s: the length of the session wins"
        )


def _session_notes(
    journey: Journey, behaviour: Behaviour, numbers: Mapping[str, float], *, closes: bool, wanders: bool
) -> Iterator[str]:
    """Those that all pages of a session together cannot keep.

    Args:
        closes: whether every page is closed, which takes another action delay.
        wanders: whether the session has a number of pages from its range.
    """
    clicks, time, action = journey.clicks_per_page or behaviour.clicks_per_page, *_times(journey, behaviour)
    pages, duration, room = behaviour.pages_per_session, behaviour.session_duration, behaviour.max_clicks(time)
    count = pages.low if wanders else len(journey.stops)
    label = f"{count:g} page{'s' * (count > 1)}" if wanders else f"the journey {journey.name}"

    def shortest(clicks: float) -> float:
        return count * (max(time.low, action.low * (min(clicks, room) + 1)) + action.low * closes) + action.low

    least, busiest, most = (
        shortest(clicks.low),
        shortest(clicks.high),
        count * (time.high + action.high * closes) + action.high,
    )
    if count > 1 and least > duration.high:
        yield (
            f"{label} cannot take less than {least:g} s, and session_duration_max is {duration.high:g} s: "
            "the session ends in time, with fewer pages"
        )
    elif count > 1 and busiest > duration.high:
        yield (
            f"{label} with {min(clicks.high, room):g} clicks on each cannot take less than {busiest:g} s, and "
            f"session_duration_max is {duration.high:g} s: such a session ends in time, with fewer pages"
        )
    slowest = count * (min(time.high, action.high * (clicks.low + 1)) + action.high * closes) + action.high
    if slowest < duration.low and "action_delay_max" in numbers:
        yield (
            f"{label} with {clicks.low:g} clicks on each cannot take more than {slowest:g} s with action_delay_max "
            f"{action.high:g} s, and session_duration_min is {duration.low:g} s: the length of the session wins, with "
            "longer delays"
        )
    if most < duration.low and "session_duration_min" in numbers:
        yield (
            f"{label} cannot take more than {most:g} s, and session_duration_min is {duration.low:g} s: "
            "such sessions are shorter"
        )
    if count < numbers.get("pages_per_session_min", 0):
        yield f"{label} has {count:g} pages, and pages_per_session_min is {pages.low:g}: a journey keeps its stops"


def _times(journey: Journey, behaviour: Behaviour) -> tuple[Range, Range]:
    """Seconds on a page of a journey, and between two events."""
    return behaviour.time_of(journey), behaviour.action_delay


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
