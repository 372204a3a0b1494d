"""Rules for chains: transitions that lead somewhere and add up, states that are reached, walks that end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventbus.catalog.errors import Location, TooManyPaths, did_you_mean, join_names
from eventbus.catalog.graph.conformance import MAX_TYPES, Role, accepted_sets, role_of
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.graph.graph import Graph, located_targets, targets
from eventbus.catalog.model import Backoff, Chain, EventType, State, Target, Transition, Variable
from eventbus.catalog.validation.payloads import SAFE
from eventbus.catalog.validation.workload import delay_problems

# Rules for what a state may have beside plain transitions, and for the regions that forks cut a chain into.


Problem = tuple[Location, str]


def topology_problems(place: Location, state: State, chain: Chain) -> Iterator[Problem]:
    """What is wrong inside one state."""
    if state.fork and state.next:
        yield (*place, "fork"), "expected either `next` or `fork`, got both"
    if state.fork and state.outcome:
        yield (*place, "outcome"), "an outcome belongs to a state that ends the chain; this one has branches"
    if state.outcome and state.compensation:
        yield (*place, "compensation"), "nothing is undone after the chain has ended, so this state needs none"
    if state.abandon < 0:
        yield (*place, "abandon"), f"expected a weight of 0 or more, got {state.abandon:g}"
    for name in ("abandon", "timeout"):
        if getattr(state, name) and not state.next:
            yield (*place, name), f"`{name}` belongs beside `next` (transitions), which this state has not"
    if state.timeout and state.timeout.after <= 0:
        yield (*place, "timeout", "after"), f"expected a time above 0 ms, got {state.timeout.after:g}"
    for index, transition in enumerate(state.next):
        yield from _transition_problems((*place, "next", index), transition, state, chain)
    yield from _compensation_problems(place, state, chain)


def _transition_problems(place: Location, one: Transition, state: State, chain: Chain) -> Iterator[Problem]:
    if one.retry:
        if one.retry.limit < 1:
            yield (*place, "retry", "limit"), f"expected a limit of at least 1, got {one.retry.limit}"
        if one.retry.backoff:
            yield from _backoff_problems((*place, "retry", "backoff"), one.retry.backoff)
    if one.scaled_by is None:
        return
    slow = [variable.name for variable in chain.variables.values() if variable.factor is not None]
    if one.scaled_by not in slow:
        near = did_you_mean(one.scaled_by, slow)
        yield (
            (*place, "scaled_by"),
            f"expected a variable with a `factor`, got {one.scaled_by!r}{near}; there are {join_names(slow)}",
        )
    if state.timeout:
        yield (
            (*place, "scaled_by"),
            "a delay that is multiplied cannot be timed out: take `scaled_by` or `timeout` away",
        )


def _backoff_problems(place: Location, backoff: Backoff) -> Iterator[Problem]:
    if backoff.initial < 0:
        yield (*place, "initial"), f"expected a delay of 0 ms or more, got {backoff.initial:g}"
    if backoff.factor <= 0:
        yield (*place, "factor"), f"expected a factor above 0, got {backoff.factor:g}"
    if backoff.maximum is not None and backoff.maximum < 0:
        yield (*place, "max"), f"expected a delay of 0 ms or more, got {backoff.maximum:g}"
    if not 0 <= backoff.jitter <= 1:
        yield (*place, "jitter"), f"expected a share between 0 and 1, got {backoff.jitter:g}"


def _compensation_problems(place: Location, state: State, chain: Chain) -> Iterator[Problem]:
    target = chain.states.get(state.compensation.to) if state.compensation else None
    if target and (target.next or target.fork or target.outcome):
        yield (
            (*place, "compensation", "state"),
            f"expected a state without `next`, `fork` and `outcome`, but {target.name!r} has one: "
            "when all is undone the chain goes on where it was to go",
        )
    undoing = compensations(chain)
    for where, way in located_targets(state):
        if way.to in undoing and where[-1] != "compensation":
            yield (*place, *where, "to"), f"{way.to!r} undoes something, and comes only as a `compensation`"


def compensations(chain: Chain) -> set[str]:
    """The states that undo something."""
    return {state.compensation.to for state in chain.states.values() if state.compensation}


def inner_states(chain: Chain) -> set[str]:
    """The states that lie in a branch, or undo something: an end there is not the chain's."""
    branches = (_region(chain, way.to) for state in chain.states.values() if state.fork for way in state.fork.branches)
    return compensations(chain).union(*branches)


