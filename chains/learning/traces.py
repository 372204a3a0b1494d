"""Which walks can be learned: a type must mean the same wherever it stands, as a catalog asks of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from eventbus.chains.learning.recording import Recording
from eventbus.chains.randomness import Integers

# Which event caused which: the chains of a recording, those that are whole in the order of cause and effect.


Flags = npt.NDArray[np.bool_]

NO_CAUSE = -1


class Walks(NamedTuple):
    """Chains, one behind the other, each from its first event to its last."""

    rows: Integers
    """Of the events, in the recording."""
    chain: Integers
    """Of each event: a number that never falls."""
    type: Integers
    time: Integers
    """Microseconds since 1970."""

    @property
    def last(self) -> Flags:
        """Whether an event is the last of its chain."""
        if not self.rows.size:
            return np.zeros(0, np.bool_)
        return np.append(self.chain[1:] != self.chain[:-1], True)

    @property
    def first(self) -> Flags:
        """Whether an event is the first of its chain."""
        return np.append(True, self.last[:-1])[: self.rows.size]

    @property
    def chains(self) -> int:
        """How many chains there are."""
        return int(self.last.sum())

    @property
    def root(self) -> Integers:
        """The type of the first event of the chain of each event."""
        starts = np.flatnonzero(self.first)
        return np.repeat(self.type[starts], np.diff(np.append(starts, self.rows.size)))

    def where(self, chosen: Flags) -> Walks:
        """Only some events; the chains of these must be whole."""
        return Walks(*(column[chosen] for column in self))

    def having(self, events: Flags) -> Flags:
        """For each event, whether one of its chain is among these."""
        found = np.bincount(self.chain, events, int(self.chain.max(initial=-1)) + 1) > 0
        flags: Flags = found[self.chain]
        return flags


@dataclass(frozen=True)
class Forest:
    """What the causes of a recording make of it."""

    walks: Walks
    copies: int
    """Events that came again, with the same id."""
    broken: Counter[str]
    """Chains that are no tree, by what is wrong."""
    beside: Counter[int]
    """Events by type that are left out, because their cause had another effect, which led further."""
    branched: int
    """Chains that these are of."""


def grown(recording: Recording) -> Forest:
    """Follow the causes."""
    ids, causes = recording.column("id"), recording.column("cause")
    kept = np.sort(np.unique(ids, return_index=True)[1])
    time, kind = recording.column("time")[kept], recording.column("type")[kept]
    chain = _numbered(recording.column("chain")[kept])
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
    return Forest(
        Walks(kept[rows], chain[rows], kind[rows], time[rows]),
        ids.size - kept.size,
        +broken,
        Counter(dict(zip(*map(np.ndarray.tolist, np.unique(kind[beside], return_counts=True)), strict=True))),
        np.unique(chain[beside]).size,
    )


def _numbered(chains: Integers) -> Integers:
    """Chains numbered in the order in which they begin."""
    _, first, number = np.unique(chains, return_index=True, return_inverse=True)
    numbers: Integers = np.argsort(np.argsort(first))[number]
    return numbers


def _parents(ids: Integers, causes: Integers) -> Integers:
    """The place of each event's cause; `NO_CAUSE` where it has none, or none that is here."""
    if not ids.size:
        return ids
    order = np.argsort(ids)
    place = order[np.minimum(np.searchsorted(ids, causes, sorter=order), ids.size - 1)]
    return np.where((causes != 0) & (ids[place] == causes), place, NO_CAUSE)


def _depths(parent: Integers) -> Integers:
    """How many causes lie before each event, by doubling the steps; -1 for events that are among their own causes."""
    depth: Integers = (parent != NO_CAUSE).astype(np.int64)
    above = parent.copy()
    for _ in range(int(parent.size).bit_length() + 1):
        going = np.flatnonzero(above != NO_CAUSE)
        if not going.size:
            return depth
        depth[going] += depth[above[going]]
        above[going] = above[above[going]]
    depth[above != NO_CAUSE] = -1
    return depth


def _faults(parent: Integers, first: Flags, chain: Integers, time: Integers, depth: Integers) -> dict[str, Flags]:
    """For each thing that can be wrong, the events that show it."""
    has = parent != NO_CAUSE
    foreign, backwards = np.zeros((2, parent.size), np.bool_)
    foreign[has] = chain[parent[has]] != chain[has]
    backwards[has] = time[parent[has]] > time[has]
    roots = np.bincount(chain, first, int(chain.max(initial=-1)) + 1)
    return {
        "have an event whose cause is not here": ~has & ~first,
        "have an event whose cause is in another chain": foreign,
        "have an event among its own causes": depth < 0,
        "have no first event, or several": (roots != 1)[chain],
        "have an event that is earlier than its cause": backwards,
    }


def _on_path(parent: Integers, chain: Integers, time: Integers, depth: Integers, sound: Flags) -> Flags:
    """The events between each chain's first and its latest."""
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


class Judged(NamedTuple):
    """The walks that can be learned, and how many cannot, by the reason."""

    walks: Walks
    left: Counter[str]


def judged(walks: Walks, names: list[str]) -> Judged:
    """Leave out the chains that do not end where others do, or whose types start or end others.

    Args:
        names: of the types, by number.
    """
    left: Counter[str] = Counter()
    for step in (_unfinished, _continued, _conflicting):
        for reason, chosen in step(walks, names).items():
            gone = walks.having(chosen)
            left[reason] += walks.where(gone).chains
            walks = walks.where(~gone)
    return Judged(walks, +left)


def _ends(walks: Walks, size: int) -> Flags:
    """For each type, whether it ends more chains than go on after it; what starts a chain never ends one."""
    last = np.bincount(walks.type[walks.last], minlength=size)
    onward = np.bincount(walks.type[~walks.last], minlength=size)
    starts = np.bincount(walks.type[walks.first], minlength=size) > 0
    ends: Flags = (last > onward) & ~starts
    return ends


def _unfinished(walks: Walks, names: list[str]) -> dict[str, Flags]:
    return {"do not end": walks.last & ~_ends(walks, len(names))[walks.type]}


def _continued(walks: Walks, names: list[str]) -> dict[str, Flags]:
    return {"go on after an event that ends others": ~walks.last & _ends(walks, len(names))[walks.type]}


def _conflicting(walks: Walks, names: list[str]) -> dict[str, Flags]:
    """Types that start some chains and stand in the middle of others: what is rarer is left out."""
    found: dict[str, Flags] = {}
    starting: Integers = np.unique(walks.type[walks.first])
    root = walks.root
    for kind in starting:
        own, foreign = root == kind, (walks.type == kind) & (root != kind)
        if foreign.any():
            rarer = own if walks.where(own).chains < walks.where(walks.having(foreign)).chains else foreign
            found[f"have {names[kind]} where others do not"] = rarer
    return found
