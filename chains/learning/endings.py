"""Which walks can be learned: a type must mean the same wherever it stands, as a catalog asks of it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from eventbus.chains.learning.forest import Flags, Walks
from eventbus.chains.randomness import Integers


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
