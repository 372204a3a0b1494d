"""Statistics of stored events and chains: counts, rates and duration percentiles.

Durations are counted in logarithmic bins: bin n holds those above γⁿ⁻¹ and up to γⁿ microseconds (SQL: `eventbus.bin`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from eventbus.processors.store.chains import OUTCOMES

if TYPE_CHECKING:
    import asyncpg

GAMMA = 1.02
"""Ratio of the upper bounds of neighbouring bins."""

MINUTE = timedelta(minutes=1)


def bin_value(bin: int) -> float:
    """Microseconds that represent a bin: within 1 % of every duration in it."""
    return float(2 * GAMMA**bin / (1 + GAMMA))


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """The q-quantile of durations in microseconds, within 1 %; None without counts.

    Args:
        counts: the number of durations in each bin.
        q: between 0 and 1.
    """
    rank, cumulative = q * sum(counts.values()), 0
    for bin, count in sorted(counts.items()):
        cumulative += count
        if cumulative >= rank and cumulative:
            return bin_value(bin)
    return None


def event_statistics(rows: Sequence[asyncpg.Record], since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """Total, rate and counts by type, from rows of the query `event_counts`."""
    by_type = {row["type"]: row["n"] for row in rows}
    total, minutes = sum(by_type.values()), 0
    if rows:
        begin = (since or min(row["first"] for row in rows)).replace(second=0, microsecond=0)
        length = until - begin if until else max(row["last"] for row in rows) - begin + MINUTE
        minutes = -(-length // MINUTE)  # rounded up
    return {"total": total, "per_second": total / (60 * minutes) if minutes else 0.0, "by_type": by_type}


def chain_statistics(rows: Sequence[asyncpg.Record]) -> dict[str, Any]:
    """Counts by outcome and duration percentiles by chain, from rows of the query `chain_counts`."""
    outcomes: dict[str, Counter[str]] = {}
    bins: dict[str, Counter[int]] = {}
    for name, outcome, bin, n in rows:
        outcomes.setdefault(name, Counter())[OUTCOMES[outcome] or "in_flight"] += n
        if outcome:
            bins.setdefault(name, Counter())[bin] += n
    totals = sum(outcomes.values(), Counter[str]())
    return {
        "total": totals.total(),
        "completed": totals["completed"],
        "failed": totals["failed"],
        "in_flight": totals["in_flight"],
        "by_chain": {name: _chain(counts, bins.get(name, Counter())) for name, counts in outcomes.items()},
    }


def _chain(outcomes: Counter[str], bins: Counter[int]) -> dict[str, Any]:
    return {
        "total": outcomes.total(),
        "completed": outcomes["completed"],
        "failed": outcomes["failed"],
        **{f"p{percent}_ms": _milliseconds(quantile(bins, percent / 100)) for percent in (50, 95, 99)},
    }


def _milliseconds(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 3)
