"""What `mock` and `serve` show of events and figures, on a terminal and elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console
from rich.live import Live

from eventbus.cli.render.dashboard import LINES_PER_SECOND, NEWEST, DashboardData, LivePanel, display
from eventbus.event import Event
from eventbus.record import ConsumerRecord

HOSTILE = "\x1b]0;x\x07\x9b2J [/red] :boom:"


def record_of(value: bytes | None) -> ConsumerRecord:
    return ConsumerRecord("omninode.agent", 0, 0, 0, None, value, ())


def failed(duration_ms: object) -> ConsumerRecord:
    return record_of(Event.new("omninode.agent.execution.failed.v1", {"duration_ms": duration_ms}).to_bytes())


def failed_at(second: int) -> ConsumerRecord:
    event = failed(1).event
    return record_of(replace(event, timestamp=datetime(2026, 1, 1, 12, 0, second, tzinfo=UTC)).to_bytes())


def shown(*records: ConsumerRecord, live: bool, data: DashboardData) -> str:
    """What is written to a terminal (live) or a file, without colours."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=live, color_system=None, markup=False, emoji=False, width=120, height=40)
    with display(console, "title", ["a note"], live=live) as view:
        view.events(records)
        view.show(data)
    return out.getvalue()


@pytest.mark.parametrize("live", [True, False], ids=["panel", "lines"])
def test_events_and_figures_are_shown(live: bool) -> None:
    """Title, notes, newest events and totals; what is no event is left out."""
    figures = DashboardData(uptime=12.0, lag=7, dead=3, statistics={"events": {"total": 1234}})
    text = shown(failed(250), record_of(b"poison"), record_of(None), live=live, data=figures)
    for part in ("title", "a note", "omninode.agent.execution.failed.v1", "250 ms", "1,234", "lag 7", "dead letters 3"):
        assert part in text
    assert "poison" not in text


@pytest.mark.parametrize("live", [True, False], ids=["panel", "lines"])
def test_terminal_codes_in_a_payload_are_not_obeyed(live: bool) -> None:
    """What came in an event, or in an error about one, cannot write to the terminal what it likes."""
    text = shown(failed(HOSTILE), live=live, data=DashboardData(uptime=12.0, last_error=HOSTILE))
    assert text.count("�]0;x��2J [/red] :boom:") == 2
    assert "\x1b]" not in text
    assert "\x9b" not in text


def test_more_lines_than_anyone_reads_are_counted() -> None:
    """Beyond so many events between two looks, plain lines only say how many there were."""
    text = shown(*[failed(1)] * (LINES_PER_SECOND + 1234), live=False, data=DashboardData())
    assert text.count("execution.failed") == LINES_PER_SECOND
    assert "… and 1,234 more events" in text


@pytest.mark.parametrize("height", [10, 14, 24, 60])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_panel_fits_its_terminal_and_ends_with_the_newest_event(width: int, height: int) -> None:
    """An event takes one line, and those without room are the oldest."""
    newest = [failed_at(second) for second in range(NEWEST)]
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height)
    with Live(console=console, auto_refresh=False) as live:
        panel = LivePanel(live, "title", ["a note"])
        panel.show(DashboardData())
        figures = len(console.render_lines(live.get_renderable()))
        panel.events(newest)
        panel.show(DashboardData())
        lines = ["".join(part.text for part in line) for line in console.render_lines(live.get_renderable())]
    room = min(height - figures, NEWEST)
    assert room > 0
    assert [line[:8] for line in lines[figures:]] == [f"12:00:{second:02d}" for second in range(NEWEST)][-room:]


def test_a_slow_rate_is_not_shown_as_none() -> None:
    """Less than one event a second is told from none at all."""
    assert " 0.4/s" in shown(live=False, data=DashboardData(uptime=12.0, per_second=0.4))
    assert " 1,235/s" in shown(live=False, data=DashboardData(uptime=12.0, per_second=1234.6))
