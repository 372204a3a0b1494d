"""Batches records without a timer: whatever arrives while a batch is written forms the next one.

An idle pipeline writes an event at once; a busy one writes large batches. It holds at most two batches, one being
written and one being filled; when that is full, `put` waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from eventbus.processors.errors import Fenced
from eventbus.processors.ingest.batch import Record, RowBatch
from eventbus.processors.ingest.decode import Decoder
from eventbus.processors.ingest.dedup import CACHE_SIZE
from eventbus.processors.ingest.retry import ExponentialBackoff
from eventbus.processors.ingest.writer import GroupId, Writer, Written
from eventbus.processors.store.definitions import ChainDefinitions
from eventbus.record import TopicPartition

SLICE = 64
"""Records decoded without yielding to the event loop, in about 0.3 ms; a concurrent COPY waits that long to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorStatistics:
    """Counters of a processor, or of one of its pipelines, since it was created: `read == new + duplicates + dead`."""

    read: int = 0
    """Records committed to the database."""
    new: int = 0
    duplicates: int = 0
    dead: int = 0
    """Dead letters."""
    batches: int = 0
    """Transactions."""
    retries: int = 0
    """Transactions and other database operations repeated after transient errors."""
    fences: int = 0
    """Batches dropped because another writer had committed offsets of their partitions."""
    stale: int = 0
    """Records dropped because they had been read before."""
    seconds: float = 0.0
    """Time spent in transactions, retries included."""
    idle_seconds: float = 0.0
    """Time since the last progress; 0 while there is no lag."""
    last_error: str | None = None
    lag: Mapping[TopicPartition, int] = field(default_factory=dict)
    """Records in the log that the database does not have, by assigned partition."""

    @classmethod
    def total(cls, parts: Sequence[Self]) -> Self:
        """The sums of the counters, and one of the last errors."""
        sums = {name: sum(getattr(part, name) for part in parts) for name in COUNTERS}
        return cls(**sums, last_error=next((part.last_error for part in reversed(parts) if part.last_error), None))


COUNTERS = ("read", "new", "duplicates", "dead", "batches", "retries", "fences", "stale", "seconds")


