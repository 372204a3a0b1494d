"""What a running stream shows: its statistics as lines or as a panel, and a line for each event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from eventbus.cli.render.tables import ChainRow, chain_table, figures_table, percentage
from eventbus.cli.render.terminal import BAD, GOOD, clock, colour, printable
from eventbus.errors import InvalidEvent
from eventbus.event import Event

if TYPE_CHECKING:
    from eventbus.chains import RunStatistics
    from eventbus.chains.pacing.observers import PublishedBatch
    from eventbus.chains.pacing.summary import ChainSummary, RunSummary
    from eventbus.record import ProducerRecord

TYPE_LINES = 8
"""Event types that have a line of their own; the others share one."""
BAR_WIDTH = 24
"""Characters of the longest bar of the panel."""
OUTCOME_COLOURS = {"completed": GOOD, "failed": BAD}

PAYLOAD_FIELDS = 3
"""Fields of a payload in an event's line, unless it has a path."""
ID_PREFIX = 18
"""Characters of a chain's id in an event's line: its time, and enough to tell it from others of that time."""
VALUE_LENGTH = 32
"""Characters of a value in an event's line."""


@dataclass(frozen=True, kw_only=True)
class ChainGroup:
    """Counts of chains, or of visitors' sessions."""

    begun: int = 0
    active: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    def text(self, noun: str) -> str:
        """`chains 120 begun, 3 active, 117 completed`."""
        ended = "".join(f", {count:,} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{noun} {self.begun:,} begun, {self.active:,} active{ended}"


@dataclass(frozen=True, kw_only=True)
class StreamStatistics:
    """A stream at one moment."""

    elapsed: float = 0.0
    """Seconds."""
    events: int = 0
    types: Mapping[str, int] = field(default_factory=dict)
    """Events by type, the most frequent first."""
    groups: Mapping[str, ChainGroup] = field(default_factory=dict)
    """By noun: `chains`, `sessions`."""
    errors: int = 0
    """Events that a sink should have and does not."""
    late: int = 0
    dropped: int = 0
    lag_p99_ms: float = 0.0
    expected_chains: float | None = None
    """Chains that should have begun by now; None: nothing is expected."""
    expected_events: float | None = None
    """Events that should have come by now."""

    @classmethod
    def of(
        cls,
        summary: RunSummary,
        run: RunStatistics,
        *,
        errors: int,
        expected_chains: float | None,
        expected_events: float | None,
    ) -> StreamStatistics:
        return cls(
            elapsed=run.elapsed,
            events=summary.events,
            types=summary.types(),
            groups=chain_groups(summary),
            errors=errors,
            late=run.late,
            dropped=run.dropped,
            lag_p99_ms=run.lag_p99_ms,
            expected_chains=expected_chains,
            expected_events=expected_events,
        )

    @property
    def begun(self) -> int:
        return sum(group.begun for group in self.groups.values())


BEGINNING = StreamStatistics(expected_chains=0.0, expected_events=0.0)
"""The statistics of a stream when it begins."""


def chain_groups(summary: RunSummary) -> dict[str, ChainGroup]:
    """The counts of sessions and of other chains; a group without any is left out."""
    groups: dict[str, ChainGroup] = {}
    for chain in summary.chains().values():
        noun = "sessions" if chain.is_session else "chains"
        group = groups.get(noun, ChainGroup())
        groups[noun] = ChainGroup(
            begun=group.begun + chain.begun,
            active=group.active + chain.active,
            outcomes=Counter(group.outcomes) + chain.outcomes,
        )
    return groups


def statistics_lines(now: StreamStatistics, before: StreamStatistics) -> Iterator[str]:
    """A line of totals, a line of rates since `before` and since the beginning, and the shares of event types."""
    trouble = "".join(f", {count:,} {name}" for name, count in (("late", now.late), ("dropped", now.dropped)) if count)
    chains = "; ".join(group.text(noun) for noun, group in now.groups.items())
    yield (
        f"{clock(now.elapsed)}  {now.events:,} events; {chains or 'no chain yet'}; {now.errors:,} errors{trouble}; "
        f"lag p99 {now.lag_p99_ms:,.0f} ms"
    )
    yield f"         {rates(now, before)}; since the beginning {rates(now, BEGINNING)}"
    yield from type_lines(now.types)


def rates(now: StreamStatistics, before: StreamStatistics) -> str:
    """`98.7 events/s of 100, 38.9 chains/s of 39.2`: the actual rate, and the expected one if there is one."""
    seconds = now.elapsed - before.elapsed
    if seconds <= 0:
        return "waiting for what is under way"
    chains = (now.begun - before.begun) / seconds
    events = (now.events - before.events) / seconds
    expected_chains = _growth(now.expected_chains, before.expected_chains, seconds)
    expected_events = _growth(now.expected_events, before.expected_events, seconds)
    noun = next(iter(now.groups), "chains")
    return f"{rate(events, 'events', expected_events)}, {rate(chains, noun, expected_chains)}"


def _growth(now: float | None, before: float | None, seconds: float) -> float | None:
    """The growth of a number per second; None if the number is unknown."""
    return None if now is None or before is None else (now - before) / seconds


def rate(per_second: float, noun: str, expected: float | None = None) -> str:
    """`12.5 events/s of 12`, `42 chains/h of 40`: per second, minute or hour, so that the larger is at least 1."""
    larger = max(per_second, expected or 0.0)
    factor, unit = next(((f, u) for f, u in ((1, "s"), (60, "min")) if larger * f >= 1), (3600, "h"))
    of = "" if expected is None else f" of {_short(expected * factor)}"
    return f"{_short(per_second * factor)} {noun}/{unit}{of}"


def type_lines(types: Mapping[str, int]) -> Iterator[str]:
    """A line for each of the most frequent event types, and one for the others."""
    total, ordered = sum(types.values()), list(types.items())
    if len(ordered) > TYPE_LINES + 1:
        others = ordered[TYPE_LINES:]
        ordered = [*ordered[:TYPE_LINES], (f"{len(others)} other types", sum(count for _, count in others))]
    for name, count in ordered:
        yield f"         {percentage(count, total):>7}  {count:>11,}  {name}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def stream_panel(
    console: Console,
    now: StreamStatistics,
    before: StreamStatistics,
    chains: Mapping[str, ChainSummary],
    *,
    title: str,
    below: str,
) -> RenderableType:
    """Totals and rates, chains, and as many event types as fit on the console.

    Args:
        before: the moment since which the current rates are measured.
        below: the last line, about the sinks.
    """
    rows = [ChainRow.counted(name, chain) for name, chain in chains.items()]
    upper = Group(
        Text(f"{title} · {clock(now.elapsed)}", style="bold"),
        _totals(now),
        _rates(now, before),
        Text(),
        chain_table(rows, "begun", "active", "completed", "failed"),
        Text(),
    )
    lower = Text(below, style="dim")
    height = sum(len(console.render_lines(part, pad=False)) for part in (upper, lower))
    return Group(upper, _type_table(now, max(console.height - height - 4, 1)), Text(), lower)


