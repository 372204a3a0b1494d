"""What a running stream has done so far, in plain lines: overall, and since the line before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventbus.cli.render.summary import share

if TYPE_CHECKING:
    from eventbus.chains import RunStatistics
    from eventbus.chains.pacing.summary import RunSummary

TYPES = 8
"""Event types with a line of their own; the others share one."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Chains, or visitors' sessions."""

    begun: int = 0
    active: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    def text(self, noun: str) -> str:
        """`chains 120 begun, 3 active, 117 completed`."""
        ended = "".join(f", {count:,} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{noun} {self.begun:,} begun, {self.active:,} active{ended}"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A stream at one moment."""

    elapsed: float = 0.0
    events: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    """By what they are called."""
    errors: int = 0
    """Events that a sink should have and does not."""
    late: int = 0
    dropped: int = 0
    lag_p99_ms: float = 0.0
    expected: float | None = None
    """Chains that should have begun by now."""
    events_per_chain: float = 0.0

    @classmethod
    def of(
        cls, census: RunSummary, run: RunStatistics, *, errors: int, expected: float | None, events_per_chain: float
    ) -> Figures:
        return cls(
            elapsed=run.elapsed,
            events=census.events,
            types=census.types(),
            groups=groups(census),
            errors=errors,
            late=run.late,
            dropped=run.dropped,
            lag_p99_ms=run.lag_p99_ms,
            expected=expected,
            events_per_chain=events_per_chain,
        )

    @property
    def begun(self) -> int:
        return sum(group.begun for group in self.groups.values())


def groups(census: RunSummary) -> dict[str, Group]:
    """Sessions, chains, or both."""
    found: dict[str, Group] = {}
    for chain in census.chains().values():
        noun = "sessions" if chain.is_session else "chains"
        so_far = found.get(noun, Group())
        found[noun] = Group(
            begun=so_far.begun + chain.begun,
            active=so_far.active + chain.active,
            outcomes=Counter(so_far.outcomes) + chain.outcomes,
        )
    return found


def lines(now: Figures, before: Figures) -> Iterator[str]:
    """A line of totals, a line of rates since the figures before, and the shares of event types."""
    trouble = "".join(f", {count:,} {name}" for name, count in (("late", now.late), ("dropped", now.dropped)) if count)
    chains = "; ".join(group.text(noun) for noun, group in now.groups.items())
    yield (
        f"{clock(now.elapsed)}  {now.events:,} events; {chains or 'no chain yet'}; {now.errors:,} errors{trouble}; "
        f"lag p99 {now.lag_p99_ms:,.0f} ms"
    )
    yield f"         {rates(now, before)}; since the beginning {rates(now, Figures(expected=0.0))}"
    yield from breakdown(now.types)


def rates(now: Figures, before: Figures) -> str:
    """`98.7 events/s of 100, 38.9 chains/s of 39.2`: actual, and target where there is one."""
    seconds = now.elapsed - before.elapsed
    if seconds <= 0:
        return "waiting for what is under way"
    chains = (now.begun - before.begun) / seconds
    events = (now.events - before.events) / seconds
    noun = next(iter(now.groups), "chains")
    if now.expected is None or before.expected is None:
        return f"{rate(events, 'events')}, {rate(chains, noun)}"
    target = (now.expected - before.expected) / seconds
    wanted = target * now.events_per_chain
    return f"{rate(events, 'events', wanted)}, {rate(chains, noun, target)}"


def rate(per_second: float, noun: str, target: float | None = None) -> str:
    """`12.5 events/s of 12`, `42 chains/h of 40`: in the unit in which the larger one is at least 1."""
    most = max(per_second, target or 0.0)
    factor, unit = next(((f, u) for f, u in ((1, "s"), (60, "min")) if most * f >= 1), (3600, "h"))
    wanted = "" if target is None else f" of {_short(target * factor)}"
    return f"{_short(per_second * factor)} {noun}/{unit}{wanted}"


def breakdown(types: Mapping[str, int]) -> Iterator[str]:
    """A line for each of the most frequent event types, and one for the others."""
    whole, ordered = sum(types.values()), list(types.items())
    shown, others = (ordered, []) if len(ordered) <= TYPES + 1 else (ordered[:TYPES], ordered[TYPES:])
    if others:
        shown = [*shown, (f"{len(others)} other types", sum(count for _, count in others))]
    for name, count in shown:
        yield f"         {share(count, whole):>7}  {count:>11,}  {name}"


def clock(seconds: float) -> str:
    """`1:02:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{seconds:02d}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
