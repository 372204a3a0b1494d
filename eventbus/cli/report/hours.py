"""When chains began, by hour of the day: counted, and as it should have been."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from eventbus.chains.pacing.statistics import QUARTER
from eventbus.cli.report.facts import Expected, Facts

HOUR = 4 * QUARTER


class Hour(NamedTuple):
    """One hour of the day, on all days together."""

    hour: int
    covered: float
    """Hours of the run that were this one."""
    chains: int
    expected: float | None

    @property
    def rate(self) -> float:
        """Chains that began in one such hour."""
        return self.chains / self.covered

    @property
    def target(self) -> float | None:
        return None if self.expected is None else self.expected / self.covered


def hours_of_day(facts: Facts) -> list[Hour]:
    """The hours that the run has seen."""
    return folded(facts.census.arrivals.counts, facts.since, facts.until, facts.expected, facts.zone)


def folded(
    counts: Mapping[int, int], since: int, until: int, expected: Expected | None, zone: tzinfo = UTC
) -> list[Hour]:
    """Quarters of an hour as hours of the day.

    Args:
        counts: chains by quarters of an hour since the Unix epoch.
        since: microseconds since the Unix epoch.
        until: likewise.
    """
    covered, chains, wanted = [0.0] * 24, [0] * 24, [0.0] * 24
    for quarter in range(since // QUARTER, -(-until // QUARTER)):
        hour = datetime.fromtimestamp(quarter * QUARTER / 1e6, UTC).astimezone(zone).hour
        begin, end = max(quarter * QUARTER, since), min((quarter + 1) * QUARTER, until)
        covered[hour] += (end - begin) / HOUR
        chains[hour] += counts.get(quarter, 0)
        wanted[hour] += expected(begin, end) if expected else 0.0
    return [
        Hour(hour, covered[hour], chains[hour], wanted[hour] if expected else None)
        for hour in range(24)
        if covered[hour]
    ]
