"""Causal trees of a recording, and the walks in them that a catalog can describe."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.chains.learning.recording import Recording
from eventbus.chains.randomness import Integers

Flags = npt.NDArray[np.bool_]

NO_CAUSE = -1
"""Parent index of an event without a cause in the recording."""


class Walks(NamedTuple):
    """The events of consecutive chains as columns, each chain from its first event to its last."""

    rows: Integers
    """Index of each event in the recording."""
    chain: Integers
    """Chain id of each event, non-decreasing."""
    type: Integers
    """Type id of each event."""
    time: Integers
    """Microseconds since the Unix epoch."""

    @property
    def last(self) -> Flags:
        """Marks the last event of each chain."""
        if not self.rows.size:
            return np.zeros(0, np.bool_)
        return np.append(self.chain[1:] != self.chain[:-1], True)

    @property
    def first(self) -> Flags:
        """Marks the first event of each chain."""
        return np.append(True, self.last[:-1])[: self.rows.size]

    @property
    def chains(self) -> int:
        """Number of chains."""
        return int(self.last.sum())

    @property
    def root(self) -> Integers:
        """For each event, the type with which its chain begins."""
        starts = np.flatnonzero(self.first)
        return np.repeat(self.type[starts], np.diff(np.append(starts, self.rows.size)))

    def where(self, selected: Flags) -> Walks:
        """The selected events, which must make up whole chains."""
        return Walks(*(column[selected] for column in self))

    def having(self, events: Flags) -> Flags:
        """Marks all events of the chains in which any of these events is."""
        chains = np.bincount(self.chain, events, int(self.chain.max(initial=-1)) + 1) > 0
        flags: Flags = chains[self.chain]
        return flags


@dataclass(frozen=True)
class CausalTrees:
    """The chains of a recording, and what is not a plain chain in it."""

    walks: Walks
    copies: int
    """Events that repeat the id of an earlier one."""
    broken: Counter[str]
    """Number of chains that are not trees, by what is wrong with them."""
    beside: Counter[int]
    """Events off the path to the latest one, by type: their cause had another effect that led further."""
    branched: int
    """Number of chains with such events."""


def build_trees(recording: Recording) -> CausalTrees:
    """Follows the causes and keeps, of each chain that is a tree, the path to its latest event."""
    ids, causes = recording.column("id"), recording.column("cause")
    kept = np.sort(np.unique(ids, return_index=True)[1])
    time, type_ids = recording.column("time")[kept], recording.column("type")[kept]
    chain = _as_indices(recording.column("chain")[kept])
    parent = _parents(ids[kept], causes[kept])
    depth = _depths(parent)
    faults = _faults(parent, causes[kept] == 0, chain, time, depth)
    bad = np.zeros(int(chain.max(initial=-1)) + 1, np.bool_)
    broken: Counter[str] = Counter()
    for name, fault in faults.items():
        marked = np.bincount(chain, fault, bad.size) > 0
        broken[name] = int((marked & ~bad).sum())
        bad |= marked
    sound = ~bad[chain]
    path = sound & _on_path(parent, chain, time, depth, sound)
    beside = sound & ~path
    order = np.lexsort((depth[path], chain[path]))
    rows = np.flatnonzero(path)[order]
    return CausalTrees(
        Walks(kept[rows], chain[rows], type_ids[rows], time[rows]),
        ids.size - kept.size,
        +broken,
        Counter(dict(zip(*map(np.ndarray.tolist, np.unique(type_ids[beside], return_counts=True)), strict=True))),
        np.unique(chain[beside]).size,
    )


def _as_indices(chains: Integers) -> Integers:
    """Renumbers chains in the order in which they begin."""
    _, first, number = np.unique(chains, return_index=True, return_inverse=True)
    numbers: Integers = np.argsort(np.argsort(first))[number]
    return numbers


def _parents(ids: Integers, causes: Integers) -> Integers:
    """Index of each event's cause, or `NO_CAUSE` if it has none in the recording."""
    if not ids.size:
        return ids
    order = np.argsort(ids)
    position = order[np.minimum(np.searchsorted(ids, causes, sorter=order), ids.size - 1)]
    return np.where((causes != 0) & (ids[position] == causes), position, NO_CAUSE)


