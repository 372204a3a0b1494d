"""Several tenants on one bus: how many, how unequal, and how much each keeps hours of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """Tenants `tenant-0001`, `tenant-0002`, … from the largest to the smallest; each chain is of one of them."""

    count: int
    exponent: float = 1.0
    """Of Zipf's law: the n-th has n^-exponent times the chains of the first; 0: all have as many."""
    swing: float = 0.5
    """A tenant's share of the chains is so much higher at an hour of its own, and as much lower twelve hours later."""
