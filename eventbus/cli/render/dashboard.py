"""What `mock` and `serve` show while they run: a live panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from eventbus.cli.render.terminal import colour, figures_table, printable
from eventbus.errors import InvalidEvent
from eventbus.event import Event
from eventbus.record import ConsumerRecord

NEWEST = 12
"""Events kept for the panel; a low terminal shows fewer."""
LINES_PER_SECOND = 20
"""Events printed one by one; what exceeds this is counted in one line."""


@dataclass
class Snapshot:
    """The figures of one moment."""

    uptime: float = 0.0
    statistics: dict[str, Any] = field(default_factory=dict)
    """As `GET /api/event-bus/statistics` answers."""
    per_second: float = 0.0
    """Events stored, over the last seconds."""
    lag: int = 0
    late: int = 0
    dropped: int = 0
    dead: int = 0
    last_error: str | None = None


class Display(Protocol):
    """Where events and figures go."""

    def events(self, records: Iterable[ConsumerRecord]) -> None: ...
    def show(self, snapshot: Snapshot) -> None: ...


class LivePanel:
    """Figures above, newest events below; redrawn in place."""

    def __init__(self, live: Live, title: str, notes: list[str]) -> None:
        self._live = live
        self._title = title
        self._notes = notes
        self._newest: deque[ConsumerRecord] = deque(maxlen=NEWEST)

    def events(self, records: Iterable[ConsumerRecord]) -> None:
        self._newest.extend(records)

    def show(self, snapshot: Snapshot) -> None:
        figures = Group(
            Text(f"{self._title} · up {clock(snapshot.uptime)}", style="bold"),
            *(Text(note, style="dim") for note in self._notes),
            Text(),
            totals(snapshot),
            Text(),
            chain_table(snapshot.statistics),
            Text(),
        )
        self._live.update(Group(figures, *self._fitting(figures)), refresh=True)

    def _fitting(self, figures: Group) -> list[Text]:
        """A line for each of the newest events that there is room for below the figures."""
        console = self._live.console
        room = console.height - len(console.render_lines(figures, pad=False))
        lines = [event_line(event) for event in decoded(self._newest)]
        for line in lines:
            line.truncate(console.width, overflow="ellipsis")
        return lines[-room:] if room > 0 else []


class PlainLines:
    """One line an event, a line of figures every ten seconds; fit for a log file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._room = LINES_PER_SECOND
        self._unshown = 0
        self._next = 10.0

    def events(self, records: Iterable[ConsumerRecord]) -> None:
        records = list(records)
        for event in decoded(records[: self._room]):
            self._console.print(event_line(event), soft_wrap=True)
        self._unshown += max(0, len(records) - self._room)
        self._room = max(0, self._room - len(records))

    def show(self, snapshot: Snapshot) -> None:
        if self._unshown:
            self._console.print(f"… and {self._unshown:,} more events")
        self._room, self._unshown = LINES_PER_SECOND, 0
        if snapshot.uptime >= self._next:
            self._next = snapshot.uptime + 10
            self._console.print(totals(snapshot), soft_wrap=True)


@contextmanager
def display(console: Console, title: str, notes: list[str], *, live: bool) -> Iterator[Display]:
    """The display that fits the console."""
    if not live:
        for line in (title, *notes):
            console.print(line, soft_wrap=True)
        yield PlainLines(console)
        return
    with Live(console=console, auto_refresh=False) as panel:
        yield LivePanel(panel, title, notes)


def totals(snapshot: Snapshot) -> Text:
    events = snapshot.statistics.get("events", {})
    chains = snapshot.statistics.get("chains", {})
    text = Text.assemble(
        ("events ", "dim"),
        (f"{events.get('total', 0):,}", "bold"),
        (f"  {snapshot.per_second:,.{0 if snapshot.per_second >= 10 else 1}f}/s", "cyan"),
        ("   chains ", "dim"),
        (f"{chains.get('total', 0):,}", "bold"),
        ("   in flight ", "dim"),
        (f"{chains.get('in_flight', 0):,}", "yellow"),
        ("   completed ", "dim"),
        (f"{chains.get('completed', 0):,}", "green"),
        ("   failed ", "dim"),
        (f"{chains.get('failed', 0):,}", "red"),
        ("   lag ", "dim"),
        f"{snapshot.lag:,}",
    )
    for name, count in (("late", snapshot.late), ("dropped", snapshot.dropped), ("dead letters", snapshot.dead)):
        if count:
            text.append(f"   {name} ", "dim").append(f"{count:,}", "red")
    if snapshot.last_error:
        text.append(f"   last error: {printable(snapshot.last_error)}", "red")
    return text


def chain_table(statistics: dict[str, Any]) -> RenderableType:
    table = figures_table("chain", "total", "completed", "failed", "p50 ms", "p95 ms", "p99 ms")
    for name, chain in sorted(statistics.get("chains", {}).get("by_chain", {}).items()):
        table.add_row(
            name,
            f"{chain['total']:,}",
            f"{chain['completed']:,}",
            Text(f"{chain['failed']:,}", style="red" if chain["failed"] else "dim"),
            *("–" if chain[p] is None else f"{chain[p]:,.0f}" for p in ("p50_ms", "p95_ms", "p99_ms")),
        )
    return table


def decoded(records: Iterable[ConsumerRecord]) -> Iterator[Event]:
    """The events in the records; poison is for the dead letters, not for the eye."""
    for record in records:
        try:
            yield record.event
        except InvalidEvent:
            continue


def event_line(event: Event) -> Text:
    duration = printable(str(event.payload.get("duration_ms", "")))
    return Text.assemble(
        (f"{event.timestamp:%H:%M:%S}.{event.timestamp.microsecond // 1000:03d}  ", "dim"),
        (f"{event.event_type:<48} ", colour(event.event_type)),
        (event.correlation_id, "dim"),
        (f"  {duration} ms" if duration else "", "bold"),
    )


def clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{seconds:02d}"