def region_problems(place: Location, chain: Chain) -> Iterator[Problem]:
    """Branches have states of their own, and end without an outcome; only where every name leads somewhere."""
    owner = dict.fromkeys(_region(chain, chain.start), "outside of it")
    for state in chain.states.values():
        for way in state.fork.branches if state.fork else ():
            branch = f"in the branch to {way.to!r}"
            for name in _region(chain, way.to):
                other = owner.setdefault(name, branch)
                if other != branch or name == state.name:
                    yield (
                        (*place, "states", name),
                        f"branches have states of their own, but {name!r} lies both {branch} and {other}",
                    )
                elif chain.states[name].outcome:
                    yield (
                        (*place, "states", name, "outcome"),
                        f"{name!r} lies {branch} after {state.name!r}: a branch ends without an outcome, only the "
                        "chain has one",
                    )
        yield from _unless_problems((*place, "states", state.name, "fork", "join", "unless"), state, chain)


def _unless_problems(place: Location, state: State, chain: Chain) -> Iterator[Problem]:
    if state.fork is None:
        return
    inside = set().union(*(_region(chain, way.to) for way in state.fork.branches))
    ends = [name for name in chain.states if name in inside and _is_end(chain.states[name])]
    for index, one in enumerate(state.fork.unless):
        if one.ended not in ends:
            near = did_you_mean(one.ended, ends)
            yield (
                (*place, index, "state"),
                f"expected a state in which a branch ends, got {one.ended!r}{near}; there are {join_names(ends)}",
            )


def _is_end(state: State) -> bool:
    return not (state.next or state.fork)


def _region(chain: Chain, first: str) -> dict[str, None]:
    """The states that walks from a state come to without entering or leaving a branch, in order."""
    found: dict[str, None] = {}
    ahead = [first]
    while ahead:
        name = ahead.pop()
        if name in found or name not in chain.states:
            continue
        found[name] = None
        ahead += [
            way.to
            for where, way in located_targets(chain.states[name])
            if where[:2] != ("fork", "branches") and where != ("compensation",)
        ]
    return found


def chain_problems(
    chain: Chain, events: Mapping[str, EventType], lists: Mapping[str, tuple[Any, ...]]
) -> Iterator[Problem]:
    """What is wrong with one chain."""
    place: Location = ("chains", chain.name)
    if chain.weight < 0:
        yield (*place, "weight"), f"expected a weight of 0 or more, got {chain.weight:g}"
    for variable in chain.variables.values():
        yield from _variable_problems((*place, "variables", variable.name), variable, lists)
    for state in chain.states.values():
        yield from _state_problems((*place, "states", state.name), state, chain, events)
    yield from _shape_problems(place, chain)


def _variable_problems(place: Location, variable: Variable, lists: Mapping[str, Any]) -> Iterator[Problem]:
    if "." in variable.name:
        yield place, f"expected a name without dots, got {variable.name!r}"
    if variable.list is not None and variable.list not in lists:
        yield (
            (*place, "list"),
            f"unknown list {variable.list!r}{did_you_mean(variable.list, lists)}; "
            f"there are {join_names(sorted(lists))}",
        )
    if variable.factor is not None and variable.list is None:
        yield (*place, "factor"), "a factor belongs to a variable with a list: each item has its own"
    elif variable.factor is not None and variable.factor <= 1:
        yield (*place, "factor", "p95"), f"expected a 95th percentile above 1 (the median), got {variable.factor:g}"
    low, high = variable.minimum, variable.maximum
    if low is None or high is None:
        return
    if low > high:
        yield (*place, "min"), f"min {low} is above max {high}"
    for key, bound in (("min", low), ("max", high)):
        if abs(bound) > SAFE:
            yield (*place, key), f"expected a whole number between -2^53 and 2^53, got {bound}"


def _state_problems(place: Location, state: State, chain: Chain, events: Mapping[str, EventType]) -> Iterator[Problem]:
    if state.emits and state.emits not in events:
        near = did_you_mean(state.emits, events)
        yield (*place, "emits"), f"unknown event type {state.emits!r}{near}; the catalog has {len(events)} of them"
    if state.next and state.outcome:
        yield (*place, "outcome"), "an outcome belongs to a state that ends the chain; this one has transitions"
    if not (state.next or state.fork or state.outcome or state.name in inner_states(chain)):
        yield place, "expected `next` (transitions), or `outcome: completed | failed` if the chain ends here"
    for where, way in located_targets(state):
        yield from _way_problems((*place, *where), way, chain)
    for index, transition in enumerate(state.next):
        if transition.weight < 0:
            yield (*place, "next", index, "weight"), f"expected a weight of 0 or more, got {transition.weight:g}"
    yield from _total_problems(place, state)
    yield from topology_problems(place, state, chain)


