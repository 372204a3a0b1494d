"""How chains lie on a scale of their own: by chance, regularly, evenly, or in bursts."""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np

from eventbus.catalog import Exponential
from eventbus.catalog.model.workload import Spacing
from eventbus.chains.arrivals.gamma import quantile
from eventbus.chains.arrivals.rates import CHAIN
from eventbus.chains.delays import Always, Sampler, Tabled, sampler
from eventbus.chains.randomness import HALF, Integers, Words, draw, purpose

GAP_PURPOSE = purpose("arrival")


class Steps(Protocol):
    """How places follow each other."""

    def after(self, place: int, first: int, keys: Words) -> Integers:
        """As for `arrivals.Arrivals`."""
        ...


class Gaps:
    """Each chain lies a gap beyond the one before; gaps are drawn independently."""

    def __init__(self, gap: Sampler) -> None:
        self._gap = gap

    def after(self, place: int, first: int, keys: Words) -> Integers:
        gaps = self._gap.at(draw(keys, GAP_PURPOSE))
        return gaps.cumsum(out=gaps)


class Shares:
    """Each chain lies somewhere in a share of the scale that is all its own."""

    def after(self, place: int, first: int, keys: Words) -> Integers:
        places = draw(keys, GAP_PURPOSE) >> HALF
        places *= np.uint64(CHAIN)
        places >>= HALF
        inside = places.view(np.int64)
        inside += np.arange(keys.size) * CHAIN
        inside += first * CHAIN - place
        return inside


def steps_of(spacing: Spacing) -> Steps:
    """Steps whose mean is a chain."""
    match spacing.name:
        case "poisson":
            return Gaps(sampler(Exponential(mean=CHAIN), unit=1))
        case "regular":
            return Gaps(Always(CHAIN))
        case "even":
            return Shares()
        case "gamma":
            return Gaps(_gamma(spacing.cv))


@cache
def _gamma(cv: float) -> Sampler:
    gap = quantile(cv)
    return Tabled(lambda probability: gap(probability) * CHAIN, 1)
