"""One chain of the learned catalog, from the walks that begin with its first event type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.catalog import Catalog, Chain, State, TooManyPaths, Transition
from eventbus.catalog.errors import Location
from eventbus.catalog.graph.conformance import MAX_TYPES, accepted_sets, types_of
from eventbus.catalog.infer.chains import dashed, is_failure, unique
from eventbus.catalog.model import Outcome
from eventbus.chains.learning.fitting import Fit, fit, percentages
from eventbus.chains.learning.traces import Walks
from eventbus.chains.randomness import Integers
from eventbus.chains.statistics import upper_gamma

# From walks to a state machine: a state for each event type, and several where what follows depends on the place.


Counts = npt.NDArray[np.float64]

CHANCE = 1e-6
"""Two places of a type are one state unless what follows would differ so much by chance alone with this probability."""
EXPECTED = 5.0
"""Smallest count that is expected of what is compared (Cochran's rule)."""
MOST_STATES = 48
"""Of one chain."""
FURTHEST = 12
"""A type's places in a chain are told apart up to its so many-th appearance."""
DELAY_CLASSES = 6
"""What follows differs also if its delays do: they are compared by quantiles."""


class Machine(NamedTuple):
    """The states of the walks of one chain."""

    walks: Walks
    state: Integers
    """Of each event, numbered in the order in which walks reach them."""

    def types(self) -> list[int]:
        """The event type of each state."""
        return [int(self.walks.type[row]) for row in np.unique(self.state, return_index=True)[1]]

    def transitions(self) -> Iterator[tuple[int, int, Integers]]:
        """Two states and the delays from one to the other, microseconds; in the order of the states."""
        onward = np.flatnonzero(~self.walks.last)
        here, there = self.state[onward], self.state[onward + 1]
        delays = self.walks.time[onward + 1] - self.walks.time[onward]
        order = np.lexsort((there, here))
        pairs = np.stack([here[order], there[order]])
        edges = np.flatnonzero(np.any(np.diff(pairs, prepend=-1), axis=0)) if order.size else order
        for begin, group in zip(edges, np.split(order, edges[1:]), strict=True):
            yield int(pairs[0, begin]), int(pairs[1, begin]), delays[group]


def machine(walks: Walks) -> Machine:
    """The states of walks that begin with the same type.

    Types become several states where the chi-square test says that what comes next, or when, depends on the state
    before or on how often the type came already. What comes next is a state: so a difference far down the chain is
    found backwards, step by step.
    """
    state = np.unique(walks.type, return_inverse=True)[1].astype(np.int64)
    root = int(state[0])
    place = _appearances(walks)
    pace = _pace(walks)
    while (count := int(state.max()) + 1) < MOST_STATES:
        before = np.where(walks.first, -1, np.roll(state, 1))
        after = np.where(walks.last, -1, np.roll(state, -1)) * DELAY_CLASSES + pace
        for one in range(count):
            rows = np.flatnonzero((state == one) & ~walks.last)
            if one != root and rows.size and _split(state, rows, (before, place), after, count):
                break
        else:
            break
    return Machine(walks, _in_order(walks, state))


def _split(state: Integers, rows: Integers, contexts: tuple[Integers, ...], after: Integers, count: int) -> bool:
    """Give the events of a state others where their context makes a difference; whether it did."""
    for context in contexts:
        seen, context_of = np.unique(context[rows], return_inverse=True)
        follows, follow_of = np.unique(after[rows], return_inverse=True)
        table = np.bincount(context_of * follows.size + follow_of, minlength=seen.size * follows.size)
        groups = _alike(table.reshape(seen.size, follows.size).astype(np.float64))
        if groups.max() > 0:
            group = groups[context_of]
            state[rows[group > 0]] = count + group[group > 0] - 1
            return True
    return False


def _alike(table: Counts) -> Integers:
    """A group for each row of counts: rows of one group may well be samples of the same distribution."""
    groups = np.zeros(len(table), np.int64)
    sums: list[Counts] = []
    for row in np.argsort(-table.sum(1), kind="stable"):
        fits = [_chance(table[row], other) for other in sums]
        best = int(np.argmax(fits)) if fits else 0
        if not fits or fits[best] < CHANCE:
            best = len(sums)
            sums.append(np.zeros(table.shape[1]))
        groups[row] = best
        sums[best] = sums[best] + table[row]
    return groups


def _chance(one: Counts, other: Counts) -> float:
    """The probability that samples of one distribution differ so much (Pearson's test of homogeneity).

    The rarest columns count as one, so that enough is expected of each.
    """
    order = np.argsort(one + other, kind="stable")
    total = (one + other)[order]
    share = one.sum() / total.sum()
    least = EXPECTED / min(share, 1 - share)
    together = int(np.searchsorted(np.cumsum(total), least)) + 1  # so many columns of the rarest
    starts = np.append(0, np.arange(together, total.size))
    both, first = np.add.reduceat(total, starts), np.add.reduceat(one[order], starts)
    if both.size < 2:
        return 1.0
    statistic = float((((first - both * share) ** 2) / (both * share * (1 - share))).sum())
    return upper_gamma((both.size - 1) / 2, statistic / 2)


def _appearances(walks: Walks) -> Integers:
    """How often the type of each event came before in its chain, `FURTHEST` at most."""
    order = np.lexsort((np.arange(walks.rows.size), walks.type, walks.chain))
    same = np.append(False, (np.diff(walks.chain[order]) == 0) & (np.diff(walks.type[order]) == 0))
    place = np.arange(order.size)
    place -= np.maximum.accumulate(np.where(same, 0, place))
    times = np.empty(order.size, np.int64)
    times[order] = np.minimum(place, FURTHEST)
    return times


def _pace(walks: Walks) -> Integers:
    """A class for the delay after each event, by quantiles among events of its type that are followed by the same."""
    onward = np.flatnonzero(~walks.last)
    delays = walks.time[onward + 1] - walks.time[onward]
    pace = np.zeros(walks.rows.size, np.int64)
    pair = np.unique(walks.type[onward] * (walks.type.max() + 1) + walks.type[onward + 1], return_inverse=True)[1]
    for one in range(int(pair.max(initial=-1)) + 1):
        rows = np.flatnonzero(pair == one)
        ranks = np.linspace(0, rows.size - 1, DELAY_CLASSES + 1)[1:-1].astype(np.int64)
        edges = np.unique(np.sort(delays[rows])[ranks])
        pace[onward[rows]] = np.searchsorted(edges, delays[rows])
    return pace


def _in_order(walks: Walks, state: Integers) -> Integers:
    """The same states, numbered by how early walks reach them."""
    starts = np.maximum.accumulate(np.where(walks.first, np.arange(state.size), 0))
    step = np.arange(state.size) - starts
    count = int(state.max()) + 1
    mean = np.bincount(state, step, count) / np.maximum(np.bincount(state, minlength=count), 1)
    number = np.empty(count, np.int64)
    number[np.argsort(mean, kind="stable")] = np.arange(count)
    return number[state]


STEPS = 64
"""Bound of a chain's events unless longer ones were seen."""


class Learned(NamedTuple):
    """A chain, and what to note about it."""

    chain: Chain
    notes: dict[Location, list[str]]
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
    notes: dict[Location, list[str]] = {}
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


def _notes(
    chain: Chain, found: Machine, transitions: dict[tuple[int, int], Fit]
) -> Iterator[tuple[Location, list[str]]]:
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
        return len(types_of(chain)) <= MAX_TYPES and len(accepted_sets(chain)) > 0
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


# The chains of a catalog that is there already, found in a recording.


Types = tuple[str, ...]


class Recognised(NamedTuple):
    """What a catalog knows of a recording."""

    chains: list[Learned]
    rest: Walks
    """Walks of which it knows no event type."""
    left: Counter[str]
    """Chains that are neither, by the reason."""


def recognised(catalog: Catalog, walks: Walks, names: Sequence[str]) -> Recognised:
    """Sort walks by the chains of a catalog, and fit these.

    Chains with more than transitions (forks, retries, sessions, …) get their weight alone.

    Args:
        names: of the event types, by number.
    """
    chains = {chain.root: chain for chain in catalog.chains.values()}
    known = np.array([name in catalog.events for name in names], np.bool_)
    left: Counter[str] = Counter()
    found = [
        one
        for chain in chains.values()
        if chain.root in names
        for one in _matched(chain, walks.where(walks.root == names.index(chain.root)), names, left)
    ]
    strange = walks.having(known[walks.type])
    begun = np.array([name in chains for name in names], np.bool_)[walks.root]
    left["have event types of the catalog, but not its beginnings"] = walks.where(strange & ~begun).chains
    return Recognised(found, walks.where(~strange), +left)


def is_plain(chain: Chain) -> bool:
    """Whether a chain has transitions and nothing else."""
    special = (state.fork or state.timeout or state.causes or state.abandon for state in chain.states.values())
    undoing = (way.retry or way.compensate or way.scaled_by for state in chain.states.values() for way in state.next)
    return chain.visitors is None and not any(special) and not any(undoing)


def _matched(chain: Chain, walks: Walks, names: Sequence[str], left: Counter[str]) -> Iterator[Learned]:
    if not is_plain(chain):
        notes: dict[Location, list[str]] = {("chains", chain.name): ["only its weight is learned"]}
        yield Learned(replace(chain, weight=walks.chains), notes, walks)
        return
    state = _states(chain, walks, names)
    fits = state >= 0
    left[f"are no walks of {chain.name}"] += walks.where(~fits).chains
    if fits.any():
        yield refitted(chain, Machine(walks.where(fits), state[fits]))


def _states(chain: Chain, walks: Walks, names: Sequence[str]) -> Integers:
    """The state of each event, numbered in the chain's order; -1 for those of walks that the chain does not have."""
    number = {name: place for place, name in enumerate(chain.states)}
    cache: dict[bytes, Integers] = {}
    states = np.full(walks.rows.size, -1, np.int64)
    starts = np.flatnonzero(walks.first)
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), walks.rows.size], strict=True):
        kinds = walks.type[begin:end]
        key = kinds.tobytes()
        if key not in cache:
            way = next(_ways(chain, tuple(names[kind] for kind in kinds)), None)
            cache[key] = np.array([number[name] for name in way] if way else [-1] * kinds.size, np.int64)
        states[begin:end] = cache[key]
    return states


def _ways(chain: Chain, types: Types) -> Iterator[Types]:
    """The rows of states that leave these event types behind."""
    ahead: list[Types] = [(chain.start,)]
    while ahead:
        states = ahead.pop()
        here = chain.states[states[-1]]
        if len(states) == len(types):
            if not here.next:
                yield states
            continue
        targets = dict.fromkeys(way.to for way in here.next)
        ahead += [(*states, to) for to in targets if chain.states[to].emits == types[len(states)]]
