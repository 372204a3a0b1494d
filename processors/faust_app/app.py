"""The Faust application: Faust schedules the agents, PostgreSQL keeps the offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.exceptions import ImproperlyConfigured
from faust.tables.manager import TableManager
from faust.types import TP, StreamT, TopicT
from mode import Service

from eventbus.inprocess import InProcessBus
from eventbus.processors.errors import Stalled
from eventbus.processors.faust_app.agents import store
from eventbus.processors.faust_app.bus_transport import BusTransport
from eventbus.processors.faust_app.kafka_transport import KafkaTransport
from eventbus.processors.ingest.router import FetchedBatch, PartitionRouter
from eventbus.record import TopicPartition


class NoTables(TableManager):
    """Skips the second that Faust waits for tables to register; the application has none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class NoWeb(BootStrategy):
    """Disables Faust's web server, which shows its internals to anyone."""

    enable_web = False


SETTINGS: dict[str, Any] = {
    "store": "memory://",
    "table_standby_replicas": 0,  # without tables, Kafka's round-robin assignor is used instead of Faust's own
    "topic_disable_leader": True,
    "topic_allow_declare": False,
    "stream_wait_empty": False,  # a rebalance waits for the database instead of Faust's acknowledgements
    "stream_buffer_maxsize": 8,  # batches
    "broker_max_poll_records": 500,  # records per batch; larger ones were slower, and block the event loop for longer
    "broker_session_timeout": 10.0,  # seconds that the partitions of a killed worker stay idle
    "consumer_metadata_max_age_ms": 10_000,  # until a new topic is discovered
    "key_serializer": "raw",
    "value_serializer": "raw",
    "TableManager": NoTables,
}

BUS_COMMIT_INTERVAL = 0.02
"""Seconds between commits to an in-process bus: its retention and `settled` wait for them."""


class EventApp(faust.App):
    """A Faust application that stores the events of some topics exactly once.

    The topics of the router are delivered in batches to every agent; all other topics are ordinary Faust topics.

    Args:
        id: the consumer group.
        router: stores the events.
        bus: to read from; without it, the cluster in `settings["broker"]` is read.
        stall_timeout: seconds without progress, while there is a lag, after which the application stops.
        settings: of Faust; they override `SETTINGS`.
    """

    BootStrategy = NoWeb
    server: AbstractContextManager[Any] = nullcontext()
    """The PostgreSQL server, if it is to be started with the application."""

    def __init__(
        self,
        id: str,
        router: PartitionRouter,
        *,
        bus: InProcessBus | None = None,
        stall_timeout: float = 60.0,
        **settings: Any,
    ) -> None:
        bus_settings = {} if bus is None else {"broker": "bus://", "broker_commit_interval": BUS_COMMIT_INTERVAL}
        super().__init__(id, **{**SETTINGS, **bus_settings, **settings})
        self.partition_router = router
        self.idle_seconds = 0.0
        self._progress_monitor = ProgressMonitor(stall_timeout)
        self.transport = KafkaTransport(self.conf.broker, self) if bus is None else BusTransport(bus, self)
        self.on_partitions_revoked.connect(self._flush_revoked)
        self.agent(self.topic(*sorted(router.topics)), name="store")(self._store)

    def topic(self, *topics: str, **options: Any) -> TopicT:
        """As in Faust; stored topics are delivered in batches of raw bytes, so types and serializers are refused."""
        stored = self.partition_router.topics.intersection(topics)
        if stored:
            _check_stored(stored, topics, options)
            options["acks"] = False  # Faust does not track their offsets
        return super().topic(*topics, **options)

    def _create_directories(self) -> None:
        """Creates none: nothing is kept in files, and the working directory may be read-only."""

    def lag(self) -> dict[TopicPartition, int]:
        """Records in the log that the database does not have, by assigned partition."""
        return self.partition_router.lag(lambda partition: self.consumer.highwater(TP(*partition)))

    async def on_start(self) -> None:
        await super().on_start()
        self.exit_stack.enter_context(self.server)
        await self.partition_router.open()

    async def on_stop(self) -> None:
        await super().on_stop()
        await self.partition_router.stop()

    async def _store(self, stream: StreamT[FetchedBatch]) -> None:
        await store(stream, self.partition_router, reseek=self._reseek, crash=self.crash)

    async def _reseek(self) -> None:
        await self.consumer.perform_seek()

    async def _flush_revoked(self, *_: Any, **__: Any) -> None:
        await self.partition_router.flush()

    @Service.task
    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while not self.should_stop:
            await self.sleep(1.0)
            try:
                await self._check(clock())
            except Exception as error:
                await self.crash(error)

    async def _check(self, now: float) -> None:
        """Raises the error that should stop the application."""
        if not self.partition_router.check():
            await self._reseek()
        lag = sum(self.lag().values())
        self.idle_seconds = self._progress_monitor.idle(sum(self.partition_router.committed().values()), lag, now)
        if self.idle_seconds > self._progress_monitor.timeout:
            raise Stalled(f"{lag} events wait, but none was stored for {self.idle_seconds:.0f} s")


class ProgressMonitor:
    """Measures how long nothing has been stored although there is a lag.

    Args:
        timeout: seconds after which the application counts as stalled.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._position = -1
        self._since = 0.0

    def idle(self, position: int, lag: int, now: float) -> float:
        """Seconds since the last progress; being without lag counts as progress.

        Args:
            position: changes with every stored record.
            lag: records waiting.
            now: seconds of a monotonic clock.
        """
        if lag == 0 or position != self._position:
            self._position, self._since = position, now
        return now - self._since


def _check_stored(stored: Iterable[str], topics: Iterable[str], options: dict[str, Any]) -> None:
    unstored = sorted(set(topics).difference(stored))
    if unstored:
        raise ImproperlyConfigured(
            f"topics {sorted(stored)} are stored and come in batches, {unstored} do not: expected one kind for an agent"
        )
    typed = [name for name in ("key_type", "value_type", "schema") if options.get(name) is not None]
    typed += [n for n in ("key_serializer", "value_serializer") if options.get(n) not in (None, "raw")]
    if typed:
        raise ImproperlyConfigured(
            f"topics {sorted(stored)} are stored and come in batches of raw bytes: expected no {', '.join(typed)}; "
            "iterate over their events with eventbus.processors.faust_app.agents.events(stream)"
        )
