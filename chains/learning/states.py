"""Chains from walks: state merging with a chi-square test, and the chains of a known catalog found in a recording.

Each event type starts as one state, and is split where what follows it depends on where in the chain it stands.
"""

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
from eventbus.catalog.infer.chains import is_failure, slug, unique_name
from eventbus.catalog.model import Outcome
from eventbus.chains.learning.fitting import Fit, fit, percentages
from eventbus.chains.learning.traces import Walks
from eventbus.chains.randomness import Integers
from eventbus.chains.statistics import upper_gamma

Counts = npt.NDArray[np.float64]

SIGNIFICANCE = 1e-6
"""A state is split if what follows would differ as much by chance with a smaller probability than this."""
MIN_EXPECTED = 5.0
"""Smallest expected count of a cell in the chi-square test (Cochran's rule)."""
MAX_STATES = 48
"""States of one chain."""
MAX_OCCURRENCE = 12
"""Occurrences of a type in a chain beyond this one are not told apart."""
DELAY_CLASSES = 6
"""Quantile classes by which the delays to what follows are compared."""


class Machine(NamedTuple):
    """The states that the events of one chain's walks are in."""

    walks: Walks
    state: Integers
    """State id of each event, numbered in the order in which walks reach them."""

    def types(self) -> list[int]:
        """The type id of each state."""
        return [int(self.walks.type[row]) for row in np.unique(self.state, return_index=True)[1]]

    def transitions(self) -> Iterator[tuple[int, int, Integers]]:
        """Pairs of states in order, with the delays from one to the other in microseconds."""
        rows = np.flatnonzero(~self.walks.last)
        source, target = self.state[rows], self.state[rows + 1]
        delays = self.walks.time[rows + 1] - self.walks.time[rows]
        order = np.lexsort((target, source))
        pairs = np.stack([source[order], target[order]])
        edges = np.flatnonzero(np.any(np.diff(pairs, prepend=-1), axis=0)) if order.size else order
        for begin, group in zip(edges, np.split(order, edges[1:]), strict=True):
            yield int(pairs[0, begin]), int(pairs[1, begin]), delays[group]


def merge_states(walks: Walks) -> Machine:
    """Finds the states of walks that begin with the same type.

    A type is split into several states where the chi-square test says that what follows, or when, depends on the
    previous state or on how often the type has occurred. What follows is a state too, so a difference far down the
    chain propagates backwards, split by split.
    """
    state = np.unique(walks.type, return_inverse=True)[1].astype(np.int64)
    root = int(state[0])
    occurrence = _occurrences(walks)
    delay_class = _delay_class(walks)
    while (count := int(state.max()) + 1) < MAX_STATES:
        before = np.where(walks.first, -1, np.roll(state, 1))
        after = np.where(walks.last, -1, np.roll(state, -1)) * DELAY_CLASSES + delay_class
        for candidate in range(count):
            rows = np.flatnonzero((state == candidate) & ~walks.last)
            if candidate != root and rows.size and _split(state, rows, (before, occurrence), after, count):
                break
        else:
            break
    return Machine(walks, _in_order(walks, state))


def _split(state: Integers, rows: Integers, contexts: tuple[Integers, ...], after: Integers, count: int) -> bool:
    """Splits a state whose future depends on a context; returns whether it did."""
    for context in contexts:
        contexts_seen, context_of = np.unique(context[rows], return_inverse=True)
        successors, successor_of = np.unique(after[rows], return_inverse=True)
        shape = contexts_seen.size, successors.size
        table = np.bincount(context_of * successors.size + successor_of, minlength=shape[0] * shape[1])
        groups = _merge_similar(table.reshape(shape).astype(np.float64))
        if groups.max() > 0:
            group = groups[context_of]
            state[rows[group > 0]] = count + group[group > 0] - 1
            return True
    return False


