"""The application of `mock` and `serve`: starts its parts in order, runs them together, and stops them in reverse."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventbus.api import Server, StatsSources, create_app
from eventbus.bus import EventBus, Subscription
from eventbus.catalog import Catalog, Phase
from eventbus.catalog.model import Arrivals
from eventbus.catalog.model.workload import AtEnd
from eventbus.chains import ChainGenerator
from eventbus.cli.errors import WRONG_USAGE, Failure
from eventbus.cli.options.common import partitions_by_topic
from eventbus.cli.options.faults import FaultOptions, format_counts
from eventbus.cli.options.kafka import faust_credentials
from eventbus.cli.options.scenario import note_throughput
from eventbus.cli.render.dashboard import DashboardData, Display, display
from eventbus.cli.render.terminal import new_console
from eventbus.cli.running import run_until, stop_on_signals, until_first
from eventbus.errors import BrokerUnreachable
from eventbus.inprocess import InProcessBus
from eventbus.processors.errors import StoreError
from eventbus.processors.ingest.pipeline import ProcessorStatistics
from eventbus.processors.postgres import Database, EmbeddedServer
from eventbus.processors.postgres.server import default_data_dir
from eventbus.processors.processor import Processor
from eventbus.processors.store import EventStore
from eventbus.version import package_version

if TYPE_CHECKING:
    from eventbus.kafka import Compression, KafkaSecurity

REFRESH = 0.5
"""Seconds between two updates of the figures."""
RATE_WINDOW = 10
"""Seconds over which the rate is measured: at the default pace, most seconds have no event."""
RETENTION_BYTES = 4 << 20
"""Bytes that the in-process bus keeps of each of about forty partitions: older events are in PostgreSQL."""

VERSION = package_version()


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What runs, and how."""

    catalog: Catalog
    host: str
    port: int
    generate: bool
    initial_chains: int | None
    """Chains that begin at once; None: 20, or none with a `rate` or `arrivals`."""
    interval: float | None
    """Seconds between the beginnings of further chains; None: 5, or as `rate` or `arrivals` say."""
    rate: float | None
    """Further chains per second."""
    arrivals: Arrivals | None
    """When chains begin; `interval` and `rate` replace them."""
    phases: tuple[Phase, ...]
    duration: float | None
    """Length of the run in virtual seconds; None: no end."""
    at_end: AtEnd
    events_per_second: float | None
    speed: float
    seed: int
    fault_options: FaultOptions
    process: bool
    database: Database


