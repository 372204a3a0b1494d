"""Faults and the ledger of a paced run."""

from __future__ import annotations

import asyncio
import io
import json
import math
from typing import Any, cast

import pytest

from eventbus.bus import EventBus
from eventbus.chains import ChainGenerator, InvalidSetting
from eventbus.chains.faults import KINDS, Fault
from eventbus.chains.rendering import CLOUDEVENTS
from eventbus.chains.verification import Report, verify
from eventbus.event import Event, event_headers, headers_of, microseconds
from eventbus.record import ProducerRecord
from tests.unit.chains.clocks import ManualClock
from tests.unit.chains.listbus import ListBus

EVERY = [Fault(kind=kind, rate=0.04) for kind in KINDS]
DURATION = 20.0
RATE = 20.0


class Paced:
    """A paced run with faults.

    Args:
        cancel_after: records; None: to the end.
    """

    def __init__(self, *faults: Fault, seed: int = 7, cancel_after: int | None = None, **settings: Any) -> None:
        self.generator = ChainGenerator(seed=seed, rate=RATE)
        self.clock = ManualClock()
        self.bus = ListBus(self.clock)
        book = io.BytesIO()
        wanted = {"initial_chains": 0, "rate": RATE, "duration": DURATION, "start": self.generator.start, **settings}

        async def run() -> None:
            bus = cast(EventBus, self.bus)
            task = asyncio.ensure_future(
                self.generator.run(bus, clock=self.clock, faults=faults, ledger=book, **wanted)
            )

            def watch() -> None:
                if cancel_after is not None and len(self.records) >= cancel_after:
                    task.cancel()

            self.bus.on_publish = watch
            await asyncio.wait([task])

        self.began = self.clock.now
        asyncio.run(run())
        self.ledger = book.getvalue().splitlines()
        self.of_ledger = [json.loads(line) for line in self.ledger]
        self.faults = {one["event_id"]: one for one in self.of_ledger if one["record"] == "fault"}

    @property
    def records(self) -> list[ProducerRecord]:
        return [record for _, record in self.bus.records]

    @property
    def lines(self) -> list[bytes]:
        return [b"null" if record.value is None else record.value for record in self.records]

    @property
    def published_at(self) -> list[int]:
        """Virtual times."""
        return [at - self.began + microseconds(self.generator.start) for at in self.bus.published_at]

    def verified(self) -> Report:
        return verify(self.lines, self.generator.catalog, ledger=self.ledger, significance=1e-9)


def unpaced(*faults: Fault, seed: int = 7) -> tuple[bytes, list[bytes]]:
    """The lines and the ledger of the same run, without pace."""
    generator, book = ChainGenerator(seed=seed, rate=RATE), io.BytesIO()
    blocks = generator.injector(faults, book).blocks(generator.blocks(duration=DURATION))
    return b"".join(block.buffer for block in blocks), book.getvalue().splitlines()


@pytest.mark.parametrize("speed", [1, 2.5, 600, math.inf])
def test_pace_changes_no_byte(speed: float) -> None:
    """The same lines in the same order, and the same ledger, at any speed as without pace; its first line has that."""
    paced = Paced(*EVERY, speed=speed)
    lines, ledger = unpaced(*EVERY)
    assert b"".join(line + b"\n" for line in paced.lines) == lines
    assert paced.ledger[1:] == ledger[1:]


def test_what_is_held_comes_in_its_time() -> None:
    """An event that is late, or comes again, does so by the clock as the ledger says; its own time stays."""
    run = Paced(Fault(kind="late", rate=0.1), Fault(kind="duplicate", rate=0.1))
    seen: set[str] = set()
    for at, record in zip(run.published_at, run.records, strict=True):
        event = Event.from_bytes(record.value or b"")
        fault = run.faults.get(event.event_id, {})
        again = event.event_id in seen
        seen.add(event.event_id)
        wait = fault.get("late_ms", 0) + (fault["after_ms"] if again else 0)
        assert at == microseconds(event.timestamp) + round(wait * 1000)
    assert {fault["fault"] for fault in run.faults.values()} == {"late", "duplicate"}