def _merge_similar(table: Counts) -> Integers:
    """Groups the rows of a table of counts that may be samples of the same distribution."""
    groups = np.zeros(len(table), np.int64)
    sums: list[Counts] = []
    for row in np.argsort(-table.sum(1), kind="stable"):
        similarities = [_similarity(table[row], group) for group in sums]
        best = int(np.argmax(similarities)) if similarities else 0
        if not similarities or similarities[best] < SIGNIFICANCE:
            best = len(sums)
            sums.append(np.zeros(table.shape[1]))
        groups[row] = best
        sums[best] = sums[best] + table[row]
    return groups


def _similarity(first: Counts, second: Counts) -> float:
    """The p-value of Pearson's chi-square test of homogeneity.

    The rarest columns are pooled, so that enough is expected of each.
    """
    order = np.argsort(first + second, kind="stable")
    total = (first + second)[order]
    share = first.sum() / total.sum()
    min_total = MIN_EXPECTED / min(share, 1 - share)
    pooled = int(np.searchsorted(np.cumsum(total), min_total)) + 1
    starts = np.append(0, np.arange(pooled, total.size))
    totals, counts = np.add.reduceat(total, starts), np.add.reduceat(first[order], starts)
    if totals.size < 2:
        return 1.0
    statistic = float((((counts - totals * share) ** 2) / (totals * share * (1 - share))).sum())
    return upper_gamma((totals.size - 1) / 2, statistic / 2)


def _occurrences(walks: Walks) -> Integers:
    """How often each event's type occurred before in its chain, at most `MAX_OCCURRENCE`."""
    order = np.lexsort((np.arange(walks.rows.size), walks.type, walks.chain))
    same = np.append(False, (np.diff(walks.chain[order]) == 0) & (np.diff(walks.type[order]) == 0))
    position = np.arange(order.size)
    position -= np.maximum.accumulate(np.where(same, 0, position))
    occurrences = np.empty(order.size, np.int64)
    occurrences[order] = np.minimum(position, MAX_OCCURRENCE)
    return occurrences


def _delay_class(walks: Walks) -> Integers:
    """The quantile class of the delay after each event, among events with the same type and the same successor."""
    followed = np.flatnonzero(~walks.last)
    delays = walks.time[followed + 1] - walks.time[followed]
    classes = np.zeros(walks.rows.size, np.int64)
    types = walks.type[followed] * (walks.type.max() + 1) + walks.type[followed + 1]
    pairs = np.unique(types, return_inverse=True)[1]
    for pair in range(int(pairs.max(initial=-1)) + 1):
        rows = np.flatnonzero(pairs == pair)
        ranks = np.linspace(0, rows.size - 1, DELAY_CLASSES + 1)[1:-1].astype(np.int64)
        edges = np.unique(np.sort(delays[rows])[ranks])
        classes[followed[rows]] = np.searchsorted(edges, delays[rows])
    return classes


def _in_order(walks: Walks, state: Integers) -> Integers:
    """Renumbers states by how early walks reach them on average."""
    starts = np.maximum.accumulate(np.where(walks.first, np.arange(state.size), 0))
    step = np.arange(state.size) - starts
    count = int(state.max()) + 1
    mean = np.bincount(state, step, count) / np.maximum(np.bincount(state, minlength=count), 1)
    number = np.empty(count, np.int64)
    number[np.argsort(mean, kind="stable")] = np.arange(count)
    return number[state]


DEFAULT_MAX_STEPS = 64
"""`max_steps` of a chain, unless longer walks were seen."""


class Learned(NamedTuple):
    """A chain with comments for its parts."""

    chain: Chain
    notes: dict[Location, list[str]]
    walks: Walks
    """The walks that it was learned from."""


def learn_chain(name: str, walks: Walks, names: Sequence[str]) -> Learned:
    """Learns the chain of walks that begin with the same type.

    If the walks take more paths than a catalog can describe, the rarest are dropped.

    Args:
        name: name of the chain.
        walks: its walks.
        names: event types by type id.
    """
    min_count = 1
    while True:
        machine = merge_states(walks)
        transitions = {(source, target): fit(delays) for source, target, delays in machine.transitions()}
        chain = _chain(name, machine, transitions, names)
        if _is_describable(chain):
            return Learned(chain, dict(_notes(chain, transitions)), walks)
        min_count *= 4
        walks = _drop_rare(machine, min_count)


