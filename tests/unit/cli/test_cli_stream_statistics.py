"""What a running stream says about itself: the exact text, from counts and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from eventbus.chains import ChainGenerator, RunStatistics
from eventbus.chains.pacing.observers import PublishedBatch
from eventbus.cli.render.account import Delivery, StreamAccount
from eventbus.cli.render.stream import (
    BEGINNING,
    ChainGroup,
    EventLines,
    StreamStatistics,
    chain_groups,
    payload_excerpt,
    rate,
    rates,
    short_type,
    statistics_lines,
    stream_panel,
    type_lines,
)
from eventbus.cli.render.tables import aligned, summary_document, summary_text
from eventbus.cli.streaming import ChainSample, StreamMonitor, print_statistics_lines
from eventbus.record import ProducerRecord
from tests.unit.chains.catalogs import two_steps
from tests.unit.chains.clocks import ManualClock

THIRTY = StreamStatistics(
    elapsed=30.0,
    events=3000,
    types={"a.b.c.v1": 2000, "a.b.d.v1": 1000},
    groups={"chains": ChainGroup(begun=1200, active=12, outcomes={"failed": 38, "completed": 1150})},
    lag_p99_ms=2.6,
    expected_chains=1230.0,
    expected_events=3060.0,
)


def test_the_lines_of_one_moment() -> None:
    """Elapsed, total, what is active and what has ended, errors, rates against targets, and shares by type."""
    assert list(statistics_lines(THIRTY, BEGINNING)) == [
        "0:00:30  3,000 events; chains 1,200 begun, 12 active, 1,150 completed, 38 failed; 0 errors; lag p99 3 ms",
        "         100 events/s of 102, 40 chains/s of 41; since the beginning 100 events/s of 102, 40 chains/s of 41",
        "          66.7 %        2,000  a.b.c.v1",
        "          33.3 %        1,000  a.b.d.v1",
    ]


def test_trouble_is_named_only_when_there_is_some() -> None:
    """Late and dropped events, and errors of sinks."""
    figures = StreamStatistics(elapsed=3723.4, events=5, late=2, dropped=1, errors=7)
    assert next(statistics_lines(figures, BEGINNING)) == (
        "1:02:03  5 events; no chain yet; 7 errors, 2 late, 1 dropped; lag p99 0 ms"
    )


def test_rates_are_of_the_interval() -> None:
    """Between two moments only what happened between them counts."""
    later = StreamStatistics(
        elapsed=40.0,
        events=3100,
        groups={"sessions": ChainGroup(begun=1210)},
        expected_chains=1240.0,
        expected_events=3085.0,
    )
    assert rates(later, THIRTY) == "10 events/s of 2.5, 1 sessions/s of 1"
    assert rates(later, later) == "waiting for what is under way"


def test_events_are_expected_when_chains_have_them() -> None:
    """Of chains under way, only events that are due count: here one at the beginning, and one 0.1 s later."""
    sample = ChainSample(ChainGenerator(two_steps(), seed=3))
    assert sample.events_per_chain == 2

    def ten_a_second(since: int, until: int) -> float:
        return (until - since) / 100_000

    second = 1_000_000
    assert sample.events(ten_a_second, 0, second, second) == pytest.approx(19)
    assert sample.events(ten_a_second, 0, second, second + 50_000) == pytest.approx(19.5)  # none begin any more
    assert sample.events(ten_a_second, 0, second, 9 * second) == pytest.approx(20)
    assert sample.events(ten_a_second, 0, 0, 0) == 0


def test_without_a_target_there_is_none() -> None:
    """An unpaced run has rates alone."""
    assert rates(StreamStatistics(elapsed=2.0, events=10), BEGINNING) == "5 events/s, 0 chains/h"


@pytest.mark.parametrize(
    ("per_second", "target", "text"),
    [
        (1234.5, None, "1,234 sessions/s"),
        (0.2, 0.25, "12 sessions/min of 15"),
        (0.004, 0.0, "14.4 sessions/h of 0"),
        (0.0, 20.0, "0 sessions/s of 20"),
    ],
)
def test_rates_have_a_readable_unit(per_second: float, target: float | None, text: str) -> None:
    """Seconds, minutes or hours: the shortest in which the larger number is at least 1."""
    assert rate(per_second, "sessions", target) == text


@given(counts=st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_the_breakdown_is_complete(counts: list[int]) -> None:
    """However many types there are, the lines are few and their counts add up."""
    types = {f"type-{number}": count for number, count in enumerate(sorted(counts, reverse=True))}
    lines = list(type_lines(types))
    assert len(lines) <= 9
    assert sum(int(line.split("%")[1].split()[0].replace(",", "")) for line in lines) == sum(counts)


def test_tables_are_aligned() -> None:
    """Names to the left, figures to the right."""
    assert list(aligned([("name", "n"), ("a", "1,000"), ("longer", "2")])) == [
        "name        n",
        "a       1,000",
        "longer      2",
    ]


def test_the_summary_has_every_chain_and_type() -> None:
    """Two tables, and the same for machines."""
    generator = ChainGenerator(two_steps(), seed=1)
    census = generator.summary()
    for block in generator.blocks(chains=4):
        census.add(block.table)
    assert summary_text(census).splitlines() == [
        "chain  begun  completed  active  p50 ms  p95 ms  p99 ms",
        "talk       4          4       0     100     100     100",
        "",
        "event type              events   share",
        "test.thing.asked.v1          4  50.0 %",
        "test.thing.answered.v1       4  50.0 %",
    ]
    assert summary_document(census) == {
        "types": {"test.thing.asked.v1": 4, "test.thing.answered.v1": 4},
        "by_chain": {"talk": {"begun": 4, "active": 0, "completed": 4}},
    }
    assert chain_groups(census) == {"chains": ChainGroup(begun=4, outcomes={"completed": 4})}


def test_a_run_without_events_has_no_tables() -> None:
    """Headings over nothing would be no answer."""
    assert summary_text(ChainGenerator(two_steps()).summary()) == "no events"


class NoDelivery:
    """The delivery of a stream without events."""

    errors = 0

    def line(self) -> str:
        return "a sink"


class FakeMonitor:
    """A monitor whose statistics follow from the time alone."""

    class options:  # noqa: N801  # its name in a monitor
        stats_interval = 30.0

    def statistics(self, run: RunStatistics, errors: int) -> StreamStatistics:
        return StreamStatistics(elapsed=run.elapsed, events=round(run.elapsed) * 10, errors=errors)


async def test_lines_come_every_interval() -> None:
    """Statistics are written every 30 seconds of the clock, with the rates since the time before."""
    clock = ManualClock()
    began = clock.now
    texts: list[str] = []

    def write(text: str) -> None:
        texts.append(text)
        if len(texts) == 3:
            raise asyncio.CancelledError

    def account() -> StreamAccount:
        run = RunStatistics(elapsed=(clock.now - began) / 1e6)
        return StreamAccount(run=run, delivery=cast(Delivery, NoDelivery()), seed=1)

    with suppress(asyncio.CancelledError):
        await print_statistics_lines(cast(StreamMonitor, FakeMonitor()), account, clock, write)
    assert [text.split("  ")[0] for text in texts] == ["0:00:30", "0:01:00", "0:01:30"]
    assert texts[2].splitlines()[1:] == [
        "         10 events/s, 0 chains/h; since the beginning 10 events/s, 0 chains/h",
        "         a sink",
    ]


def test_the_panel_fits_the_terminal() -> None:
    """A low terminal shows the most frequent types, and how many it leaves out."""
    generator = ChainGenerator(seed=3)
    census = generator.summary()
    for block in generator.blocks(chains=300):
        census.add(block.table)
    console = Console(width=120, height=24, force_terminal=True, color_system=None)
    figures = StreamStatistics.of(
        census, RunStatistics(elapsed=10.0), errors=0, expected_chains=300.0, expected_events=720.0
    )
    with console.capture() as shown:
        console.print(
            stream_panel(console, figures, BEGINNING, census.chains(), title="stream", below="bus: 7 written")
        )
    text = shown.get()
    assert len(text.splitlines()) <= 24
    assert "stream · 0:00:10" in text
    assert "chains 300" in text
    assert "other types" in text
    assert "bus: 7 written" in text


def test_every_event_has_a_line() -> None:
    """Time, type, the beginning of the chain's id, what it is about, and how late it was."""
    generator = ChainGenerator(two_steps(), seed=1, start=datetime(2026, 1, 1, 9, tzinfo=UTC))
    census = generator.summary()
    texts: list[str] = []
    verbose = EventLines(census.event_types, texts.append)
    block = next(iter(generator.blocks(chains=1)))
    at = int(block.table.time[0]) // 1000
    records = [ProducerRecord("t", b"019b76da-c7e6-7cb0", value, at) for value in next(block.lines())]
    verbose.published(PublishedBatch(records, block.emitters, block.table, np.array([1500, 0]), 0))
    verbose.published(PublishedBatch(records[:1], block.emitters[:1], block.table[:1], np.empty(0, np.int64), 0))
    first, second, unpaced = "".join(texts).splitlines()
    assert first.startswith("09:00:00.")
    assert first[12:] == "  test.thing.asked.v1                   019b76da-c7e6-7cb0    +2 ms"
    assert second.endswith("  +0 ms")
    assert unpaced == first.removesuffix("  +2 ms")


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ('{"path": "/pricing", "user_id": "u"}', "/pricing"),
        ('{"a": 1, "b": [2], "c": "x", "d": 4.5, "e": 5}', "a=1  c=x  d=4.5"),
        ('{"path": "\\u001b[2J"}', "�[2J"),
        ("{}", ""),
    ],
)
def test_details_are_short_and_harmless(payload: str, shown: str) -> None:
    """The page, or the first plain fields; a terminal obeys nothing in them."""
    event = next(iter(ChainGenerator(two_steps()).events(chains=1)))
    value = event.to_bytes().decode().replace('"payload":{}', f'"payload":{payload}').encode()
    assert payload_excerpt(value) == shown


def test_what_is_no_event_has_no_details() -> None:
    """A tombstone, or another format."""
    assert payload_excerpt(None) == payload_excerpt(b"\x00\x01") == ""


def test_types_are_shortened() -> None:
    """What all events have in common is left out."""
    assert short_type("omninode.visitor.page.visited.v1") == "visitor.page.visited"
    assert short_type("acme.order.placed.v1") == "acme.order.placed.v1"
