"""Several sinks at once: each gets everything, or what it missed is counted; none holds up another unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.bus import EventBus
from eventbus.catalog import Catalog
from eventbus.chains import ChainGenerator
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks import FanOut, SinkStatistics
from eventbus.chains.sinks.fanout import WhenFull
from eventbus.chains.sinks.sink import CountingSink
from eventbus.record import ProducerRecord
from tests.sinks.conftest import records
from tests.unit.chains.clocks import ManualClock


class ListSink(CountingSink):
    """Keeps what it is given, once it is let."""

    def __init__(self, name: str, *, ready: bool = True, usable: bool = True) -> None:
        super().__init__(name)
        self.kept: list[ProducerRecord] = []
        self.closed = False
        self.ready = asyncio.Event()
        self.usable = usable
        if ready:
            self.ready.set()

    async def open(self) -> None:
        if not self.usable:
            raise SinkUnusable("not this one")

    async def write(self, given: Sequence[ProducerRecord]) -> None:
        self._counts.accepted += len(given)
        try:
            await self.ready.wait()
        except asyncio.CancelledError:
            self._counts.failed += len(given)
            raise
        self.kept += given
        self._counts.written += len(given)

    async def close(self) -> None:
        self.closed = True


async def test_every_sink_gets_everything() -> None:
    """All sinks have all records of a generator's run, in order."""
    sinks = [ListSink("a"), ListSink("b")]
    fan = FanOut.to(*sinks)
    await fan.open()
    generator = ChainGenerator(Catalog.default(), seed=3)
    run = await generator.run(cast(EventBus, fan), initial_chains=100, duration=0, clock=ManualClock())
    await fan.flush()
    await fan.close()
    assert run.emitted == len(sinks[0].kept)
    assert sinks[0].kept == sinks[1].kept
    assert fan.statistics()["a"] == SinkStatistics(accepted=run.emitted, written=run.emitted)


async def test_a_slow_sink_goes_without() -> None:
    """With `drop`, a full queue costs its own sink records, which are counted; the others have them all."""
    quick, slow = ListSink("quick"), ListSink("slow", ready=False)
    fan = FanOut.to(quick, slow, when_full="drop", capacity=10)
    await fan.open()
    sent = records(20)
    for first in range(0, len(sent), 5):
        await fan.publish_many(sent[first : first + 5])
        await asyncio.sleep(0)
    slow.ready.set()
    await fan.flush()
    await fan.close()
    assert quick.kept == sent
    figures = fan.statistics()["slow"]
    assert figures.dropped > 0
    assert figures.accepted + figures.dropped == len(sent)
    assert figures.written == figures.accepted == len(slow.kept)


async def test_a_slow_sink_is_waited_for() -> None:
    """With `wait`, nothing is dropped, the others get theirs at once, and the account says how long was waited."""
    clock = ManualClock()
    quick, slow = ListSink("quick"), ListSink("slow", ready=False)
    fan = FanOut.to(quick, slow, when_full="wait", capacity=10, clock=clock)
    await fan.open()
    sent = records(20)
    publishing = [
        asyncio.ensure_future(fan.publish_many(sent[:10])),
        asyncio.ensure_future(fan.publish_many(sent[10:20])),
    ]
    publishing.append(asyncio.ensure_future(fan.publish_many(sent[20:30])))
    for _ in range(20):
        await asyncio.sleep(0)
    assert quick.kept == sent[:30]
    assert not all(one.done() for one in publishing)
    clock.advance(2.5)
    slow.ready.set()
    await asyncio.gather(*publishing)
    await fan.flush()
    await fan.close()
    assert sorted(slow.kept) == sorted(sent[:30])
    assert fan.statistics()["slow"].dropped == 0
    assert fan.statistics()["slow"].waited_seconds >= 2.5
    assert fan.statistics()["quick"].waited_seconds == 0