def state_names(types: Sequence[str]) -> list[str]:
    """Names states after their event's action, with the word before it where several types have that action."""
    parts = [name.split(".")[1:-1] for name in types]
    actions = [slug(part[-1]) for part in parts]
    types_by_action: dict[str, set[str]] = {}
    for event_type, action in zip(types, actions, strict=True):
        types_by_action.setdefault(action, set()).add(event_type)
    names: list[str] = []
    for part, action in zip(parts, actions, strict=True):
        is_ambiguous = len(types_by_action[action]) > 1
        names.append(unique_name(slug("-".join(part[-2:]), "-") if is_ambiguous else action, names))
    return names


def outcome_of(event_type: str) -> Outcome:
    """The outcome of a chain that ends with this event."""
    return "failed" if is_failure(event_type.split(".")[-2]) else "completed"


def refit(chain: Chain, machine: Machine) -> Learned:
    """Fits the shares and delays of a known chain.

    Args:
        chain: the known chain.
        machine: its walks; the states are numbered in the chain's order.
    """
    fits = {(source, target): fit(delays) for source, target, delays in machine.transitions()}
    labels = list(chain.states)
    notes: dict[Location, list[str]] = {}
    states = {}
    for source, state in enumerate(chain.states.values()):
        state_fits = [fits.pop((source, labels.index(transition.to)), None) for transition in state.next]
        states[state.name] = _refit_state(state, state_fits) if any(state_fits) else state
        for index, transition_fit in enumerate(state_fits):
            location = ("chains", chain.name, "states", state.name, "next", index)
            notes[location] = [_fit_note(transition_fit) if transition_fit else "not seen"]
    return Learned(replace(chain, weight=machine.walks.chains, states=states), notes, machine.walks)


def _refit_state(state: State, fits: Sequence[Fit | None]) -> State:
    weights = iter(percentages([fit.size for fit in fits if fit]))
    transitions = (
        replace(transition, weight=next(weights), delay=fit.delay) if fit else replace(transition, weight=0)
        for transition, fit in zip(state.next, fits, strict=True)
    )
    return replace(state, next=tuple(transitions), total=100.0)


def _chain(name: str, machine: Machine, transitions: dict[tuple[int, int], Fit], names: Sequence[str]) -> Chain:
    types = [names[type_id] for type_id in machine.types()]
    labels = state_names(types)
    states = {}
    for index, (label, event_type) in enumerate(zip(labels, types, strict=True)):
        fits = {target: fit for (source, target), fit in transitions.items() if source == index}
        weights = percentages([fit.size for fit in fits.values()]) if fits else []
        states[label] = State(
            name=label,
            emits=event_type,
            next=tuple(
                Transition(to=labels[target], delay=fit.delay, weight=weight)
                for (target, fit), weight in zip(fits.items(), weights, strict=True)
            ),
            outcome=None if fits else outcome_of(event_type),
        )
    longest = int(np.bincount(machine.walks.chain).max())
    return Chain(
        name=name,
        weight=machine.walks.chains,
        start=labels[0],
        states=states,
        max_steps=max(DEFAULT_MAX_STEPS, longest),
    )


def _notes(chain: Chain, transitions: dict[tuple[int, int], Fit]) -> Iterator[tuple[Location, list[str]]]:
    labels = list(chain.states)
    counts: Counter[int] = Counter()
    for (source, _), transition_fit in transitions.items():
        yield ("chains", chain.name, "states", labels[source], "next", counts[source]), [_fit_note(transition_fit)]
        counts[source] += 1


def _fit_note(fit: Fit) -> str:
    return f"ks {fit.distance:.3f} of {fit.size:,}" + (", bounds without the outermost" if fit.trimmed else "")


def _is_describable(chain: Chain) -> bool:
    try:
        return len(types_of(chain)) <= MAX_TYPES and len(accepted_sets(chain)) > 0
    except TooManyPaths:
        return False


