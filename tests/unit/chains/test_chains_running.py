"""Runs in the background of a block: stopped from code, with their figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import pytest

from eventbus import InProcessBus
from eventbus.bus import EventBus
from eventbus.chains import ChainGenerator, InvalidSetting, PacedRun
from tests.unit.chains.catalogs import two_steps
from tests.unit.chains.clocks import ManualClock
from tests.unit.chains.listbus import ListBus


class Batches:
    """Calls something at the n-th batch of a bus, and tells when that was."""

    def __init__(self, number: int, then: Callable[[], object] = lambda: None) -> None:
        self.number, self.then = number, then
        self.reached = asyncio.Event()

    def __call__(self) -> None:
        self.number -= 1
        if self.number == 0:
            self.reached.set()
            self.then()


def running(generator: ChainGenerator, bus: ListBus, **settings: Any) -> AbstractAsyncContextManager[PacedRun]:
    return generator.running(cast(EventBus, bus), clock=bus.clock, **settings)


async def finished(run: PacedRun, *, chains: int) -> None:
    """Returns when so many chains have ended."""
    for _ in range(1000):
        if run.statistics().chains_finished == chains:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"expected {chains} chains, got {run.statistics()}")


async def test_leaving_the_block_stops_an_endless_run() -> None:
    """Everything that was published is counted, and nothing comes after the block."""
    bus, generator = ListBus(ManualClock()), ChainGenerator(two_steps(), seed=3, rate=20)
    bus.on_publish = thirty = Batches(30)
    async with running(generator, bus) as run:
        await thirty.reached.wait()
        assert 0 < run.statistics().emitted <= len(bus.records)
    published = len(bus.records)
    assert published >= 30
    assert run.statistics().emitted == published
    assert run.statistics() == generator.statistics()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(bus.records) == published


async def test_a_run_can_be_stopped_before_the_block_ends() -> None:
    """No chain begins after `stop`, and the block goes on with the final figures."""
    bus, generator = ListBus(ManualClock()), ChainGenerator(two_steps(), seed=3, rate=20)
    async with running(generator, bus) as run:
        bus.on_publish = Batches(30, run.stop)
        await bus.on_publish.reached.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        published, final = len(bus.records), run.statistics()
        assert final.emitted == published > 0
        for _ in range(20):
            await asyncio.sleep(0)
    assert (len(bus.records), run.statistics()) == (published, final)


async def test_a_stop_by_the_systems_clock_takes_no_time() -> None:
    """A run that sleeps for a quarter of an hour until its next event is woken."""
    generator = ChainGenerator(two_steps())
    async with InProcessBus() as bus:
        await bus.create_topics({"test.thing": 1})
        async with asyncio.timeout(5):
            async with generator.running(bus, initial_chains=0, interval=900) as run:
                run.stop()
        assert run.statistics().emitted == 0


async def test_a_run_that_is_over_needs_no_stop() -> None:
    """The figures of the end stay."""
    bus, generator = ListBus(ManualClock()), ChainGenerator(two_steps(), seed=3)
    async with running(generator, bus, initial_chains=5, duration=3) as run:
        await finished(run, chains=5)
    assert (run.statistics().chains, run.statistics().emitted, len(bus.records)) == (5, 10, 10)


async def test_an_error_of_the_bus_is_raised_when_the_block_is_left() -> None:
    """The block runs to its end first."""

    def fail() -> None:
        raise ConnectionError("the broker is gone")

    bus, reached = ListBus(ManualClock()), False
    bus.on_publish = failing = Batches(5, fail)

    async def block() -> None:
        nonlocal reached
        async with running(ChainGenerator(two_steps(), rate=20), bus):
            await failing.reached.wait()
            await asyncio.sleep(0)
            reached = True

    with pytest.raises(ConnectionError, match="the broker is gone"):
        await block()
    assert reached


async def test_an_error_of_the_block_ends_the_run_and_is_raised() -> None:
    """Nothing is published afterwards, and a later error of the bus does not hide it."""
    bus = ListBus(ManualClock())
    bus.on_publish = thirty = Batches(30)

    async def block() -> None:
        async with running(ChainGenerator(two_steps(), rate=20), bus):
            await thirty.reached.wait()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await block()
    published = len(bus.records)
    await asyncio.sleep(0)
    assert len(bus.records) == published


async def test_a_block_that_is_cancelled_cancels_the_run() -> None:
    """As `run` itself would be."""
    bus = ListBus(ManualClock())
    bus.on_publish = thirty = Batches(30)

    async def block() -> None:
        async with running(ChainGenerator(two_steps(), rate=20), bus):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await thirty.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    published = len(bus.records)
    await asyncio.sleep(0)
    assert len(bus.records) == published


async def test_bad_settings_are_refused_before_the_block() -> None:
    """The block does not begin."""
    bus = ListBus(ManualClock())
    with pytest.raises(InvalidSetting, match="expected a speed above 0"):
        async with running(ChainGenerator(two_steps()), bus, speed=0):
            pytest.fail("the block has begun")
    assert not bus.records


async def test_each_run_keeps_its_own_figures() -> None:
    """A second run of the generator does not change those of the first."""
    bus, generator = ListBus(ManualClock()), ChainGenerator(two_steps(), seed=3)
    async with running(generator, bus, initial_chains=5, duration=3) as first:
        await finished(first, chains=5)
    before = first.statistics()
    async with running(generator, bus, initial_chains=7, duration=3) as second:
        await finished(second, chains=7)
    assert first.statistics() == before
    assert second.statistics().chains == 7
