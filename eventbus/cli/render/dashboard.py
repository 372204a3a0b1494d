"""What `mock` and `serve` show while they run: a panel on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from eventbus.cli.render.tables import ChainRow, chain_table
from eventbus.cli.render.terminal import BAD, GOOD, clock, colour, printable
from eventbus.errors import InvalidEvent
from eventbus.event import Event
from eventbus.record import ConsumerRecord

NEWEST = 12
"""Events that the panel shows if they fit on the terminal."""
LINES_PER_SECOND = 20
"""Events printed between two updates; those beyond it are counted in one line."""
FIGURES_EVERY = 10.0
"""Seconds between two plain lines of figures."""


@dataclass
class DashboardData:
    """The figures of one moment."""

    uptime: float = 0.0
    """Seconds."""
    statistics: dict[str, Any] = field(default_factory=dict)
    """As in the response of `GET /api/event-bus/statistics`."""
    per_second: float = 0.0
    """Events stored per second, over the last seconds."""
    lag: int = 0
    late: int = 0
    dropped: int = 0
    dead: int = 0
    last_error: str | None = None


class Display(Protocol):
    """Shows events and figures."""

    def events(self, records: Iterable[ConsumerRecord]) -> None: ...
    def show(self, data: DashboardData) -> None: ...
    def note(self, text: str) -> None:
        """Shows a line from now on, or once."""
        ...


class LivePanel:
    """A display redrawn in place: figures above, the newest events below."""

    def __init__(self, live: Live, title: str, notes: list[str]) -> None:
        self._live = live
        self._title = title
        self._notes = notes
        self._newest: deque[ConsumerRecord] = deque(maxlen=NEWEST)

    def events(self, records: Iterable[ConsumerRecord]) -> None:
        self._newest.extend(records)

    def note(self, text: str) -> None:
        self._notes.append(text)

    def show(self, data: DashboardData) -> None:
        figures = Group(
            Text(f"{self._title} · up {clock(data.uptime)}", style="bold"),
            *(Text(note, style="dim") for note in self._notes),
            Text(),
            totals(data),
            Text(),
            chain_table(_chain_rows(data.statistics), "total", "completed", "failed"),
            Text(),
        )
        self._live.update(Group(figures, *self._fitting(figures)), refresh=True)

    def _fitting(self, figures: Group) -> list[Text]:
        """Lines of the newest events, as many as fit below the figures."""
        console = self._live.console
        room = console.height - len(console.render_lines(figures, pad=False))
        lines = [event_line(event) for event in decoded(self._newest)]
        for line in lines:
            line.truncate(console.width, overflow="ellipsis")
        return lines[-room:] if room > 0 else []


class PlainLines:
    """A display fit for a log file: a line for each event, and regularly one of figures."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._room = LINES_PER_SECOND
        self._unshown = 0
        self._next = FIGURES_EVERY

    def events(self, records: Iterable[ConsumerRecord]) -> None:
        records = list(records)
        for event in decoded(records[: self._room]):
            self._console.print(event_line(event), soft_wrap=True)
        self._unshown += max(0, len(records) - self._room)
        self._room = max(0, self._room - len(records))

    def note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def show(self, data: DashboardData) -> None:
        if self._unshown:
            self._console.print(f"… and {self._unshown:,} more events")
        self._room, self._unshown = LINES_PER_SECOND, 0
        if data.uptime >= self._next:
            self._next = data.uptime + FIGURES_EVERY
            self._console.print(totals(data), soft_wrap=True)


@contextmanager
def display(console: Console, title: str, notes: list[str], *, live: bool) -> Iterator[Display]:
    """A display on the console.

    Args:
        notes: lines below the title.
        live: redraws in place instead of printing lines.
    """
    if not live:
        for line in (title, *notes):
            console.print(line, soft_wrap=True)
        yield PlainLines(console)
        return
    with Live(console=console, auto_refresh=False) as panel:
        yield LivePanel(panel, title, notes)


def totals(data: DashboardData) -> Text:
    """One line of totals, with errors only if there are any."""
    events = data.statistics.get("events", {})
    chains = data.statistics.get("chains", {})
    text = Text.assemble(
        ("events ", "dim"),
        (f"{events.get('total', 0):,}", "bold"),
        (f"  {data.per_second:,.{0 if data.per_second >= 10 else 1}f}/s", "cyan"),
        ("   chains ", "dim"),
        (f"{chains.get('total', 0):,}", "bold"),
        ("   in flight ", "dim"),
        (f"{chains.get('in_flight', 0):,}", "yellow"),
        ("   completed ", "dim"),
        (f"{chains.get('completed', 0):,}", GOOD),
        ("   failed ", "dim"),
        (f"{chains.get('failed', 0):,}", BAD),
        ("   lag ", "dim"),
        f"{data.lag:,}",
    )
    for name, count in (("late", data.late), ("dropped", data.dropped), ("dead letters", data.dead)):
        if count:
            text.append(f"   {name} ", "dim").append(f"{count:,}", BAD)
    if data.last_error:
        text.append(f"   last error: {printable(data.last_error)}", BAD)
    return text


def _chain_rows(statistics: dict[str, Any]) -> list[ChainRow]:
    chains = statistics.get("chains", {}).get("by_chain", {})
    return [ChainRow.stored(name, chain) for name, chain in sorted(chains.items())]


def decoded(records: Iterable[ConsumerRecord]) -> Iterator[Event]:
    """The events in the records; values that are no events are left out."""
    for record in records:
        try:
            yield record.event
        except InvalidEvent:
            continue


def event_line(event: Event) -> Text:
    """Time, type, chain, and the duration if the payload has one."""
    duration = printable(str(event.payload.get("duration_ms", "")))
    return Text.assemble(
        (f"{event.timestamp:%H:%M:%S}.{event.timestamp.microsecond // 1000:03d}  ", "dim"),
        (f"{event.event_type:<48} ", colour(event.event_type)),
        (event.correlation_id, "dim"),
        (f"  {duration} ms" if duration else "", "bold"),
    )
