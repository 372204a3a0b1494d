"""The ledger of a run: what it says about the run, and the work of writing it."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import datetime
from typing import cast

import pytest

from eventbus.bus import EventBus
from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.faults.ledger import MIN_FLUSH, EventColumns
from eventbus.chains.randomness import Integers
from eventbus.event import microseconds
from tests.unit.chains.clocks import ManualClock
from tests.unit.chains.listbus import ListBus


class TickingClock(ManualClock):
    """A clock on which time passes between any two readings, as on a real one."""

    def time_us(self) -> int:
        self.advance(0.001)
        return self.now


def test_the_ledger_of_a_paced_run_has_the_start_of_that_run() -> None:
    """Without `start`, a run begins now: the ledger has the very moment, from which the same events can be made."""
    generator, clock, ledger = ChainGenerator(seed=7), TickingClock(), io.BytesIO()
    bus = ListBus(clock)
    asyncio.run(generator.run(cast(EventBus, bus), clock=clock, rate=20, initial_chains=0, duration=2, ledger=ledger))
    start = datetime.fromisoformat(json.loads(ledger.getvalue().splitlines()[0])["start"])
    assert microseconds(start) == generator.statistics().start
    repeated = list(ChainGenerator(seed=7, start=start, rate=20).events(duration=2))
    assert len(repeated) > 50
    assert bus.events == repeated


def rows_sorted(sessions: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """How many rows the ledger sorts for each event while this many sessions are in flight."""
    sorted_rows, order = [0], EventColumns.order

    def counted(events: EventColumns) -> Integers:
        sorted_rows[0] += events.chain.size
        return order(events)

    monkeypatch.setattr(EventColumns, "order", counted)
    generator = ChainGenerator(Catalog.default().only("visitor-session"), seed=1, rate=sessions / 100)
    injector = generator.injector(ledger=io.BytesIO())
    events = sum(len(block) for block in injector.blocks(generator.blocks(duration=200)))
    assert events > 5 * MIN_FLUSH
    return sorted_rows[0] / events


def test_the_ledger_sorts_as_many_rows_for_an_event_however_many_chains_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sorting all open events again and again would cost an event more, the more sessions there are at a time."""
    work = {sessions: rows_sorted(sessions, monkeypatch) for sessions in (1_000, 10_000, 40_000)}
    assert max(work.values()) < 2.5, work