def _way_problems(place: Location, way: Target, chain: Chain) -> Iterator[Problem]:
    name = "state" if place[-1] == "compensation" else "to"
    if way.to and way.to not in chain.states:
        near = did_you_mean(way.to, chain.states)
        yield (*place, name), f"unknown state {way.to!r}{near}; the chain has {join_names(chain.states)}"
    for problem in delay_problems(way.delay):
        yield (*place, "after" if place[-1] == "timeout" else "delay"), problem


def _total_problems(place: Location, state: State) -> Iterator[Problem]:
    if state.total <= 0:
        yield (*place, "total"), f"expected a total above 0, got {state.total:g}"
        return
    found = math.fsum([state.abandon, *(transition.weight for transition in state.next)])
    if state.next and not math.isclose(found, state.total, abs_tol=1e-9):
        yield (
            (*place, "next"),
            (
                f"the transition weights{' and `abandon`' if state.abandon else ''} sum to {found:g}, "
                f"expected {state.total:g} "
                f"(declare `total: {found:g}` if that is meant)"
            ),
        )


def _shape_problems(place: Location, chain: Chain) -> Iterator[Problem]:
    """Reachability, ends and cycles; only where every name leads somewhere, so that one slip is not told twice."""
    states = chain.states
    if chain.start and chain.start not in states:
        near = did_you_mean(chain.start, states)
        yield (*place, "start"), f"unknown state {chain.start!r}{near}; the chain has {join_names(states)}"
    if chain.start not in states or any(way.to not in states for state in states.values() for way in targets(state)):
        return
    if problems := list(region_problems(place, chain)):
        yield from problems
        return
    try:
        graph = graph_of(chain)
    except TooManyPaths as error:
        yield place, str(error)
        return
    reached = reachable(chain)
    for name in states:
        if name not in reached:
            yield (*place, "states", name), f"unreachable: no transitions lead from {chain.start!r} to {name!r}"
    if all(state.next or state.fork for state in states.values()):
        yield place, "no terminal state: at least one state must end the chain with `outcome`"
    elif trapped := graph.trapped():
        cycle = " → ".join(cycle_from(graph, trapped))
        name = graph.nodes[trapped[0]].state
        yield (*place, "states", name), f"cycle without exit: {cycle}; no transition leads to a terminal state"
    else:
        yield from _size_problems(place, chain)


def _size_problems(place: Location, chain: Chain) -> Iterator[Problem]:
    shortest = graph_of(chain).distances(graph_of(chain).ends()).get(0, 0) + 1
    if shortest == 1:
        yield (*place, "start"), "the start state ends the chain: a chain has at least two events"
    if chain.max_steps < shortest:
        yield (*place, "max_steps"), f"max_steps {chain.max_steps} is less than the shortest walk of {shortest} events"
    types = {state.emits for state in chain.states.values()}
    if len(types) > MAX_TYPES:
        yield place, f"the chain has {len(types)} event types, at most {MAX_TYPES} are possible"
        return
    try:
        accepted_sets(chain)
    except TooManyPaths as error:
        yield place, str(error)


def reachable(chain: Chain) -> set[str]:
    """The states that some walk from the start comes to."""
    return {node.state for node in graph_of(chain).nodes}


def cycle_from(graph: Graph, trapped: Sequence[int]) -> list[str]:
    """The cycle that a walk from a node without exit runs into, its first state repeated at the end."""
    walk = [trapped[0]]
    while walk.count(walk[-1]) < 2:
        targets = graph.nodes[walk[-1]].targets
        walk.append(next((to for to in targets if to in trapped), walk[-1]))
    return [graph.nodes[number].state for number in walk[walk.index(walk[-1]) :]]


def role_problems(chains: Mapping[str, Chain]) -> Iterator[Problem]:
    """An event type must mean the same wherever it stands: what starts or ends one chain does so in all of them.

    Statistics tell where a chain starts and ends by event types alone.
    """
    first: dict[str, tuple[Chain, Role]] = {}
    for chain in chains.values():
        for state in chain.states.values():
            role = role_of(chain, state)
            other, known = first.setdefault(state.emits, (chain, role))
            if known != role:
                yield (
                    ("chains", chain.name, "states", state.name, "emits"),
                    f"{state.emits} {_deed[role]} here and {_deed[known]} in {other.name}: "
                    "give one of them a type of its own",
                )


_deed: Mapping[Role, str] = {
    Role.STEP: "continues the chain",
    Role.STARTED: "continues the chain",
    Role.REQUESTED: "starts the chain",
    Role.COMPLETED: "completes the chain",
    Role.FAILED: "fails the chain",
}
