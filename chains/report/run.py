"""What a report knows about a run: its summary, what was expected of it, and its hours of the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from eventbus.chains import RunStatistics
from eventbus.chains.pacing.statistics import QUARTER
from eventbus.chains.pacing.summary import RunSummary

HOUR = 4 * QUARTER

ExpectedChains = Callable[[int, int], float]
"""The number of chains expected to begin between two virtual times, in microseconds since the Unix epoch."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Maps the wall clock of a paced run to its virtual time."""

    began: int
    """Wall-clock start, microseconds since the Unix epoch."""
    speed: float
    """Virtual seconds per second; infinite for an unthrottled run, whose clocks are unrelated."""
    statistics: RunStatistics


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """A finished run. Times are microseconds since the Unix epoch."""

    command: str
    """The command line as typed, without secrets."""
    seed: int
    digest: str | None
    """SHA-256 of the output, in hexadecimal."""
    summary: RunSummary
    seconds: float
    """Wall-clock duration."""
    since: int
    """Virtual time from which chains could begin."""
    until: int
    """Virtual time at which chains stopped beginning."""
    expected: ExpectedChains | None = None
    zone: tzinfo = UTC
    """Time zone of the hours of the day."""
    pace: Pace | None = None
    """None for an unpaced run, whose events are binned by their own timestamps."""
    sinks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Counters of each sink, by sink name."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Injected faults by kind."""

    @property
    def begun(self) -> int:
        """Number of chains that began."""
        return sum(chain.begun for chain in self.summary.chains().values())

    @property
    def noun(self) -> str:
        """What to call chains: `sessions` if any of them are visitors' sessions."""
        return "sessions" if any(chain.is_session for chain in self.summary.chains().values()) else "chains"

    @property
    def events_per_chain(self) -> float:
        """Mean number of events per chain."""
        return self.summary.events / self.begun if self.begun else 0.0

    def expected_events(self, begin: int, end: int) -> float | None:
        """The number of events expected between two times of `summary.over_time`; None if nothing is known."""
        if self.expected is None or (self.pace and not self.pace.speed < float("inf")):
            return None
        first, last = (min(max(self._virtual(time), self.since), self.until) for time in (begin, end))
        return self.expected(first, last) * self.events_per_chain

    def hours_of_day(self) -> list[HourOfDay]:
        """The hours of the day that the run covered, in order."""
        return hours_of_day(self.summary.arrivals.counts, self.since, self.until, self.expected, self.zone)

    def _virtual(self, time: int) -> int:
        if self.pace is None:
            return time
        return self.since + round((time - self.pace.began) * self.pace.speed)


class HourOfDay(NamedTuple):
    """One hour of the day, summed over all days of a run."""

    hour: int
    covered: float
    """How often the run covered this hour, in hours."""
    chains: int
    """Chains that began in it."""
    expected: float | None
    """Chains expected to begin in it."""

    @property
    def rate(self) -> float:
        """Chains per hour."""
        return self.chains / self.covered

    @property
    def target(self) -> float | None:
        """Expected chains per hour."""
        return None if self.expected is None else self.expected / self.covered


def hours_of_day(
    counts: Mapping[int, int], since: int, until: int, expected: ExpectedChains | None, zone: tzinfo = UTC
) -> list[HourOfDay]:
    """Sums quarters of an hour into hours of the day.

    Args:
        counts: chains by quarter of an hour since the Unix epoch.
        since: start of the run, microseconds since the Unix epoch.
        until: its end, likewise.
        expected: the expected number of chains between two times.
        zone: time zone of the hours; on the night when clocks go back, one hour is covered twice.
    """
    covered, chains, targets = [0.0] * 24, [0] * 24, [0.0] * 24
    for quarter in range(since // QUARTER, -(-until // QUARTER)):
        hour = datetime.fromtimestamp(quarter * QUARTER / 1e6, UTC).astimezone(zone).hour
        begin, end = max(quarter * QUARTER, since), min((quarter + 1) * QUARTER, until)
        covered[hour] += (end - begin) / HOUR
        chains[hour] += counts.get(quarter, 0)
        targets[hour] += expected(begin, end) if expected else 0.0
    return [
        HourOfDay(hour, covered[hour], chains[hour], targets[hour] if expected else None)
        for hour in range(24)
        if covered[hour]
    ]
