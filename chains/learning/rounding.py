"""Numbers as a person would write them: as round as what was measured allows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eventbus.chains.verification.significance import chi_square


def roundest(low: float, high: float) -> float:
    """The number between two bounds that has the fewest digits; 0 if it is among them."""
    if low <= 0 <= high:
        return 0.0
    if high < 0:
        return -roundest(-high, -low)
    for digits in range(math.ceil(math.log10(high)) + 1, -16, -1):
        step = 10.0**digits
        for multiple in (step, step / 2):
            found = math.ceil(low / multiple * (1 - 1e-15)) * multiple
            if low <= found <= high:
                return round(found, max(0, 1 - digits))
    return (low + high) / 2


def percentages(counts: Sequence[int]) -> list[float]:
    """Shares that sum to 100, with as many decimals as so many observations can tell (the largest remainder method)."""
    total = sum(counts)
    decimals = max(math.ceil(math.log10(total) / 2) - 1, 0)
    while decimals < 12 and min(counts) * 10**decimals * 100 < total:  # nothing that was seen becomes impossible
        decimals += 1
    units = 100 * 10**decimals
    shares = [count * units // total for count in counts]
    rest = sorted(range(len(counts)), key=lambda i: (-(counts[i] * units % total), i))
    for index in rest[: units - sum(shares)]:
        shares[index] += 1
    return [round(share / 10**decimals, decimals) for share in shares]


MOST_COPIES = 60
"""Items of a list that shows shares by repetition, beside one of each."""


CHANCE = 1e-4
"""Values are taken for evenly drawn unless chance alone makes them so uneven with this probability."""


def repetitions(counts: Sequence[int]) -> list[int]:
    """How often to list each value so that a draw from the list has about the shares that were observed.

    Each once, if that is within what chance makes of it.
    """
    total = sum(counts)
    if len(counts) == 1 or chi_square(counts, [total / len(counts)] * len(counts)) > CHANCE:
        return [1] * len(counts)
    sizes = range(len(counts), len(counts) + MOST_COPIES + 1)
    tries = [[max(1, round(count * size / total)) for count in counts] for size in sizes]
    return min(tries, key=lambda copies: (_off(copies, counts), sum(copies)))


def _off(copies: Sequence[int], counts: Sequence[int]) -> float:
    """The largest difference of shares, but no less than what chance makes of them."""
    total, size = sum(counts), sum(copies)
    worst = max(abs(copy / size - count / total) for copy, count in zip(copies, counts, strict=True))
    return max(worst, 0.5 / math.sqrt(total), 0.005)
