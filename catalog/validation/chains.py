"""Rules for chains: targets exist, weights add up, every state is reachable, every path ends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventbus.catalog.errors import LocatedProblem, Location, TooManyPaths, did_you_mean, join_names
from eventbus.catalog.graph.conformance import MAX_TYPES, Role, accepted_sets, role_of
from eventbus.catalog.graph.expand import graph_of
from eventbus.catalog.graph.graph import Graph, located_targets, targets
from eventbus.catalog.model import Backoff, Chain, Delay, EventType, State, Target, Transition, Variable
from eventbus.catalog.model.delays import MAX_FACTOR, longest, speed_factor
from eventbus.catalog.model.json_types import SAFE
from eventbus.catalog.validation.workload import delay_problems

# Retries, timeouts, compensation, forks and joins.


def topology_problems(loc: Location, state: State, chain: Chain) -> Iterator[LocatedProblem]:
    """The problems of a state apart from the targets and weights of its transitions."""
    if state.fork and state.next:
        yield (*loc, "fork"), "expected either `next` or `fork`, got both"
    if state.fork and state.outcome:
        yield (*loc, "outcome"), "an outcome belongs to a state that ends the chain; this one has branches"
    if state.outcome and state.compensation:
        yield (*loc, "compensation"), "compensations do not run after the chain has ended"
    for problem in weight_problems(state.abandon):
        yield (*loc, "abandon"), problem
    for name in ("abandon", "timeout"):
        if getattr(state, name) and not state.next:
            yield (*loc, name), f"`{name}` requires `next` (transitions), which this state does not have"
    if state.timeout and state.timeout.after <= 0:
        yield (*loc, "timeout", "after"), f"expected a time above 0 ms, got {state.timeout.after:g}"
    for index, transition in enumerate(state.next):
        yield from _transition_problems((*loc, "next", index), transition, state, chain)
    yield from _compensation_problems(loc, state, chain)


def _transition_problems(loc: Location, transition: Transition, state: State, chain: Chain) -> Iterator[LocatedProblem]:
    if transition.retry:
        if transition.retry.limit < 1:
            yield (*loc, "retry", "limit"), f"expected a limit of at least 1, got {transition.retry.limit}"
        if transition.retry.backoff:
            yield from _backoff_problems((*loc, "retry", "backoff"), transition.retry.backoff, transition.retry.limit)
    if transition.scaled_by is not None:
        yield from _scaling_problems((*loc, "scaled_by"), transition.scaled_by, transition.delay, state, chain)


def _scaling_problems(
    loc: Location, scaled_by: str, delay: Delay, state: State, chain: Chain
) -> Iterator[LocatedProblem]:
    candidates = [variable.name for variable in chain.variables.values() if variable.factor is not None]
    if scaled_by not in candidates:
        near = did_you_mean(scaled_by, candidates)
        yield (
            loc,
            f"expected a variable with a `factor`, got {scaled_by!r}{near}; there are {join_names(candidates)}",
        )
    if state.timeout:
        yield (
            loc,
            "a scaled delay cannot have a timeout: remove `scaled_by` or `timeout`",
        )
    if (variable := chain.variables.get(scaled_by)) and not any(delay_problems(delay)):
        ms = longest(delay) * max_factor(variable)
        if ms > MAX_SCALED:
            yield (
                loc,
                f"expected a product of delay and factor up to {MAX_SCALED:,.0f} ms, got {ms:,.0f}",
            )


def max_factor(variable: Variable) -> float:
    """The largest speed factor of a variable's items; 1 if it has none, or none that can be."""
    p95 = variable.factor
    return 1.0 if p95 is None or not 1 < p95 <= MAX_FACTOR else longest(speed_factor(p95))


def _backoff_problems(loc: Location, backoff: Backoff, limit: int) -> Iterator[LocatedProblem]:
    if backoff.initial < 0:
        yield (*loc, "initial"), f"expected a delay of 0 ms or more, got {backoff.initial:g}"
    if backoff.factor <= 0:
        yield (*loc, "factor"), f"expected a factor above 0, got {backoff.factor:g}"
    if backoff.maximum is not None and backoff.maximum < 0:
        yield (*loc, "max"), f"expected a delay of 0 ms or more, got {backoff.maximum:g}"
    if not 0 <= backoff.jitter <= 1:
        yield (*loc, "jitter"), f"expected a share between 0 and 1, got {backoff.jitter:g}"
    elif backoff.initial >= 0 and backoff.factor > 0 and limit > 1:  # the first delay is checked with the transition
        for problem in delay_problems(backoff.delay(limit)):
            yield loc, f"the delay before retry {limit}: {problem}"