def _depths(parent: Integers) -> Integers:
    """Number of ancestors of each event, by pointer doubling; -1 for an event that is among its own causes."""
    depth: Integers = (parent != NO_CAUSE).astype(np.int64)
    ancestor = parent.copy()
    for _ in range(int(parent.size).bit_length() + 1):
        pending = np.flatnonzero(ancestor != NO_CAUSE)
        if not pending.size:
            return depth
        depth[pending] += depth[ancestor[pending]]
        ancestor[pending] = ancestor[ancestor[pending]]
    depth[ancestor != NO_CAUSE] = -1
    return depth


def _faults(parent: Integers, first: Flags, chain: Integers, time: Integers, depth: Integers) -> dict[str, Flags]:
    """Marks the events that break a chain, by what is wrong with them."""
    caused = parent != NO_CAUSE
    foreign, reversed_in_time = np.zeros((2, parent.size), np.bool_)
    foreign[caused] = chain[parent[caused]] != chain[caused]
    reversed_in_time[caused] = time[parent[caused]] > time[caused]
    roots = np.bincount(chain, first, int(chain.max(initial=-1)) + 1)
    return {
        "have an event whose cause is missing": ~caused & ~first,
        "have an event whose cause is in another chain": foreign,
        "have an event among its own causes": depth < 0,
        "have no first event, or several": (roots != 1)[chain],
        "have an event that is earlier than its cause": reversed_in_time,
    }


def _on_path(parent: Integers, chain: Integers, time: Integers, depth: Integers, sound: Flags) -> Flags:
    """Marks the events on the path from each chain's first event to its latest."""
    effects = np.bincount(parent[sound & (parent != NO_CAUSE)], minlength=parent.size)
    if effects.max(initial=0) < 2:
        return np.ones(parent.size, np.bool_)
    rows = np.flatnonzero(sound & (effects == 0))
    rows = rows[np.lexsort((depth[rows], time[rows], chain[rows]))]
    rows = rows[np.append(chain[rows][1:] != chain[rows][:-1], True)]
    path = np.zeros(parent.size, np.bool_)
    while rows.size:
        path[rows] = True
        rows = parent[rows]
        rows = rows[rows != NO_CAUSE]
    return path


class Learnable(NamedTuple):
    """Walks that can be learned, and the number of those that cannot, by reason."""

    walks: Walks
    left_out: Counter[str]


def filter_learnable(walks: Walks, names: list[str]) -> Learnable:
    """Drops chains that a catalog cannot describe: each type must begin, continue or end every chain that it is in.

    Args:
        walks: chains.
        names: event types by type id.
    """
    left_out: Counter[str] = Counter()
    for step in (_unfinished, _continued, _conflicting):
        for reason, events in step(walks, names).items():
            dropped = walks.having(events)
            left_out[reason] += walks.where(dropped).chains
            walks = walks.where(~dropped)
    return Learnable(walks, +left_out)


def _end_types(walks: Walks, size: int) -> Flags:
    """Marks the types that end more chains than continue after them; a type that begins chains never ends one."""
    last = np.bincount(walks.type[walks.last], minlength=size)
    continued = np.bincount(walks.type[~walks.last], minlength=size)
    starts = np.bincount(walks.type[walks.first], minlength=size) > 0
    ends: Flags = (last > continued) & ~starts
    return ends


def _unfinished(walks: Walks, names: list[str]) -> dict[str, Flags]:
    return {"do not end": walks.last & ~_end_types(walks, len(names))[walks.type]}


def _continued(walks: Walks, names: list[str]) -> dict[str, Flags]:
    return {"continue after an event that ends others": ~walks.last & _end_types(walks, len(names))[walks.type]}


def _conflicting(walks: Walks, names: list[str]) -> dict[str, Flags]:
    """Types that begin some chains and occur inside others: the rarer use is left out."""
    conflicts: dict[str, Flags] = {}
    starting: Integers = np.unique(walks.type[walks.first])
    root = walks.root
    for type_id in starting:
        own, foreign = root == type_id, (walks.type == type_id) & (root != type_id)
        if foreign.any():
            rarer = own if walks.where(own).chains < walks.where(walks.having(foreign)).chains else foreign
            conflicts[f"have {names[type_id]} where others do not"] = rarer
    return conflicts
