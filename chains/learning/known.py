"""The chains of a catalog that is there already, found in a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Catalog, Chain
from eventbus.catalog.errors import Place
from eventbus.chains.learning.chain import Learned, refitted
from eventbus.chains.learning.forest import Walks
from eventbus.chains.learning.machine import Machine
from eventbus.chains.randomness import Integers

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
    undoing = (way.retry or way.compensate or way.by for state in chain.states.values() for way in state.next)
    return chain.visitors is None and not any(special) and not any(undoing)


def _matched(chain: Chain, walks: Walks, names: Sequence[str], left: Counter[str]) -> Iterator[Learned]:
    if not is_plain(chain):
        notes: dict[Place, list[str]] = {("chains", chain.name): ["only its weight is learned"]}
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