class Application:
    """The parts that run together in this process, started by entering it and stopped by leaving it.

    Args:
        bus: already entered.
        source: the arguments of `Processor` that say what it reads from.
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
            at_end=configuration.at_end,
            events_per_second=configuration.events_per_second,
        )
        if configuration.generate:
            note_throughput(self.generator)
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
        configuration = self.configuration
        await asyncio.to_thread(configuration.database.start)
        parts.push_async_callback(asyncio.to_thread, configuration.database.leave)
        self.store = await parts.enter_async_context(EventStore.open(configuration.database.dsn))
        await self.bus.create_topics(partitions_by_topic(configuration.catalog))
        if configuration.process:
            processor = Processor(configuration.database.dsn, catalog=configuration.catalog, **self._source)
            self.processor = await parts.enter_async_context(processor)
        app = create_app(
            store=self.store,
            bus=self.bus,
            catalog=configuration.catalog,
            version=VERSION,
            sources=self._stats_sources(),
            checks={"generator": self._generator_health, "processor": self._processor_health},
        )
        self.http = await parts.enter_async_context(Server(app, configuration.host, configuration.port))

    async def run(self, shown: Display, stop: asyncio.Event) -> None:
        """Generates, processes and shows events until `stop` is set.

        Raises:
            Exception: the error that ended a part.
        """
        topics = partitions_by_topic(self.configuration.catalog)
        async with self.bus.subscribe(topics, auto_offset_reset="latest") as newest:
            until_stopped = self._generate(shown, stop) if self.configuration.generate else stop.wait()
            endless = [_show_events(newest, shown), self._show_figures(shown), until_stopped]
            if self.processor:
                endless.append(self.processor.wait())
            await until_first(*endless)

    async def _generate(self, shown: Display, stop: asyncio.Event) -> None:
        """Runs the generator until `stop` is set; the application goes on when the run comes to its end."""
        configuration = self.configuration
        with self.configuration.fault_options.with_faults(self.bus) as arguments:
            run = self.generator.run(
                **arguments,
                initial_chains=configuration.initial_chains,
                interval=configuration.interval,
                rate=configuration.rate,
                duration=configuration.duration,
                speed=configuration.speed,
            )
            await run_until(stop, run, self.generator.stop)
        if not stop.is_set():
            shown.note("the run is over: no further events are generated; the application goes on")
        await stop.wait()

    async def _show_figures(self, shown: Display) -> None:
        began, error = time.monotonic(), None
        totals: deque[tuple[float, int]] = deque(maxlen=round(RATE_WINDOW / REFRESH) + 1)
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
                DashboardData(
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
        """Starts the embedded server again if it has died; a server of others is not started."""
        with suppress(StoreError):  # the next update tries again
            await asyncio.to_thread(self.configuration.database.start)

    def account(self) -> str:
        """One line about what was published and stored."""
        run, done, faults = self.generator.statistics(), self.processed(), self.generator.injected()
        return (
            f"{run.emitted:,} events of {run.chains:,} chains published ({run.late:,} late, {run.dropped:,} dropped); "
            f"{done.new:,} stored, {done.duplicates:,} duplicates, {done.dead:,} dead letters"
            f"{f'; {format_counts(faults)}' if faults else ''}"
        )

    def processed(self) -> ProcessorStatistics:
        """The statistics of the processor; all zero if other processes store the events."""
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
    """How fast a total grows, from pairs of a time in seconds and the total."""
    if len(totals) < 2:
        return 0.0
    (begin, fewer), (end, more) = totals[0], totals[-1]
    return (more - fewer) / (end - begin)


async def _show_events(newest: Subscription, shown: Display) -> None:
    async for records in newest.batches():
        shown.events(records)


async def run_mock(configuration: Configuration, *, plain: bool, notes: Sequence[str] = ()) -> None:
    """Runs the application on an in-process bus until it is stopped."""
    partitions = partitions_by_topic(configuration.catalog)
    async with InProcessBus(partitions=partitions, retention_bytes=RETENTION_BYTES) as bus:
        application = Application(configuration, bus, {"bus": bus})
        await _run(application, ["in-process bus, no Kafka needed", *notes], plain=plain)


async def run_serve(
    configuration: Configuration,
    brokers: str,
    security: KafkaSecurity,
    *,
    compression: Compression,
    plain: bool,
    production: bool,
) -> None:
    """Runs the application on Kafka until it is stopped.

    Args:
        production: fails if no broker can be reached, instead of running on an in-process bus.
    """
    from eventbus.kafka import KafkaBus

    partitions = partitions_by_topic(configuration.catalog)
    bus = KafkaBus(brokers, partitions=partitions, security=security, compression=compression)
    try:
        await bus.__aenter__()
    except BrokerUnreachable as error:
        if production:
            raise Failure(str(error), exit_code=WRONG_USAGE) from error
        note = f"{error}; running the mock instead (APP_ENV=production would exit)"
        await run_mock(configuration, plain=plain, notes=[note])
        return
    async with bus:
        source = {"bootstrap_servers": brokers, "broker_credentials": faust_credentials(security)}
        await _run(Application(configuration, bus, source), [f"Kafka at {brokers}"], plain=plain)


async def _run(application: Application, notes: Sequence[str], *, plain: bool) -> None:
    """Starts the application, shows it until it is stopped, and prints its account."""
    console = new_console()
    stop = stop_on_signals()
    async with application:
        with display(console, *_heading(application, notes), live=console.is_terminal and not plain) as shown:
            await application.run(shown, stop)
    console.print(application.account(), soft_wrap=True)


def _heading(application: Application, notes: Sequence[str]) -> tuple[str, list[str]]:
    """The title, and lines that tell a newcomer what to do next."""
    configuration, url = application.configuration, application.http.url
    generator = f"seed {configuration.seed}" if configuration.generate else "generator off"
    return (
        f"eventbus · {url}",
        [
            *notes,
            f"PostgreSQL {configuration.database.address} · {generator} · Ctrl-C stops",
            f"try  eventbus events --limit 5{_database_flag(configuration.database)}",
            f"     curl '{url}/api/event-bus/events?limit=5'",
            f"     {url}/docs",
        ],
    )


def _database_flag(database: Database) -> str:
    """The option with which another command finds the same store."""
    if not isinstance(database, EmbeddedServer):
        return " --database-url …"
    return "" if database.data_dir == default_data_dir() else f" --data-dir {database.data_dir}"
