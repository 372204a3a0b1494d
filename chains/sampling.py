"""Samplers of delays, the variables of chains, and the speed factors of list items.

Delays are sampled from random words with integer arithmetic alone, so that a seed gives the same times on every
machine. A skewed distribution is a table of its quantile function, computed when a catalog is compiled; sampling is a
look-up and a linear interpolation. Logarithms are taken only for the table, and rounding to whole units hides the last
bit, in which C libraries differ. Vectorised logarithms at run time would not be safe: their last bit depends on the
CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache, partial
from typing import Protocol

import numpy as np

from eventbus.catalog import Catalog, Chain, Delay, Exponential, Fixed, LogNormal, Uniform
from eventbus.catalog.model.delays import CELLS, OPEN_END, Quantile, quantile, speed_factor
from eventbus.catalog.model.draws import KeyedDraw, MatchedDraw, SlotDraw, UniformDraw, VariableDraw, ZipfDraw
from eventbus.catalog.sources import variable_draw
from eventbus.catalog.validation.workload import delay_problems
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, Words, among, below, chain_keys, draw, fraction, purpose
from eventbus.chains.table import StepIds, Steps

CELL_SHIFT = np.uint64(52)
"""The upper 12 bits of a word select the cell, ..."""
INSIDE_SHIFT, INSIDE_BITS = np.uint64(32), 20
"""... the next 20 bits the position in the cell ..."""
TAIL_BITS = 8
"""... of which, in the last cell, 12 bits select a cell of the tail and 8 the position in it."""


class Sampler(Protocol):
    """A distribution of delays in integer units."""

    @property
    def maximum(self) -> int:
        """The longest delay."""
        ...

    def at(self, words: Words) -> Integers:
        """The delay of each random word; monotonic in the word."""
        ...


def sampler(delay: Delay, unit: int = 1000) -> Sampler:
    """Compiles a delay of the catalog.

    Args:
        delay: in milliseconds.
        unit: units per millisecond; 1000 for microseconds.

    Raises:
        InvalidSetting: the delay has a problem that a catalog may not have either.
    """
    # the limits are those of numbers of units: the same for delays in microseconds and gaps in nanoseconds
    counted = replace(delay, mean=delay.mean * unit / 1000) if isinstance(delay, Exponential) else delay
    for problem in delay_problems(counted):
        raise InvalidSetting(problem)
    match delay:
        case Fixed(value=value):
            return ConstantSampler(round(value * unit))
        case Uniform(minimum=low, maximum=high):
            return UniformSampler(round(low * unit), round(high * unit))
    return quantile_table(delay, unit)


class ConstantSampler:
    """A constant delay."""

    def __init__(self, value: int) -> None:
        self.maximum = value

    def at(self, words: Words) -> Integers:
        return np.full(words.size, self.maximum, np.int64)


class UniformSampler:
    """Delays between two bounds, by as many bits of the word as fit into 63 bits with the width."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self.minimum, self.maximum = minimum, maximum
        self._width = maximum - minimum
        self._bits = 63 - self._width.bit_length()

    def at(self, words: Words) -> Integers:
        delays = (words >> np.uint64(64 - self._bits)).view(np.int64)
        delays *= self._width
        delays >>= self._bits
        delays += self.minimum
        return delays


class QuantileTable:
    """Delays by a quantile function: 4,096 cells, the last of which, the tail, is divided into another 4,096."""

    def __init__(self, quantile: Quantile, unit: int) -> None:
        self.maximum = round(quantile(OPEN_END) * unit)
        self._edges, self._widths = _cells([quantile(i / CELLS) for i in range(CELLS)], self.maximum, unit)
        tail = [quantile(1 - (1 - i / CELLS) / CELLS) for i in range(CELLS)]
        self._tail_edges, self._tail_widths = _cells(tail, self.maximum, unit)

    def at(self, words: Words) -> Integers:
        cell = (words >> CELL_SHIFT).view(np.int64)
        inside = (words >> INSIDE_SHIFT).view(np.int64)
        inside &= (1 << INSIDE_BITS) - 1
        delays = self._widths.take(cell)
        delays *= inside
        delays >>= INSIDE_BITS
        delays += self._edges.take(cell)
        last = np.flatnonzero(cell == CELLS - 1)
        if last.size:
            delays[last] = self._in_tail(inside.take(last))
        return delays

    def _in_tail(self, inside: Integers) -> Integers:
        cell = inside >> TAIL_BITS
        inside &= (1 << TAIL_BITS) - 1
        inside *= self._tail_widths.take(cell)
        inside >>= TAIL_BITS
        inside += self._tail_edges.take(cell)
        return inside