def _compensation_problems(loc: Location, state: State, chain: Chain) -> Iterator[LocatedProblem]:
    compensation = chain.states.get(state.compensation.to) if state.compensation else None
    if compensation and (compensation.next or compensation.fork or compensation.outcome):
        yield (
            (*loc, "compensation", "state"),
            f"expected a state without `next`, `fork` and `outcome`, but {compensation.name!r} has one: "
            "after the last compensation, the chain continues at its target",
        )
    compensating = compensations(chain)
    for path, target in located_targets(state):
        if target.to in compensating and path[-1] != "compensation":
            yield (*loc, *path, "to"), f"{target.to!r} undoes another state and may only be a `compensation`"


def compensations(chain: Chain) -> set[str]:
    """The states that undo another one."""
    return {state.compensation.to for state in chain.states.values() if state.compensation}


def inner_states(chain: Chain) -> set[str]:
    """The states in branches, and those that undo others: where they end, the chain does not."""
    forks = (state.fork for state in chain.states.values() if state.fork)
    branches = (_region(chain, branch.to) for fork in forks for branch in fork.branches)
    return compensations(chain).union(*branches)


def region_problems(loc: Location, chain: Chain) -> Iterator[LocatedProblem]:
    """The problems of branches, which have states of their own and end without an outcome; all targets must exist."""
    owner = dict.fromkeys(_region(chain, chain.start), "outside of it")
    for state in chain.states.values():
        for target in state.fork.branches if state.fork else ():
            branch = f"in the branch to {target.to!r}"
            for name in _region(chain, target.to):
                first = owner.setdefault(name, branch)
                if first != branch or name == state.name:
                    yield (
                        (*loc, "states", name),
                        f"branches have states of their own, but {name!r} is both {branch} and {first}",
                    )
                elif chain.states[name].outcome:
                    yield (
                        (*loc, "states", name, "outcome"),
                        f"{name!r} is {branch} after {state.name!r}: a branch ends without an outcome, only the "
                        "chain has one",
                    )
        yield from _join_rule_problems((*loc, "states", state.name, "fork", "join", "unless"), state, chain)


def _join_rule_problems(loc: Location, state: State, chain: Chain) -> Iterator[LocatedProblem]:
    if state.fork is None:
        return
    inside = set().union(*(_region(chain, branch.to) for branch in state.fork.branches))
    ends = [name for name in chain.states if name in inside and _is_end(chain.states[name])]
    for index, rule in enumerate(state.fork.unless):
        if rule.ended not in ends:
            near = did_you_mean(rule.ended, ends)
            yield (
                (*loc, index, "state"),
                f"expected a state in which a branch ends, got {rule.ended!r}{near}; there are {join_names(ends)}",
            )


def _is_end(state: State) -> bool:
    return not (state.next or state.fork)


def _region(chain: Chain, first: str) -> dict[str, None]:
    """The states reachable from a state without entering or leaving a branch, in order."""
    region: dict[str, None] = {}
    pending = [first]
    while pending:
        name = pending.pop()
        if name in region or name not in chain.states:
            continue
        region[name] = None
        pending += [
            target.to
            for path, target in located_targets(chain.states[name])
            if path[:2] != ("fork", "branches") and path != ("compensation",)
        ]
    return region


# Chains, variables and states.

MAX_WEIGHT = 1e12
MAX_STEPS = 10_000
"""Of a chain without visitors, whose number of events their behaviour bounds."""
MAX_EVENTS = 1 << 20
"""Of a chain with all its branches: the generator numbers the events of a chain and of those it causes in 62 bits."""
MAX_SCALED = ((1 << 63) - 1) / 2**16 / 1000
"""Milliseconds: the generator multiplies microseconds by factors in units of 2^-16, in 63 bits."""
MAX_YEARS, YEAR = 3000, 366 * 86_400_000.0
"""How long a chain may last, so that it and the chains that it causes end before the year 10,000; milliseconds."""


def weight_problems(weight: float) -> Iterator[str]:
    """The problems of a weight."""
    if weight < 0:
        yield f"expected a weight of 0 or more, got {weight:g}"
    elif weight > MAX_WEIGHT:
        yield f"expected a weight of at most {MAX_WEIGHT:g}, got {weight:g}"


