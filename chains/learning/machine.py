"""From walks to a state machine: a state for each event type, and several where what follows depends on the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.chains.learning.forest import Walks
from eventbus.chains.randomness import Integers
from eventbus.chains.verification.significance import upper_gamma

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
