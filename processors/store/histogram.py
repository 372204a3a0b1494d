"""Quantiles from logarithmic bins: bin n holds durations above γⁿ⁻¹ and up to γⁿ microseconds (SQL: `eventbus.bin`)."""

from __future__ import annotations

from collections.abc import Mapping

GAMMA = 1.02


def value_of(bin: int) -> float:
    """Microseconds that stand for a bin: no duration in it is further off than 1 %."""
    return float(2 * GAMMA**bin / (1 + GAMMA))


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The smallest value with at least a share `q` at or below it, within 1 %; None when there are no counts.

    Args:
        counts: how many durations each bin holds.
        q: between 0 and 1.
    """
    needed, reached = q * sum(counts.values()), 0
    for bin, count in sorted(counts.items()):
        reached += count
        if reached >= needed and reached:
            return value_of(bin)
    return None