def chain_problems(
    chain: Chain, events: Mapping[str, EventType], lists: Mapping[str, tuple[Any, ...]]
) -> Iterator[LocatedProblem]:
    """The problems of one chain."""
    loc: Location = ("chains", chain.name)
    for problem in weight_problems(chain.weight):
        yield (*loc, "weight"), problem
    for variable in chain.variables.values():
        yield from _variable_problems((*loc, "variables", variable.name), variable, lists)
    for state in chain.states.values():
        yield from _state_problems((*loc, "states", state.name), state, chain, events)
    yield from _shape_problems(loc, chain)


def _variable_problems(loc: Location, variable: Variable, lists: Mapping[str, Any]) -> Iterator[LocatedProblem]:
    if "." in variable.name:
        yield loc, f"expected a name without dots, got {variable.name!r}"
    if variable.list is not None and variable.list not in lists:
        yield (
            (*loc, "list"),
            f"unknown list {variable.list!r}{did_you_mean(variable.list, lists)}; "
            f"there are {join_names(sorted(lists))}",
        )
    if variable.factor is not None and variable.list is None:
        yield (*loc, "factor"), "a factor belongs to a variable with a list: each item has its own"
    elif variable.factor is not None and variable.factor <= 1:
        yield (*loc, "factor", "p95"), f"expected a 95th percentile above 1 (the median), got {variable.factor:g}"
    elif variable.factor is not None and variable.factor > MAX_FACTOR:
        yield (*loc, "factor", "p95"), f"expected a 95th percentile up to {MAX_FACTOR:g}, got {variable.factor:g}"
    low, high = variable.minimum, variable.maximum
    if low is None or high is None:
        return
    if low > high:
        yield (*loc, "min"), f"min {low} is above max {high}"
    for key, bound in (("min", low), ("max", high)):
        if abs(bound) > SAFE:
            yield (*loc, key), f"expected a whole number between -2^53 and 2^53, got {bound}"


def _state_problems(
    loc: Location, state: State, chain: Chain, events: Mapping[str, EventType]
) -> Iterator[LocatedProblem]:
    if state.emits and state.emits not in events:
        near = did_you_mean(state.emits, events)
        yield (*loc, "emits"), f"unknown event type {state.emits!r}{near}; the catalog has {len(events)} of them"
    if state.next and state.outcome:
        yield (*loc, "outcome"), "an outcome belongs to a state that ends the chain; this one has transitions"
    if not (state.next or state.fork or state.outcome or state.name in inner_states(chain)):
        yield loc, "expected `next` (transitions), or `outcome: completed | failed` if the chain ends here"
    for path, target in located_targets(state):
        yield from _target_problems((*loc, *path), target, chain)
    for index, transition in enumerate(state.next):
        for problem in weight_problems(transition.weight):
            yield (*loc, "next", index, "weight"), problem
    yield from _total_problems(loc, state)
    yield from topology_problems(loc, state, chain)


def _target_problems(loc: Location, target: Target, chain: Chain) -> Iterator[LocatedProblem]:
    name = "state" if loc[-1] == "compensation" else "to"
    if target.to and target.to not in chain.states:
        near = did_you_mean(target.to, chain.states)
        yield (*loc, name), f"unknown state {target.to!r}{near}; the chain has {join_names(chain.states)}"
    for problem in delay_problems(target.delay):
        yield (*loc, "after" if loc[-1] == "timeout" else "delay"), problem


def _total_problems(loc: Location, state: State) -> Iterator[LocatedProblem]:
    if state.total <= 0:
        yield (*loc, "total"), f"expected a total above 0, got {state.total:g}"
        return
    total = math.fsum([state.abandon, *(transition.weight for transition in state.next)])
    if state.next and not math.isclose(total, state.total, abs_tol=1e-9):
        yield (
            (*loc, "next"),
            (
                f"the transition weights{' and `abandon`' if state.abandon else ''} sum to {total:g}, "
                f"expected {state.total:g} "
                f"(declare `total: {total:g}` if that is intended)"
            ),
        )


def _shape_problems(loc: Location, chain: Chain) -> Iterator[LocatedProblem]:
    """Reachability, ends and cycles; checked only if all targets exist, so that one mistake is reported once."""
    states = chain.states
    if chain.start and chain.start not in states:
        near = did_you_mean(chain.start, states)
        yield (*loc, "start"), f"unknown state {chain.start!r}{near}; the chain has {join_names(states)}"
    if chain.start not in states or any(
        target.to not in states for state in states.values() for target in targets(state)
    ):
        return
    if problems := list(region_problems(loc, chain)):
        yield from problems
        return
    if any(_cannot_be_truncated(state) for state in states.values()):
        return
    try:
        graph = graph_of(chain)
    except TooManyPaths as error:
        yield loc, str(error)
        return
    reached = reachable(chain)
    for name in states:
        if name not in reached:
            yield (*loc, "states", name), f"unreachable: no transitions lead from {chain.start!r} to {name!r}"
    if all(state.next or state.fork for state in states.values()):
        yield loc, "no terminal state: at least one state must end the chain with `outcome`"
    elif trapped := graph.trapped():
        cycle = " → ".join(cycle_from(graph, trapped))
        name = graph.nodes[trapped[0]].state
        yield (*loc, "states", name), f"cycle without exit: {cycle}; no transition leads to a terminal state"
    else:
        yield from _size_problems(loc, chain)


