"""How slow each item of a list is: drawn once for a whole run, so that a slow one stays slow in all its chains."""

from __future__ import annotations

import numpy as np

from eventbus.catalog import Catalog, Chain, LogNormal
from eventbus.chains.delays import sampler
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, Words, below, draw, purpose

BITS = 16
"""Factors are counted in units of 2^-16."""


class Factor:
    """The factors of a list's items, by which the delays of a chain are multiplied.

    Args:
        items: the name of the list; chains with the same list have the same slow items.
        count: how many items it has.
        p95: the 95th percentile of the factors, whose median is 1.
        variable: the purpose of the draw of a chain's item.

    Raises:
        InvalidSetting: such factors cannot be had.
    """

    def __init__(self, items: str, count: int, p95: float, variable: int) -> None:
        self._count = np.array([[count]], np.uint64)
        self._variable = variable
        self._purpose = purpose(f"factor/{items}")
        self._sampler = sampler(LogNormal(median=1, p95=p95), unit=1 << BITS)
        self._root: int | None = None
        self._factors = np.empty(0, np.int64)

    def longest(self, delay: int) -> int:
        """What the longest delay may become."""
        longest = delay * self._sampler.maximum
        if longest >> 63:
            raise InvalidSetting(f"expected a delay that can be multiplied, got up to {delay / 1000:,.0f} ms")
        return longest >> BITS

    def times(self, delays: Integers, keys: Words, root: int) -> Integers:
        """The delays of chains, multiplied.

        Args:
            keys: of the chains.
            root: the random key of the run.
        """
        items = below(draw(keys, self._variable).reshape(1, -1), self._count)[0]
        longer: Integers = delays * self._of(root).take(items)
        longer >>= BITS
        return longer

    def _of(self, root: int) -> Integers:
        """The factor of each item, kept for the next call."""
        if root != self._root:
            words = draw(np.array([root], np.uint64), self._purpose, np.arange(int(self._count[0, 0])))
            self._root, self._factors = root, self._sampler.at(words)
        return self._factors


def factors(catalog: Catalog, chain: Chain) -> dict[str, Factor]:
    """The factors of a chain's variables that have one, by variable."""
    return {
        name: Factor(
            variable.list, len(catalog.lists[variable.list]), variable.factor, purpose(f"{chain.name}/var/{name}")
        )
        for name, variable in chain.variables.items()
        if variable.list is not None and variable.factor is not None
    }
