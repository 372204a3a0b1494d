"""One chain of the learned catalog, from the walks that begin with its first event type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Chain, State, TooManyPaths, Transition
from eventbus.catalog.errors import Place
from eventbus.catalog.graph.conformance import MAXIMUM_TYPES, accepted_sets, types_of
from eventbus.catalog.infer.chains import dashed, is_failure, unique
from eventbus.catalog.model.chains import Outcome
from eventbus.chains.learning.fitting import Fit, fit
from eventbus.chains.learning.forest import Walks
from eventbus.chains.learning.machine import Machine, machine
from eventbus.chains.learning.rounding import percentages

STEPS = 64
"""Bound of a chain's events unless longer ones were seen."""


class Learned(NamedTuple):
    """A chain, and what to note about it."""

    chain: Chain
    notes: dict[Place, list[str]]
    walks: Walks
    """Those that it was learned from."""


def learned(name: str, walks: Walks, names: Sequence[str]) -> Learned:
    """The chain of some walks.

    Ways that very few walks take are left out where all of them would be more than a catalog can describe.

    Args:
        names: of the event types, by number.
    """
    least = 1
    while True:
        found = machine(walks)
        transitions = {(here, there): fit(delays) for here, there, delays in found.transitions()}
        chain = _chain(name, found, transitions, names)
        if _is_describable(chain):
            return Learned(chain, dict(_notes(chain, found, transitions)), walks)
        least *= 4
        walks = _without_rare(found, least)


def state_names(types: Sequence[str]) -> list[str]:
    """A name for each state: its event's action, with the words before it where several types have that action."""
    parts = [name.split(".")[1:-1] for name in types]
    actions = [dashed(part[-1]) for part in parts]
    several = {a for a in actions if len({t for t, other in zip(types, actions, strict=True) if other == a}) > 1}
    found: list[str] = []
    for part, action in zip(parts, actions, strict=True):
        found.append(unique(dashed("-".join(part[-2:]), "-") if action in several else action, found))
    return found


def outcome_of(event_type: str) -> Outcome:
    """How a chain ends with this event."""
    return "failed" if is_failure(event_type.split(".")[-2]) else "completed"


def refitted(chain: Chain, found: Machine) -> Learned:
    """A known chain with the shares and delays of the walks through its states.

    Args:
        found: its states are numbered in the chain's order.
    """
    fits = {(here, there): fit(delays) for here, there, delays in found.transitions()}
    labels = list(chain.states)
    notes: dict[Place, list[str]] = {}
    states = {}
    for here, state in enumerate(chain.states.values()):
        seen = [fits.pop((here, labels.index(way.to)), None) for way in state.next]
        states[state.name] = _refitted(state, seen) if any(seen) else state
        for index, one in enumerate(seen):
            place = ("chains", chain.name, "states", state.name, "next", index)
            notes[place] = [_figures(one) if one else "not seen"]
    return Learned(replace(chain, weight=found.walks.chains, states=states), notes, found.walks)


def _refitted(state: State, seen: Sequence[Fit | None]) -> State:
    weights = iter(percentages([one.size for one in seen if one]))
    ways = (
        replace(way, weight=next(weights), delay=one.delay) if one else replace(way, weight=0)
        for way, one in zip(state.next, seen, strict=True)
    )
    return replace(state, next=tuple(ways), total=100.0)


def _chain(name: str, found: Machine, transitions: dict[tuple[int, int], Fit], names: Sequence[str]) -> Chain:
    types = [names[kind] for kind in found.types()]
    labels = state_names(types)
    states = {}
    for number, (label, kind) in enumerate(zip(labels, types, strict=True)):
        ways = {there: one for (here, there), one in transitions.items() if here == number}
        weights = percentages([one.size for one in ways.values()]) if ways else []
        states[label] = State(
            name=label,
            emits=kind,
            next=tuple(
                Transition(to=labels[there], delay=one.delay, weight=weight)
                for (there, one), weight in zip(ways.items(), weights, strict=True)
            ),
            outcome=None if ways else outcome_of(kind),
        )
    longest = int(np.bincount(found.walks.chain).max())
    return Chain(name=name, weight=found.walks.chains, start=labels[0], states=states, max_steps=max(STEPS, longest))


def _notes(chain: Chain, found: Machine, transitions: dict[tuple[int, int], Fit]) -> Iterator[tuple[Place, list[str]]]:
    labels = list(chain.states)
    places: dict[int, int] = {}
    for (here, _), one in transitions.items():
        index = places.setdefault(here, 0)
        places[here] += 1
        place = ("chains", chain.name, "states", labels[here], "next", index)
        yield place, [_figures(one)]


def _figures(one: Fit) -> str:
    return f"ks {one.distance:.3f} of {one.size:,}" + (", bounds without the outermost" if one.trimmed else "")


def _is_describable(chain: Chain) -> bool:
    try:
        return len(types_of(chain)) <= MAXIMUM_TYPES and len(accepted_sets(chain)) > 0
    except TooManyPaths:
        return False


def _without_rare(found: Machine, least: int) -> Walks:
    """Without the walks that take a transition which fewer than so many take."""
    walks = found.walks
    there = np.where(walks.last, -1, np.roll(found.state, -1))
    _, way, counts = np.unique(
        found.state * (int(found.state.max()) + 2) + there + 1, return_inverse=True, return_counts=True
    )
    return walks.where(~walks.having(counts[way] < least))