def _totals(now: StreamStatistics) -> Text:
    text = Text.assemble(("events ", "dim"), (f"{now.events:,}", "bold"))
    for noun, group in now.groups.items():
        text.append(f"   {noun} ", "dim").append(f"{group.begun:,}", "bold")
        text.append("   active ", "dim").append(f"{group.active:,}", "yellow")
        for outcome, count in sorted(group.outcomes.items()):
            text.append(f"   {outcome} ", "dim").append(f"{count:,}", OUTCOME_COLOURS.get(outcome, "yellow"))
    for name, count in (("errors", now.errors), ("late", now.late), ("dropped", now.dropped)):
        text.append(f"   {name} ", "dim").append(f"{count:,}", BAD if count else "dim")
    return text.append("   lag p99 ", "dim").append(f"{now.lag_p99_ms:,.0f} ms")


def _rates(now: StreamStatistics, before: StreamStatistics) -> Text:
    overall = rates(now, BEGINNING)
    return Text.assemble(("now ", "dim"), (rates(now, before), "cyan"), ("   overall ", "dim"), overall)


def _type_table(now: StreamStatistics, height: int) -> Table:
    """The most frequent types, as many as `height`, and one line for the others."""
    table = figures_table("event type", "events", "share", "")
    table.columns[-1].justify = "left"
    largest, types = max(now.types.values(), default=0), list(now.types.items())
    for name, count in types[:height]:
        bar = "█" * max(round(BAR_WIDTH * count / largest), 1)
        table.add_row(name, f"{count:,}", percentage(count, now.events), Text(bar, style=colour(name)))
    if len(types) > height:
        others = sum(count for _, count in types[height:])
        label = Text(f"{len(types) - height} other types", style="dim")
        table.add_row(label, f"{others:,}", percentage(others, now.events))
    return table


class EventLines:
    """Writes a line for every event that the bus has accepted.

    Args:
        types: the event type of each emitter.
        write: receives text that ends in a newline.
    """

    def __init__(self, types: Sequence[str], write: Callable[[str], object]) -> None:
        self._names = [short_type(name) for name in types]
        self._write = write

    def published(self, batch: PublishedBatch) -> None:
        lags = [f"  {lag / 1000:+,.0f} ms" for lag in batch.lags.tolist()] or [""] * len(batch.records)
        columns = (batch.records, batch.emitters.tolist(), lags)
        self._write("".join(self._line(*row) for row in zip(*columns, strict=True)))

    def _line(self, record: ProducerRecord, kind: int, lag: str) -> str:
        """`09:00:01.250  visitor.page.visited  019b76da-c7e6  /pricing  +2 ms`."""
        time = f"{datetime.fromtimestamp(record.timestamp / 1000, UTC):%H:%M:%S.%f}"[:-3]
        chain = (record.key or b"").decode(errors="replace")[:ID_PREFIX]
        return f"{time}  {self._names[kind]:<36}  {chain}  {payload_excerpt(record.value)}{lag}\n"


def payload_excerpt(value: bytes | None) -> str:
    """The path in an event's payload, or the first fields with plain values; nothing if the value is no JSON event."""
    try:
        payload = Event.from_bytes(value or b"").payload
    except InvalidEvent:
        return ""
    if "path" in payload:
        return printable(str(payload["path"]))[:VALUE_LENGTH]
    plain = [(name, value) for name, value in payload.items() if isinstance(value, str | int | float)]
    return "  ".join(f"{name}={printable(str(value))[:VALUE_LENGTH]}" for name, value in plain[:PAYLOAD_FIELDS])


def short_type(event_type: str) -> str:
    """Without what all shipped types share: `omninode.agent.execution.started.v1` → `agent.execution.started`."""
    words = event_type.split(".")
    return ".".join(words[1:-1] if words[0] == "omninode" and len(words) > 2 else words)
