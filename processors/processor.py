"""The processor as a part of a program: runs the Faust application on the current event loop."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import asyncpg

from eventbus.bus import SINGLE_TOPIC, AutoOffsetReset
from eventbus.catalog import Catalog
from eventbus.event import now_us, uuid7
from eventbus.inprocess import InProcessBus
from eventbus.processors.errors import StoreError
from eventbus.processors.faust_app.app import EventApp
from eventbus.processors.ingest.pipeline import Pipeline, ProcessorStatistics
from eventbus.processors.ingest.router import PartitionRouter
from eventbus.processors.store.definitions import ChainDefinitions
from eventbus.processors.store.offsets import archive_runs, reset_offsets

RUN_RETENTION = 7 * 86_400_000_000
"""Microseconds for which the offsets of in-process runs are kept, before they are archived."""


class Processor:
    """Stores the events of a bus in PostgreSQL, each exactly once.

        async with Processor(dsn, catalog=Catalog.default(), bus=bus) as processor:
            await generator.run(bus)

    Args:
        dsn: a PostgreSQL URL.
        catalog: defines the chains; the shipped catalog by default.
        bus: an in-process bus to read from; or
        bootstrap_servers: addresses of a Kafka cluster, `host:port`, separated by commas.
        topics: to read; by default those of the catalog's domains, and `omninode.events`.
        group: the consumer group.
        pipelines: number of connections that write, each for its own partitions.
        auto_offset_reset: where to begin partitions that the group has not read yet.
        stall_timeout: seconds without progress, while there is a lag, after which `wait` raises.
        options: settings of Faust, such as `broker_credentials`.

    Raises:
        TypeError: neither or both of `bus` and `bootstrap_servers` are given.
    """

    def __init__(
        self,
        dsn: str,
        *,
        catalog: Catalog | None = None,
        bus: InProcessBus | None = None,
        bootstrap_servers: str | None = None,
        topics: Iterable[str] | None = None,
        group: str = "eventbus",
        pipelines: int = 1,
        auto_offset_reset: AutoOffsetReset = "earliest",
        stall_timeout: float = 60.0,
        **options: Any,
    ) -> None:
        if (bus is None) == (bootstrap_servers is None):
            raise TypeError("expected either a bus or bootstrap_servers")
        catalog = catalog or Catalog.default()
        definitions = ChainDefinitions.of(catalog)
        if bootstrap_servers is not None:
            options["broker"] = [f"kafka://{server}" for server in bootstrap_servers.split(",")]

        def offsets_group() -> str:
            """Offsets of an in-process bus are valid for that bus only, until it is reset."""
            return group if bus is None else f"{group}@{bus.id}"

        router = PartitionRouter(
            topics or {SINGLE_TOPIC, *(event.domain for event in catalog.events.values())},
            [Pipeline(dsn, definitions, group=offsets_group) for _ in range(pipelines)],
            lambda offsets: reset_offsets(dsn, offsets_group(), offsets),
            auto_offset_reset=auto_offset_reset,
        )
        self.app = EventApp(group, router, bus=bus, stall_timeout=stall_timeout, **options)
        """Faust's application: declare agents of your own before `start`."""
        self._runs = None if bus is None else (dsn, group)

    def __repr__(self) -> str:
        return f"<Processor {self.app.conf.id} {self.app.state}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect and join the group; returns when partitions are assigned.

        Raises:
            StoreError: the database cannot be used.
            KafkaError: the cluster cannot be used.
        """
        try:
            await self.app.start()
            if self._runs is not None:
                await archive_runs(*self._runs, before=uuid7(now_us() - RUN_RETENTION, 0))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Write the records taken, leave the group, disconnect; takes up to 3 s if broker or database do not answer."""
        await self.app.stop()

    async def wait(self) -> None:
        """Wait until the processor has stopped.

        Raises:
            Stalled: nothing was stored for too long.
            StoreError: PostgreSQL raises an error that a retry does not resolve.
            Exception: another error that stopped the processor.
        """
        await self.app.wait()
        reason = self.app.crash_reason
        if isinstance(reason, asyncpg.PostgresError):
            raise StoreError(f"PostgreSQL refuses to store events: {reason}") from reason
        if reason is not None:
            raise reason

    def statistics(self) -> ProcessorStatistics:
        """A snapshot."""
        app = self.app
        total = ProcessorStatistics.total([pipeline.statistics() for pipeline in app.partition_router.pipelines])
        return replace(total, idle_seconds=app.idle_seconds, lag=app.lag())
