"""Rules for what a state may have beside plain transitions, and for the regions that forks cut a chain into."""

from __future__ import annotations

from collections.abc import Iterator

from eventbus.catalog.graphs.horizon import placed_ways
from eventbus.catalog.model import Chain, State, Transition
from eventbus.catalog.topology import Backoff
from eventbus.catalog.words import Place, listed, suggestion

Problem = tuple[Place, str]


def topology_problems(place: Place, state: State, chain: Chain) -> Iterator[Problem]:
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


def _transition_problems(place: Place, one: Transition, state: State, chain: Chain) -> Iterator[Problem]:
    if one.retry:
        if one.retry.limit < 1:
            yield (*place, "retry", "limit"), f"expected a limit of at least 1, got {one.retry.limit}"
        if one.retry.backoff:
            yield from _backoff_problems((*place, "retry", "backoff"), one.retry.backoff)
    if one.by is None:
        return
    slow = [variable.name for variable in chain.variables.values() if variable.factor is not None]
    if one.by not in slow:
        near = suggestion(one.by, slow)
        yield (*place, "by"), f"expected a variable with a `factor`, got {one.by!r}{near}; there are {listed(slow)}"
    if state.timeout:
        yield (*place, "by"), "a delay that is multiplied cannot be timed out: take `by` or `timeout` away"


def _backoff_problems(place: Place, backoff: Backoff) -> Iterator[Problem]:
    if backoff.initial < 0:
        yield (*place, "initial"), f"expected a delay of 0 ms or more, got {backoff.initial:g}"
    if backoff.factor <= 0:
        yield (*place, "factor"), f"expected a factor above 0, got {backoff.factor:g}"
    if backoff.maximum is not None and backoff.maximum < 0:
        yield (*place, "max"), f"expected a delay of 0 ms or more, got {backoff.maximum:g}"
    if not 0 <= backoff.jitter <= 1:
        yield (*place, "jitter"), f"expected a share between 0 and 1, got {backoff.jitter:g}"


def _compensation_problems(place: Place, state: State, chain: Chain) -> Iterator[Problem]:
    target = chain.states.get(state.compensation.to) if state.compensation else None
    if target and (target.next or target.fork or target.outcome):
        yield (
            (*place, "compensation", "state"),
            f"expected a state without `next`, `fork` and `outcome`, but {target.name!r} has one: "
            "when all is undone the chain goes on where it was to go",
        )
    undoing = compensations(chain)
    for where, way in placed_ways(state):
        if way.to in undoing and where[-1] != "compensation":
            yield (*place, *where, "to"), f"{way.to!r} undoes something, and comes only as a `compensation`"


def compensations(chain: Chain) -> set[str]:
    """The states that undo something."""
    return {state.compensation.to for state in chain.states.values() if state.compensation}


def inner_states(chain: Chain) -> set[str]:
    """The states that lie in a branch, or undo something: an end there is not the chain's."""
    branches = (_region(chain, way.to) for state in chain.states.values() if state.fork for way in state.fork.branches)
    return compensations(chain).union(*branches)


def region_problems(place: Place, chain: Chain) -> Iterator[Problem]:
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


def _unless_problems(place: Place, state: State, chain: Chain) -> Iterator[Problem]:
    if state.fork is None:
        return
    inside = set().union(*(_region(chain, way.to) for way in state.fork.branches))
    ends = [name for name in chain.states if name in inside and _is_end(chain.states[name])]
    for index, one in enumerate(state.fork.unless):
        if one.ended not in ends:
            near = suggestion(one.ended, ends)
            yield (
                (*place, index, "state"),
                f"expected a state in which a branch ends, got {one.ended!r}{near}; there are {listed(ends)}",
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
            for where, way in placed_ways(chain.states[name])
            if where[:2] != ("fork", "branches") and where != ("compensation",)
        ]
    return found