def test_what_waits_for_others_does_not_wait_for_a_clock() -> None:
    """An event that was reordered comes at the moment of the one that it stands behind."""
    run, clean = Paced(Fault(kind="reorder", rate=0.05)), unpaced()[0].splitlines()
    order = [Event.from_bytes(line).event_id for line in clean]
    times = [microseconds(Event.from_bytes(line).timestamp) for line in clean]
    for at, line in zip(run.published_at, run.lines, strict=True):
        known = Event.from_bytes(line).event_id
        behind = run.faults.get(known, {"places": 0})["places"]
        assert at == times[min(order.index(known) + behind, len(times) - 1)]
    assert run.faults


@pytest.mark.parametrize(
    "kind", ["tombstone", "poison", "corrupt", "truncate", "schema", "wrong-tenant", "clock-skew", "late"]
)
def test_a_struck_record_keeps_its_key(kind: str) -> None:
    """It stays in its chain's partition and topic; headers are those of the value, where that is still an event."""
    run = Paced(Fault(kind=kind, rate=0.3))
    keys = {fault["correlation_id"].encode() for fault in run.faults.values()}
    unchanged = {record.value for record in Paced().records}
    struck = [record for record in run.records if kind == "late" or record.value not in unchanged]
    assert len(struck) >= len(run.faults) > 20
    for record in struck:
        assert record.key in keys or kind == "late"
        assert record.topic.startswith("omninode.")
        headers = headers_of(record.value)
        if not KINDS[kind].is_readable:
            assert headers == ()
            assert (record.value is None) == (kind == "tombstone")
        else:
            event = Event.from_bytes(record.value or b"")
            assert headers == event_headers(event.event_id, event.event_type, event.correlation_id, event.causation_id)
            assert record.timestamp == microseconds(event.timestamp) // 1000


def test_the_account_counts_what_was_published() -> None:
    """Scheduled and emitted are records, with those that came again and without those left out; none is late."""
    run = Paced(*EVERY)
    statistics = run.generator.statistics()
    assert statistics.scheduled == statistics.emitted == len(run.records) == run.of_ledger[-1]["lines"]
    assert (statistics.late, statistics.lag_max_ms) == (0, 0)
    assert statistics.chains == statistics.chains_finished == run.of_ledger[-1]["chains"]


@pytest.mark.parametrize("after", [1, 40, 700])
def test_a_cancelled_run_has_a_whole_ledger(after: int) -> None:
    """It has what was published and no more; what was still held, and chains in flight, are told apart from losses."""
    run = Paced(*EVERY, initial_chains=100, cancel_after=after)
    assert run.of_ledger[-1]["lines"] == len(run.records)
    assert {"unsent"} & {one["record"] for one in run.of_ledger} or after < 100
    report = run.verified()
    (check,) = [check for check in report.checks if check.name == "ledger"]
    assert check.findings == []
    assert report.ledger is not None
    assert all(listed == found for listed, found in report.ledger.values())


def test_a_cancelled_clean_run_passes() -> None:
    """With its ledger: chains in flight at the end are no gaps."""
    run = Paced(initial_chains=50, cancel_after=300)
    report = run.verified()
    assert report.passed
    assert any(one["record"] == "chain" and one["outcome"] is None for one in run.of_ledger)
    assert not verify(run.lines, run.generator.catalog, significance=1e-9).passed


def test_dropped_chains_are_not_in_the_ledger() -> None:
    """It says what was published: chains that were left out for their lag were not."""
    stalls = iter([0.0] * 5 + [30.0] + [0.0] * 100_000)
    generator, clock, book = ChainGenerator(seed=3), ManualClock(), io.BytesIO()
    bus = ListBus(clock, lambda: clock.advance(next(stalls)))

    async def run() -> None:
        await generator.run(
            cast(EventBus, bus), clock=clock, rate=20, duration=60, max_lag=1.0, faults=EVERY, ledger=book
        )

    asyncio.run(run())
    statistics = generator.statistics()
    assert statistics.chains_dropped > 300
    assert statistics.scheduled == statistics.emitted + statistics.dropped
    lines = [b"null" if record.value is None else record.value for _, record in bus.records]
    report = verify(lines, generator.catalog, ledger=book.getvalue().splitlines())
    assert [check.findings for check in report.checks if check.name == "ledger"] == [[]]


async def test_only_json_events_have_faults() -> None:
    """Another format is refused before anything is published."""
    clock = ManualClock()
    bus = ListBus(clock)
    with pytest.raises(InvalidSetting, match="only JSON events"):
        await ChainGenerator().run(cast(EventBus, bus), clock=clock, faults=EVERY, format=CLOUDEVENTS)
    assert not bus.records