@lru_cache(maxsize=1024)
def quantile_table(delay: Exponential | LogNormal, unit: int) -> QuantileTable:
    """The table of a distribution, which takes milliseconds to compute; equal ones share it.

    Args:
        unit: as for `sampler`.
    """
    return QuantileTable(quantile(delay), unit)


def _cells(edges_ms: list[float], end: int, unit: int) -> tuple[Integers, Integers]:
    """The lower edges and the widths of cells."""
    array = np.array([*(round(edge * unit) for edge in edges_ms), end], np.int64)
    return array[:-1].copy(), np.diff(array)


# The variables of chains.


def purpose_of(drawn: UniformDraw | ZipfDraw | KeyedDraw) -> int:
    """The purpose of a draw that the catalog describes."""
    return purpose(drawn.purpose.kind, *drawn.purpose.names)


ComputeVariable = Callable[[Words, Steps], Integers]
"""The number that each chain has drawn, from the keys of the chains and their triggers (see `StepIds.trigger`)."""


def compile_variable(drawn: VariableDraw) -> ComputeVariable:
    """How the numbers of a variable are computed."""
    match drawn:
        case UniformDraw():
            return partial(_uniform_variable, purpose_of(drawn), drawn.count)
        case ZipfDraw():
            return partial(_zipf_variable, purpose_of(drawn), drawn.count)
        case SlotDraw():
            raise AssertionError("a delay does not depend on a variable that is exclusive")
        case KeyedDraw():
            return partial(_keyed_variable, drawn, compile_variable(drawn.owner))
        case MatchedDraw():
            owner, choice = compile_variable(drawn.owner), compile_variable(drawn.choice)
            return partial(_matched_variable, Matches(drawn), owner, choice)


def _uniform_variable(purpose: int, count: int, keys: Words, triggers: Steps) -> Integers:
    return _below(draw(keys, purpose, triggers), count)


def _zipf_variable(purpose: int, count: int, keys: Words, triggers: Steps) -> Integers:
    return zipf_numbers(draw(keys, purpose, triggers), count)


def _keyed_variable(drawn: KeyedDraw, owner: ComputeVariable, keys: Words, triggers: Steps) -> Integers:
    return keyed_numbers(drawn, owner(keys, triggers))


def _matched_variable(
    matches: Matches, owner: ComputeVariable, choice: ComputeVariable, keys: Words, triggers: Steps
) -> Integers:
    return matches.numbers(owner(keys, triggers), choice(keys, triggers))


def zipf_numbers(words: Words, count: int) -> Integers:
    """Numbers below `count`; 1 is drawn half as often as 0, 2 a third as often, and so on."""
    numbers: Integers = _zipf_edges(count).searchsorted(fraction(words), side="right")
    return numbers


def keyed_numbers(drawn: KeyedDraw, owners: Integers) -> Integers:
    """The number that belongs to each number of the owner."""
    return _below(chain_keys(purpose_of(drawn), owners), drawn.count)


class Matches:
    """The numbers that match each number of the owner, as arrays."""

    def __init__(self, drawn: MatchedDraw) -> None:
        counts = np.array([len(group) for group in drawn.groups], np.int64)
        starts: Integers = counts.cumsum() - counts
        self._numbers = np.array([number for group in drawn.groups for number in group], np.int64)
        #: By number of the owner.
        self._counts, self._starts = counts.take(drawn.group), starts.take(drawn.group)

    def numbers(self, owners: Integers, choices: Integers) -> Integers:
        """One of the numbers that match each number of the owner."""
        numbers: Integers = self._numbers.take(self._starts.take(owners) + among(choices, self._counts.take(owners)))
        return numbers