def _cannot_be_truncated(state: State) -> bool:
    """Whether a timeout would truncate a delay that has problems, which are reported where it stands."""
    return state.timeout is not None and any(any(delay_problems(target.delay)) for target in targets(state))


def _size_problems(loc: Location, chain: Chain) -> Iterator[LocatedProblem]:
    ends = graph_of(chain).ends()
    if not ends:  # a state that lacks its outcome is reported where it stands
        return
    yield from _length_problems(loc, chain)
    shortest = graph_of(chain).distances(ends).get(0, 0) + 1
    if shortest == 1:
        yield (*loc, "start"), "the start state ends the chain: a chain has at least two events"
    if chain.max_steps < shortest:
        yield (*loc, "max_steps"), f"max_steps {chain.max_steps} is less than the shortest path of {shortest} events"
    types = {state.emits for state in chain.states.values()}
    if len(types) > MAX_TYPES:
        yield loc, f"the chain has {len(types)} event types, at most {MAX_TYPES} are possible"
        return
    try:
        accepted_sets(chain)
    except TooManyPaths as error:
        yield loc, str(error)


def _length_problems(loc: Location, chain: Chain) -> Iterator[LocatedProblem]:
    """Chains with more events than can be numbered, or that may outlast the calendar."""
    if chain.visitors:
        return
    if chain.max_steps > MAX_STEPS:
        yield (*loc, "max_steps"), f"expected at most {MAX_STEPS:,} events, got {chain.max_steps:,}"
        return
    nodes = graph_of(chain).nodes
    events = chain.max_steps * max(node.fan_out for node in nodes)
    if events > MAX_EVENTS:
        yield (*loc, "max_steps"), f"expected at most {MAX_EVENTS:,} events in all branches, got up to {events:,}"
    edges = [edge for node in nodes for edge in node.edges]
    if any(any(delay_problems(edge.delay)) for edge in edges):
        return
    factor = max(map(max_factor, chain.variables.values()), default=1.0)
    delay = max((longest(edge.delay) * (factor if edge.scaled_by else 1.0) for edge in edges), default=0.0)
    years = chain.max_steps * delay / YEAR
    if years > MAX_YEARS:
        yield (
            loc,
            f"expected a chain of at most {MAX_YEARS:,} years, but max_steps {chain.max_steps:,} times its longest "
            f"delay are {years:,.0f} years: shorten the delay, or lower `max_steps`",
        )


def reachable(chain: Chain) -> set[str]:
    """The states on at least one path from the start."""
    return {node.state for node in graph_of(chain).nodes}


def cycle_from(graph: Graph, trapped: Sequence[int]) -> list[str]:
    """The cycle that a path from a node without exit runs into, with its first state repeated at the end."""
    path = [trapped[0]]
    while path.count(path[-1]) < 2:
        following = graph.nodes[path[-1]].targets
        path.append(next((number for number in following if number in trapped), path[-1]))
    return [graph.nodes[number].state for number in path[path.index(path[-1]) :]]


def role_problems(chains: Mapping[str, Chain]) -> Iterator[LocatedProblem]:
    """Event types with different roles: a type that starts or ends one chain must do so in every chain that has it.

    Statistics recognise the start and the end of a chain by event types alone.
    """
    first: dict[str, tuple[Chain, Role]] = {}
    for chain in chains.values():
        for state in chain.states.values():
            role = role_of(chain, state)
            owner, expected = first.setdefault(state.emits, (chain, role))
            if expected != role:
                yield (
                    ("chains", chain.name, "states", state.name, "emits"),
                    f"{state.emits} {_effects[role]} here and {_effects[expected]} in {owner.name}: "
                    "use different event types",
                )


_effects: Mapping[Role, str] = {
    Role.STEP: "continues the chain",
    Role.STARTED: "continues the chain",
    Role.REQUESTED: "starts the chain",
    Role.COMPLETED: "completes the chain",
    Role.FAILED: "fails the chain",
}
