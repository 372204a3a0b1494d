"""The processor as a part of a program: Faust's application on the loop that is running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import asyncpg

from eventbus.bus import AutoOffsetReset
from eventbus.catalog import Catalog
from eventbus.event import now_us, uuid7
from eventbus.inprocess import InProcessBus
from eventbus.processors.errors import StoreError
from eventbus.processors.faust_app.app import create_app
from eventbus.processors.store.offsets import fold_runs
from eventbus.record import TopicPartition

KEEP_RUNS = 7 * 86_400_000_000
"""Microseconds after which nobody will ask about the offsets of an in-process bus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorStatistics:
    """What a processor has done since it was made. Always `read == new + duplicates + dead`."""

    read: int = 0
    """Records committed to the database."""
    new: int = 0
    duplicates: int = 0
    dead: int = 0
    batches: int = 0
    """Transactions."""
    retries: int = 0
    """Transactions that had to be tried again."""
    fences: int = 0
    """Batches dropped because another worker owned their partitions."""
    idle_seconds: float = 0.0
    """Since the last progress, or since there was nothing to do."""
    last_error: str | None = None
    lag: Mapping[TopicPartition, int] = field(default_factory=dict)
    """Records in the log that the database does not have, by assigned partition."""


class Processor:
    """Stores the events of a bus in PostgreSQL, each exactly once.

        async with Processor(dsn, catalog=Catalog.default(), bus=bus) as processor:
            await generator.run(bus)

    Args:
        dsn: a PostgreSQL URL.
        catalog: says which events make up a chain.
        bus: an in-process bus; or
        bootstrap_servers: of a Kafka cluster, `host:port`, separated by commas.
        topics: to read; by default those of the catalog's domains, and `omninode.events`.
        group: the consumer group.
        pipelines: connections that write, each for its own partitions.
        auto_offset_reset: where a partition starts for which the group has no offset.
        stall_timeout: seconds without progress, while there is a lag, after which `wait` raises.
        options: of Faust, such as `broker_credentials`.
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
        self.app = create_app(
            dsn,
            catalog=catalog,
            bus=bus,
            bootstrap_servers=bootstrap_servers,
            topics=topics,
            group=group,
            pipelines=pipelines,
            auto_offset_reset=auto_offset_reset,
            stall_timeout=stall_timeout,
            **options,
        )
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
                await fold_runs(*self._runs, before=uuid7(now_us() - KEEP_RUNS, 0))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Write what was taken, leave the group, disconnect. Takes less than 3 s, whatever state the others are in."""
        await self.app.stop()

    async def wait(self) -> None:
        """Wait until the processor has stopped.

        Raises:
            Stalled: nothing moved for too long.
            StoreError: the database refuses what a person has to look at.
            Exception: what else made it end by itself.
        """
        await self.app.wait()
        reason = self.app.crash_reason
        if isinstance(reason, asyncpg.PostgresError):
            raise StoreError(f"PostgreSQL refuses to store events: {reason}") from reason
        if reason is not None:
            raise reason

    def statistics(self) -> ProcessorStatistics:
        """A snapshot."""
        parts = [pipeline.statistics() for pipeline in self.app.progress.pipelines]
        sums = {
            name: sum(getattr(part, name) for part in parts)
            for name in ("read", "new", "duplicates", "dead", "batches", "retries", "fences")
        }
        errors = [part.last_error for part in parts if part.last_error]
        return ProcessorStatistics(
            **sums,
            idle_seconds=self.app.idle_seconds,
            last_error=errors[-1] if errors else None,
            lag=self.app.lag(),
        )
