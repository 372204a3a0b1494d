"""What is drawn fits the catalog: chi-square and independence at fixed seeds, so that the answer never wavers."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.randomness import Integers, Words, below, chain_keys, draw, fraction, purpose, shares

CHAINS = 20_000


def numbers_below(words: Words, count: int) -> Integers:
    numbers: Integers = below(words.reshape(1, -1), np.array([[count]], np.uint64))[0]
    return numbers


def excess(observed: npt.ArrayLike, expected: npt.ArrayLike) -> float:
    """How far chi-square lies above its mean, in standard deviations."""
    counts, means = np.asarray(observed, float), np.asarray(expected, float)
    freedom = counts.size - 1
    return float((((counts - means) ** 2 / means).sum() - freedom) / (2 * freedom) ** 0.5)


@pytest.fixture(scope="module")
def types() -> Counter[str]:
    return Counter(one.event_type for one in ChainGenerator(seed=11).events(chains=CHAINS))


def test_chains_come_in_proportion_to_their_weights(types: Counter[str]) -> None:
    """Shares of 20,000 chains fit the weights."""
    weighted = [c for c in Catalog.default().chains.values() if c.weight > 0]
    total = sum(c.weight for c in weighted)
    assert excess([types[c.root] for c in weighted], [CHAINS * c.weight / total for c in weighted]) < 3


def test_branches_come_in_proportion_to_their_weights(types: Counter[str]) -> None:
    """One in ten agent executions fails."""
    name = "omninode.agent.execution"
    started = types[f"{name}.started.v1"]
    found = [types[f"{name}.completed.v1"], types[f"{name}.failed.v1"]]
    assert sum(found) == started
    assert excess(found, [started * 0.9, started * 0.1]) < 3


def test_arrivals_are_as_many_as_the_rate_says() -> None:
    """An hour at 10 chains a second has 36,000 chains, give or take three standard deviations."""
    chains = sum(block.chains for block in ChainGenerator(seed=11, rate=10).blocks(duration=3600))
    assert abs(chains - 36_000) < 3 * 36_000**0.5


def test_draws_are_independent() -> None:
    """No pair of purposes, of steps or of neighbouring chains shows a pattern in 2^18 chains."""
    keys = chain_keys(purpose("seed", "7"), np.arange(1 << 18))
    columns = [draw(keys, purpose("field", f"p{i}")) for i in range(6)] + [
        draw(keys, purpose("field", "p0"), step) for step in (1, 2, 3)
    ]
    pairs = [*combinations(columns, 2), *((column[1:], column[:-1]) for column in columns)]
    for one, other in pairs:
        cells = numbers_below(one, 16) * 16 + numbers_below(other, 16)
        assert abs(excess(np.bincount(cells, minlength=256), np.full(256, cells.size / 256))) < 5


@pytest.mark.parametrize("count", [1, 2, 7, 1000, 1 << 32, (1 << 32) + 1, 10**15])
def test_numbers_below(count: int) -> None:
    """Numbers stay below the count, and reach the last eighth as often as the first."""
    numbers = numbers_below(draw(chain_keys(1, np.arange(80_000)), 2), count)
    assert numbers.min() >= 0
    assert numbers.max() < count
    if count >= 1000:
        assert abs(excess(np.bincount(numbers * 8 // count, minlength=8), np.full(8, 10_000))) < 4


def test_edges_end_at_the_whole() -> None:
    """The last share reaches up to the end, however the weights round."""
    assert shares([0.1] * 3)[-1] == 1 << 32
    assert shares([30, 20, 50]) == [round(0.3 * 2**32), 1 << 31, 1 << 32]


def test_a_step_may_be_one_for_all_or_one_each() -> None:
    """Both forms of a draw give the same words."""
    keys = chain_keys(3, np.arange(100))
    for step in (0, 1, 63):
        assert (draw(keys, purpose("next"), step) == draw(keys, purpose("next"), np.full(100, step))).all()
    assert fraction(draw(keys, purpose("next"))).max() < 1 << 32
