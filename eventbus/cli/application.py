"""The application of `mock` and `serve`: what starts, in which order, and how all of it stops."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from eventbus.api import Server, StatsSources, create_app
from eventbus.bus import EventBus, Subscription
from eventbus.catalog import Catalog, Phase
from eventbus.catalog.model import Arrivals
from eventbus.chains import ChainGenerator
from eventbus.cli.faults import Striking, told
from eventbus.cli.options import topics_of
from eventbus.cli.render.dashboard import Display, Snapshot
from eventbus.inprocess import InProcessBus
from eventbus.processors.errors import StoreError
from eventbus.processors.ingest.pipeline import ProcessorStatistics
from eventbus.processors.postgres import Database
from eventbus.processors.processor import Processor
from eventbus.processors.store import EventStore

REFRESH = 0.5
"""Seconds between two looks at the figures."""
RATE_OVER = 10
"""Seconds that the rate shown is taken over: at the default pace, most seconds have no event."""

VERSION = version("eventbus-mock")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What the user asked for."""

    catalog: Catalog
    host: str
    port: int
    generate: bool
    initial_chains: int | None
    """None: 20, or none where there are `arrivals`."""
    interval: float
    """Seconds between the beginnings of further chains."""
    rate: float | None
    """Further chains per second, instead of `interval`."""
    arrivals: Arrivals | None
    """When chains begin, instead of `interval` and `rate`."""
    phases: tuple[Phase, ...]
    speed: float
    seed: int
    striking: Striking
    process: bool
    database: Database


class Application:
    """The parts that run together in this process. Enter it to start them; leaving stops them in reverse order.

    Args:
        configuration: what the user asked for.
        bus: entered.
        source: what the processor reads from: its arguments `bus`, or `bootstrap_servers` and more.
    """

    def __init__(self, configuration: Configuration, bus: EventBus, source: Mapping[str, Any]) -> None:
        self.configuration = configuration
        self.bus = bus
        self._source = source
        self.generator = ChainGenerator(
            configuration.catalog,
            seed=configuration.seed,
            arrivals=configuration.arrivals,
            phases=configuration.phases,
        )
        self.processor: Processor | None = None
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Application:
        async with AsyncExitStack() as parts:
            await self._start(parts)
            self._parts = parts.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._parts.aclose()

    async def _start(self, parts: AsyncExitStack) -> None:
        wanted = self.configuration
        await asyncio.to_thread(wanted.database.start)
        parts.push_async_callback(asyncio.to_thread, wanted.database.leave)
        self.store = await parts.enter_async_context(EventStore.open(wanted.database.dsn))
        await self.bus.create_topics(topics_of(wanted.catalog))
        if wanted.process:
            processor = Processor(wanted.database.dsn, catalog=wanted.catalog, **self._source)
            self.processor = await parts.enter_async_context(processor)
        app = create_app(
            store=self.store,
            bus=self.bus,
            catalog=wanted.catalog,
            version=VERSION,
            sources=self._stats_sources(),
            checks={"generator": self._generator_health, "processor": self._processor_health},
        )
        self.http = await parts.enter_async_context(Server(app, wanted.host, wanted.port))

    async def run(self, shown: Display, stop: asyncio.Event) -> None:
        """Generate, process and show until `stop` is set.

        Raises:
            Exception: what made the generator or the processor end by itself.
        """
        async with self.bus.subscribe(topics_of(self.configuration.catalog), auto_offset_reset="latest") as newest:
            endless = [_show_events(newest, shown), self._show_figures(shown), stop.wait()]
            if self.configuration.generate:
                endless.append(self._generate(stop))
            if self.processor:
                endless.append(self.processor.wait())
            tasks = [asyncio.ensure_future(part) for part in endless]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _cancel(tasks)

    async def _generate(self, stop: asyncio.Event) -> None:
        """Arrivals may come to an end; the application stays."""
        wanted = self.configuration
        with wanted.striking.arguments(self.bus) as struck:
            await self.generator.run(
                **struck,
                initial_chains=wanted.initial_chains,
                interval=wanted.interval,
                rate=wanted.rate,
                speed=wanted.speed,
            )
        await stop.wait()

    async def _show_figures(self, shown: Display) -> None:
        began, error = time.monotonic(), None
        totals: deque[tuple[float, int]] = deque(maxlen=round(RATE_OVER / REFRESH) + 1)
        while True:
            now, statistics = time.monotonic(), {}
            try:
                statistics = await self.store.statistics()
                totals.append((now, statistics["events"]["total"]))
            except StoreError as failed:
                error = str(failed)
                await self._revive_database()
            done, run = self.processed(), self.generator.statistics()
            shown.show(
                Snapshot(
                    uptime=now - began,
                    statistics=statistics,
                    per_second=_per_second(totals),
                    lag=sum(done.lag.values()),
                    late=run.late,
                    dropped=run.dropped,
                    dead=done.dead,
                    last_error=done.last_error or error,
                )
            )
            await asyncio.sleep(REFRESH)

    async def _revive_database(self) -> None:
        """Start the embedded server again, should it have died; somebody else's is theirs to start."""
        with suppress(StoreError):  # the next look at the figures tries again
            await asyncio.to_thread(self.configuration.database.start)

    def account(self) -> str:
        """One line: what was published and stored."""
        run, done, faults = self.generator.statistics(), self.processed(), self.generator.injected()
        return (
            f"{run.emitted:,} events of {run.chains:,} chains published ({run.late:,} late, {run.dropped:,} dropped); "
            f"{done.new:,} stored, {done.duplicates:,} duplicates, {done.dead:,} dead letters"
            f"{f'; {told(faults)}' if faults else ''}"
        )

    def processed(self) -> ProcessorStatistics:
        """The processor's account; all zero when other processes do the processing."""
        return self.processor.statistics() if self.processor else ProcessorStatistics()

    def _stats_sources(self) -> StatsSources:
        return StatsSources(
            broker=self.bus.broker_statistics if isinstance(self.bus, InProcessBus) else None,
            generator=self.generator.statistics if self.configuration.generate else None,
            processor=self.processor.statistics if self.processor else None,
        )

    def _generator_health(self) -> Mapping[str, Any]:
        run = self.generator.statistics()
        return {"on": self.configuration.generate, "emitted": run.emitted, "late": run.late, "dropped": run.dropped}

    def _processor_health(self) -> Mapping[str, Any]:
        if self.processor is None:
            return {"on": False}
        done = self.processor.statistics()
        return {"on": True, "stored": done.new, "lag": sum(done.lag.values()), "last_error": done.last_error}


def _per_second(totals: Sequence[tuple[float, int]]) -> float:
    """How fast a total grows that was looked at now and then."""
    if len(totals) < 2:
        return 0.0
    (begin, fewer), (end, more) = totals[0], totals[-1]
    return (more - fewer) / (end - begin)


async def _show_events(newest: Subscription, shown: Display) -> None:
    async for records in newest.batches():
        shown.events(records)


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """End all, then raise what the first of them failed with."""
    for task in tasks:
        task.cancel()
    for failed in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(failed, Exception):
            raise failed
