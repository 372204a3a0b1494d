"""Fields whose values belong together: the same in a whole chain, or one given by the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from eventbus.chains.learning.forest import Flags
from eventbus.chains.learning.samples import Sample, by_chance
from eventbus.chains.randomness import Integers

COVERED = 0.9
"""An attribute has to be known of so many of the values that it depends on."""


@dataclass
class Bond:
    """Fields that have the same value in every chain (or, of one event type, in every event)."""

    samples: list[Sample]
    codes: Integers
    has: Flags
    """Whether a chain (or event) has a value at all."""
    is_shared: bool = False
    """Several events of a chain show it."""
    attributes: list[Bond] = field(default_factory=list)
    """What is given by this one's value."""

    @property
    def distinct(self) -> int:
        return np.unique(self.codes[self.has]).size


def shared(samples: Iterable[Sample], chains: int) -> list[Bond]:
    """Bonds over chains, of all fields whose value is the same wherever it comes in a chain.

    Args:
        chains: their numbers are below this.
    """
    bonds: list[Bond] = []
    for sample in samples:
        bond = _of_chain(sample, chains)
        if bond is None:
            continue
        same = next((other for other in bonds if _is_same(bond, other)), None)
        if same is None:
            bonds.append(bond)
        else:
            same.samples.append(sample)
            same.codes[bond.has] = bond.codes[bond.has]
            same.has |= bond.has
            same.is_shared = True
    return bonds


def single(sample: Sample) -> Bond:
    """A bond over the events of one type."""
    return Bond([sample], sample.codes, sample.usable)


def tied(bonds: Sequence[Bond], *, keys: Sequence[Bond]) -> list[Bond]:
    """The keys, each with the other bonds that it determines as its attributes; the attributes are left out."""
    owned: set[int] = set()
    found = []
    for key in sorted(keys, key=lambda bond: -bond.distinct):
        if id(key) in owned:
            continue
        found.append(key)
        for other in bonds:
            if other is not key and id(other) not in owned and not other.attributes and _determines(key, other):
                owned.add(id(other))
                key.attributes.append(other)
    return [key for key in found if id(key) not in owned]


def _of_chain(sample: Sample, chains: int) -> Bond | None:
    """None if chains have several values."""
    rows = np.flatnonzero(sample.usable)[::-1]
    chain, values = sample.events.chain[rows], sample.codes[rows]
    codes, has = np.zeros(chains, np.int64), np.zeros(chains, np.bool_)
    codes[chain], has[chain] = values, True
    if (codes[chain] != values).any():
        return None
    again = rows.size - int(has.sum())
    if again and by_chance(again, values):
        return None
    return Bond([sample], codes, has, is_shared=again > 0)


def _is_same(one: Bond, other: Bond) -> bool:
    both = one.has & other.has
    if one.samples[0].type != other.samples[0].type or (one.codes[both] != other.codes[both]).any():
        return False
    return not by_chance(int(both.sum()), one.codes[both])


def _determines(key: Bond, other: Bond) -> bool:
    both = key.has & other.has
    first, one = np.unique(key.codes[both], return_inverse=True)
    second, two = np.unique(other.codes[both], return_inverse=True)
    if first.size < COVERED * key.distinct or np.unique(one * second.size + two).size > first.size:
        return False
    return not by_chance(int(both.sum()) - first.size, other.codes[both])