def _below(words: Words, count: int) -> Integers:
    numbers: Integers = below(words.reshape(1, -1), np.array([[count]], np.uint64))[0]
    return numbers


@cache
def _zipf_edges(count: int) -> Words:
    """Cumulative probabilities (×2^32) of numbers whose weights are 1, 1/2, 1/3, …"""
    reached = (1.0 / np.arange(1, count + 1)).cumsum()
    edges: Words = np.rint(reached / reached[-1] * (1 << 32)).astype(np.uint64)
    return edges


# Counts with a given mean.


def tilted_shares(low: int, high: int, mean: float) -> list[float]:
    """The probabilities of `low` to `high` with a mean: those of maximum entropy, exp(λk) for k, up to a factor.

    (Jaynes: "Information theory and statistical mechanics", 1957.) A mean at or beyond a bound gives that bound alone.
    """
    counts = range(high - low + 1)
    below, above = -64.0, 64.0  # of λ; e^-64 vanishes beside the other probabilities of 2^-32
    for _ in range(100):
        tilt = (below + above) / 2
        weights = [math.exp(tilt * (count - (high - low if tilt > 0 else 0))) for count in counts]
        total = math.fsum(weights)
        if math.fsum(weight * count for weight, count in zip(weights, counts, strict=True)) < (mean - low) * total:
            below = tilt
        else:
            above = tilt
    return [weight / total for weight in weights]


# Speed factors: drawn once for a run, so that a slow item is slow in all chains.


FACTOR_BITS = 16
"""Factors are multiples of 2^-16."""


class SpeedFactor:
    """Multiplies the delays of a chain by the factor of the list item that the chain has drawn.

    Args:
        items: name of the list; chains with the same list have the same slow items.
        p95: 95th percentile of the factors, whose median is 1; at most `MAX_FACTOR`.
        item: the draw of a chain's item.
        step_ids: of the chain.
    """

    def __init__(self, items: str, p95: float, item: VariableDraw, step_ids: StepIds) -> None:
        self._item, self._numbers = item, compile_variable(item)
        self._step_ids = step_ids
        self._purpose = purpose("factor", items)
        self._sampler = quantile_table(speed_factor(p95), 1 << FACTOR_BITS)
        self._root: int | None = None
        self._factors = np.empty(0, np.int64)

    def longest(self, delay: int) -> int:
        """The longest product with a delay of at most `delay` microseconds."""
        longest = delay * self._sampler.maximum
        if longest >> 63:
            raise InvalidSetting(f"expected a delay that can be multiplied, got up to {delay / 1000:,.0f} ms")
        return longest >> FACTOR_BITS

    def times(self, delays: Integers, keys: Words, steps: Steps, root: int) -> Integers:
        """Multiplies the delays of chains.

        Args:
            keys: of the chains.
            steps: of their events.
            root: the random key of the run.
        """
        items = self._numbers(keys, self._step_ids.trigger(steps))
        products: Integers = delays * self._factors_of(root).take(items)
        products >>= FACTOR_BITS
        return products

    def _factors_of(self, root: int) -> Integers:
        """The factor of each item, cached for the next call."""
        if root != self._root:
            words = draw(np.array([root], np.uint64), self._purpose, np.arange(self._item.count))
            self._root, self._factors = root, self._sampler.at(words)
        return self._factors


def speed_factors(catalog: Catalog, chain: Chain, step_ids: StepIds) -> dict[str, SpeedFactor]:
    """The speed factors of a chain's variables, by variable."""
    return {
        name: SpeedFactor(variable.list, variable.factor, variable_draw(catalog.lists, chain, name), step_ids)
        for name, variable in chain.variables.items()
        if variable.list is not None and variable.factor is not None
    }