@pytest.mark.parametrize("when_full", ["wait", "drop"])
async def test_an_end_accounts_for_everything(when_full: WhenFull) -> None:
    """Closed while a sink hangs and a publisher waits, what was offered is accepted or dropped, none pending."""
    hanging = ListSink("hanging", ready=False)
    fan = FanOut.to(hanging, when_full=when_full, capacity=10)
    await fan.open()
    sent = records(20)
    await fan.publish_many(sent[:5])
    await asyncio.sleep(0)
    publishing = asyncio.ensure_future(fan.publish_many(sent[5:]))
    for _ in range(5):
        await asyncio.sleep(0)
    publishing.cancel()
    await asyncio.wait([publishing])
    await fan.close()
    figures = fan.statistics()["hanging"]
    assert figures.accepted + figures.dropped == len(sent)
    assert (figures.written, figures.pending, figures.failed) == (0, 0, figures.accepted)
    assert hanging.closed


async def test_a_publisher_that_is_stopped_leaves_nothing_behind() -> None:
    """Cancelled at any moment, also before the waiting has begun, all that was offered is written."""
    for steps in range(6):
        slow = ListSink("slow", ready=False)
        fan = FanOut.to(slow, capacity=10)
        await fan.open()
        sent = records(20)
        publishing = asyncio.ensure_future(fan.publish_many(sent))
        for _ in range(steps + 1):
            await asyncio.sleep(0)
        publishing.cancel()
        await asyncio.wait([publishing])
        slow.ready.set()
        await fan.flush()
        assert slow.kept == sent
        figures = fan.statistics()["slow"]
        assert (figures.accepted, figures.written, figures.dropped) == (len(sent), len(sent), 0)
        await fan.close()


async def test_a_sink_that_cannot_be_opened_closes_the_others() -> None:
    """Nothing begins when one of the sinks is unusable."""
    first = ListSink("first")
    with pytest.raises(SinkUnusable, match="not this one"):
        await FanOut.to(first, ListSink("second", usable=False)).open()
    assert first.closed


@pytest.mark.parametrize("when_full", ["wait", "drop"])
async def test_a_sink_that_breaks_its_word_is_heard_of(when_full: WhenFull) -> None:
    """A sink that raises, which none should, ends the stream with its error instead of stopping it silently."""

    class Broken(ListSink):
        async def write(self, given: Sequence[ProducerRecord]) -> None:
            raise ZeroDivisionError

    fan = FanOut.to(Broken("broken"), when_full=when_full, capacity=5)
    await fan.open()
    sent = records(20)
    await fan.publish_many(sent[:3])
    await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        await fan.publish_many(sent[3:])
    with pytest.raises(ZeroDivisionError):
        await fan.flush()
    await fan.close()


async def test_events_are_taken_as_well() -> None:
    """What a bus takes, the sinks take: events as objects become records with their domain as topic."""
    sink = ListSink("one")
    fan = FanOut.to(sink)
    await fan.open()
    events = list(ChainGenerator(seed=7).events(chains=3))
    await fan.publish_many(events)
    await fan.flush()
    await fan.close()
    assert [record.value for record in sink.kept] == [event.to_bytes() for event in events]
    assert {record.topic for record in sink.kept} == {".".join(event.event_type.split(".")[:2]) for event in events}


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 40), st.sampled_from(["wait", "drop"]))
async def test_records_are_conserved(sizes: list[int], capacity: int, when_full: WhenFull) -> None:
    """Whatever comes in whatever batches, offered = written + dropped, and the order stays."""
    sink = ListSink("one")
    fan = FanOut.to(sink, when_full=when_full, capacity=capacity)
    await fan.open()
    sent = [ProducerRecord("t", None, b"%d" % number, number) for number in range(sum(sizes))]
    begin = 0
    for size in sizes:
        await fan.publish_many(sent[begin : begin + size])
        begin += size
    await fan.flush()
    await fan.close()
    figures = fan.statistics()["one"]
    assert figures.written + figures.dropped == len(sent)
    assert figures.dropped == 0 or when_full == "drop"
    assert [record.timestamp for record in sink.kept] == sorted(record.timestamp for record in sink.kept)