class Pipeline:
    """Decodes and writes the records of the partitions assigned to it, over one connection.

    Crash-only: after an error, `put` and `drain` raise it until `assign` starts again at the offsets of the database.

    Args:
        dsn: a PostgreSQL URL.
        definitions: of the catalog.
        group: the consumer group of the offsets; a function is called at each assignment.
        limit: records in a batch above which `put` waits; a slice of records may exceed it.
        cache_size: of the `DedupCache`.
        clock: seconds, for the statistics.
    """

    def __init__(
        self,
        dsn: str,
        definitions: ChainDefinitions,
        *,
        group: GroupId = "eventbus",
        limit: int = 10_000,
        cache_size: int = CACHE_SIZE,
        backoff: ExponentialBackoff | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.limit = limit
        self._writer = Writer(dsn, group, definitions, backoff=backoff)
        self._cache_size = cache_size
        self._clock = clock
        self._decoder = Decoder(cache_size)
        self._batch = RowBatch()
        self._positions: dict[TopicPartition, int] = {}  # the offset after the last record taken
        self._assignment = 0  # its number: a `put` that began under an earlier one must stop
        self._failure: Exception | None = None
        self._statistics = ProcessorStatistics()
        self._ready, self._room, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "failed" if self._failure else "idle" if self._idle.is_set() else "writing"
        return f"<Pipeline {state} {len(self._positions)} partitions {self._batch.read} waiting>"

    @property
    def next_offsets(self) -> Mapping[TopicPartition, int]:
        """The next offset of each assigned partition, as committed."""
        return self._writer.next_offsets

    @property
    def failure(self) -> Exception | None:
        """The error that `put` and `drain` raise."""
        return self._failure

    def statistics(self) -> ProcessorStatistics:
        """A snapshot, without lag and idle time."""
        retry = self._writer.retry
        last_error = str(self._failure) if self._failure else retry.last_error
        return replace(self._statistics, retries=retry.count, last_error=last_error)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.drain()
        finally:
            await self.stop()

    async def open(
        self, partitions: Iterable[TopicPartition] | Mapping[TopicPartition, int] = ()
    ) -> dict[TopicPartition, int]:
        """Connect, and `assign` partitions.

        Raises:
            StoreError: the database cannot be used.
        """
        await self._writer.open()
        self._task = asyncio.create_task(self._run(), name="pipeline")
        return await self.assign(partitions)

    async def assign(
        self, partitions: Iterable[TopicPartition] | Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Take over exactly these partitions; records taken but not written are dropped and have to be `put` again.

        Args:
            partitions: a mapping has the offset at which to begin a partition that the group has not read; otherwise 0.

        Returns:
            the offset from which to `put` next, by partition.
        """
        first_offsets = dict(partitions) if isinstance(partitions, Mapping) else dict.fromkeys(partitions, 0)
        self._assignment += 1
        self._drop()
        await self._idle.wait()  # the batch being written may still be committed
        self._failure = None
        self._positions = await self._writer.assign(first_offsets)
        return dict(self._positions)

    async def put(self, partition: TopicPartition, records: list[Record], *, end: int | None = None) -> None:
        """Take records of a partition, in offset order; returns when there is room for more.

        Drops records that were taken before, and all records of a partition that is not assigned. Accepts gaps, because
        compaction leaves them; therefore records fetched before the latest `assign` must not be passed.

        Args:
            end: the offset after the records, if it is not the one after the last; `records` may then be empty.

        Raises:
            Fenced: another writer has committed the offsets; unwritten records were dropped. Call `assign`.
            Exception: the error of an earlier batch.
        """
        self._raise_failure()
        assignment = self._assignment
        records = self._drop_stale(partition, records)
        for begin in range(0, len(records), SLICE):
            await self._wait_for_room()
            if assignment != self._assignment:
                return
            part = records[begin : begin + SLICE]
            is_last = begin + SLICE >= len(records)
            self._take(partition, part, end if end is not None and is_last else part[-1][0] + 1)
            await asyncio.sleep(0)
        if not records and end is not None and end > self._positions.get(partition, end):
            self._take(partition, [], end)

    async def drain(self) -> None:
        """Wait until all records taken are committed.

        Raises:
            Fenced: see `put`.
            Exception: the error of a batch.
        """
        await self._idle.wait()
        self._raise_failure()

    async def stop(self) -> None:
        """Disconnect at once, without writing the records taken; call `drain` first to write them."""
        self._assignment += 1
        await self._writer.close()  # before the cancellation, which would otherwise wait to cancel a statement
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._drop()
        self._idle.set()
        await self._writer.close()

    def _drop_stale(self, partition: TopicPartition, records: list[Record]) -> list[Record]:
        position = self._positions.get(partition)
        if position is None:
            return []
        if not records or records[0][0] >= position:
            return records
        fresh = [record for record in records if record[0] >= position]
        self._count(stale=len(records) - len(fresh))
        return fresh

    def _take(self, partition: TopicPartition, records: list[Record], end: int) -> None:
        self._decoder.add(self._batch, partition, records, end)
        self._positions[partition] = end
        self._idle.clear()
        self._ready.set()

    async def _wait_for_room(self) -> None:
        self._raise_failure()
        while self._batch.read >= self.limit:
            self._room.clear()
            await self._room.wait()
            self._raise_failure()

    def _raise_failure(self) -> None:
        if isinstance(self._failure, Fenced):
            raise Fenced(self._failure.partitions)
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            batch, self._batch = self._batch, RowBatch()
            self._room.set()
            await self._write(batch)
            if not self._ready.is_set():
                self._idle.set()

    async def _write(self, batch: RowBatch) -> None:
        if not batch.progress:
            return
        begin = self._clock()
        try:
            self._count_written(await self._writer.write(batch), self._clock() - begin)
        except Exception as error:  # raised by the next `put` or `drain`
            if isinstance(error, Fenced):
                self._count(fences=1)
                error = Fenced(self._positions)
            self._failure = error
            self._drop()

    def _drop(self) -> None:
        self._batch = RowBatch()
        self._decoder = Decoder(self._cache_size)  # its cache holds ids of the dropped batch
        self._positions = {}
        self._ready.clear()
        self._room.set()

    def _count_written(self, written: Written, seconds: float) -> None:
        self._count(
            read=sum(written),
            new=written.new,
            duplicates=written.duplicates,
            dead=written.dead,
            batches=1,
            seconds=seconds,
        )

    def _count(self, **counts: float) -> None:
        self._statistics = replace(
            self._statistics, **{name: getattr(self._statistics, name) + n for name, n in counts.items()}
        )