def _drop_rare(machine: Machine, min_count: int) -> Walks:
    """Drops the walks that take a transition taken fewer than `min_count` times."""
    walks = machine.walks
    target = np.where(walks.last, -1, np.roll(machine.state, -1))
    _, transition, counts = np.unique(
        machine.state * (int(machine.state.max()) + 2) + target + 1, return_inverse=True, return_counts=True
    )
    return walks.where(~walks.having(counts[transition] < min_count))


Names = tuple[str, ...]


class KnownChains(NamedTuple):
    """A recording divided by what a catalog knows of it."""

    chains: list[Learned]
    unknown: Walks
    """Walks without any event type of the catalog."""
    left_out: Counter[str]
    """Number of other walks, by the reason why no chain of the catalog has them."""


def recognise_known(catalog: Catalog, walks: Walks, names: Sequence[str]) -> KnownChains:
    """Assigns walks to the chains of a catalog and fits those.

    Of a chain that has more than transitions (forks, retries, sessions, …), only the weight is fitted.

    Args:
        catalog: the known catalog.
        walks: all walks of the recording.
        names: event types by type id.
    """
    chains = {chain.root: chain for chain in catalog.chains.values()}
    is_known = np.array([name in catalog.events for name in names], np.bool_)
    left_out: Counter[str] = Counter()
    learned = [
        fitted
        for chain in chains.values()
        if chain.root in names and (begun := walks.where(walks.root == names.index(chain.root))).chains
        for fitted in _fit_known(chain, begun, names, left_out)
    ]
    related = walks.having(is_known[walks.type])
    is_root = np.array([name in chains for name in names], np.bool_)[walks.root]
    left_out["have event types of the catalog, but do not begin as its chains do"] = walks.where(
        related & ~is_root
    ).chains
    return KnownChains(learned, walks.where(~related), +left_out)


def is_linear(chain: Chain) -> bool:
    """Whether a chain consists of states and plain transitions only."""
    states = chain.states.values()
    special = (state.fork or state.timeout or state.causes or state.abandon for state in states)
    extended = (step.retry or step.compensate or step.scaled_by for state in states for step in state.next)
    return chain.visitors is None and not any(special) and not any(extended)


def _fit_known(chain: Chain, walks: Walks, names: Sequence[str], left_out: Counter[str]) -> Iterator[Learned]:
    if not is_linear(chain):
        notes: dict[Location, list[str]] = {("chains", chain.name): ["only its weight is learned"]}
        yield Learned(replace(chain, weight=walks.chains), notes, walks)
        return
    state = _states(chain, walks, names)
    fits = state >= 0
    left_out[f"are no walks of {chain.name}"] += walks.where(~fits).chains
    if fits.any():
        yield refit(chain, Machine(walks.where(fits), state[fits]))


def _states(chain: Chain, walks: Walks, names: Sequence[str]) -> Integers:
    """The state of each event, numbered in the chain's order; -1 for the events of walks that are not the chain's."""
    number = {name: index for index, name in enumerate(chain.states)}
    cache: dict[bytes, Integers] = {}
    states = np.full(walks.rows.size, -1, np.int64)
    starts = np.flatnonzero(walks.first)
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), walks.rows.size], strict=True):
        types = walks.type[begin:end]
        key = types.tobytes()
        if key not in cache:
            path = next(_paths(chain, tuple(names[type_id] for type_id in types)), None)
            cache[key] = np.array([number[name] for name in path] if path else [-1] * types.size, np.int64)
        states[begin:end] = cache[key]
    return states


def _paths(chain: Chain, types: Names) -> Iterator[Names]:
    """The complete paths of states that emit these event types."""
    stack: list[Names] = [(chain.start,)]
    while stack:
        path = stack.pop()
        state = chain.states[path[-1]]
        if len(path) == len(types):
            if not state.next:
                yield path
            continue
        targets = dict.fromkeys(transition.to for transition in state.next)
        stack += [(*path, target) for target in targets if chain.states[target].emits == types[len(path)]]
