"""Records in, rows out: write whenever the database is free, and what arrives meanwhile is the next batch.

No timer and no batch size to tune: an idle pipeline writes an event at once, a busy one writes large batches. It holds
at most two batches, the one being written and the one being made; then `put` waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from eventbus.processors.errors import Fenced
from eventbus.processors.ingest.batch import Batch, Record
from eventbus.processors.ingest.decode import Decoder
from eventbus.processors.ingest.writer import Backoff, Group, Writer, Written
from eventbus.processors.store.definitions import Facts
from eventbus.record import TopicPartition

SLICE = 64
"""Records decoded at a stretch: a third of a millisecond, for so long a COPY under way waits to send more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a pipeline has done since it was made. Always `read == new + duplicates + dead`."""

    read: int = 0
    """Records committed."""
    new: int = 0
    duplicates: int = 0
    dead: int = 0
    batches: int = 0
    retries: int = 0
    fences: int = 0
    stale: int = 0
    """Records offered again that were taken already, and dropped."""
    seconds: float = 0.0
    """Spent in transactions, retries included."""
    last_error: str | None = None
    next: Mapping[TopicPartition, int] = field(default_factory=dict)
    """The next offset of each assigned partition, as committed."""

    def lag(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Records in the log that are not committed here, of each assigned partition.

        Args:
            ends: the offset after the last record of each.
        """
        return {p: max(0, ends[p] - offset) for p, offset in self.next.items() if p in ends}


class Pipeline:
    """Decodes the records of the partitions assigned to it and writes them, over one connection.

    Crash only: after an error, `put` and `drain` raise it until `assign` begins again at the offsets of the database.

    Args:
        dsn: a PostgreSQL URL.
        facts: of the catalog.
        group: the consumer group whose offsets are kept; a function is asked anew at each assignment.
        limit: records in a batch, above which `put` waits.
        recent: ids remembered to drop near duplicates without asking the database.
        clock: seconds, for the statistics.
    """

    def __init__(
        self,
        dsn: str,
        facts: Facts,
        *,
        group: Group = "eventbus",
        limit: int = 10_000,
        recent: int = 100_000,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.limit = limit
        self._writer = Writer(dsn, group, facts, backoff=backoff)
        self._recent = recent
        self._clock = clock
        self._decoder = Decoder(recent)
        self._batch = Batch()
        self._position: dict[TopicPartition, int] = {}  # the offset after the last record taken
        self._assignment = 0  # counts them: a `put` that began under an earlier one must not go on
        self._failure: Exception | None = None
        self._statistics = Statistics()
        self._ready, self._room, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "failed" if self._failure else "idle" if self._idle.is_set() else "writing"
        return f"<Pipeline {state} {len(self._position)} partitions {self._batch.read} waiting>"

    @property
    def next(self) -> Mapping[TopicPartition, int]:
        """The next offset of each assigned partition, as committed."""
        return self._writer.next

    @property
    def failure(self) -> Exception | None:
        """What `put` and `drain` would raise now."""
        return self._failure

    def statistics(self) -> Statistics:
        """A snapshot."""
        writer = self._writer
        errors = {"last_error": str(self._failure)} if self._failure else {"last_error": writer.last_error}
        return replace(self._statistics, retries=writer.retries, next=dict(writer.next), **errors)

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
        """Connect, and take over partitions (see `assign`).

        Raises:
            StoreError: the database cannot be used.
        """
        await self._writer.open()
        self._task = asyncio.create_task(self._run(), name="pipeline")
        return await self.assign(partitions)

    async def assign(
        self, partitions: Iterable[TopicPartition] | Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Take over these partitions, and no others; what was taken and not written is dropped, read it again.

        Args:
            partitions: a mapping says where to begin a partition that the group never read; otherwise at 0.

        Returns:
            the offset of each from which to `put` now.
        """
        first = dict(partitions) if isinstance(partitions, Mapping) else dict.fromkeys(partitions, 0)
        self._assignment += 1
        self._drop()
        await self._idle.wait()  # the batch being written may still be committed
        self._failure = None
        self._position = await self._writer.assign(first)
        return dict(self._position)

    async def put(self, partition: TopicPartition, records: list[Record], *, end: int | None = None) -> None:
        """Take records of a partition, in offset order; returns when there is room for more.

        Records that were taken before are dropped, and gaps are accepted: Kafka leaves them when it compacts. So
        nothing may be offered that was fetched before the latest `assign`. Of a partition that is not assigned,
        nothing is taken.

        Args:
            end: the offset after them, when that is not simply the one after the last record; there may be none.

        Raises:
            Fenced: another writer owns the partition, or did; what was not written is dropped. Assign it again.
            Exception: what made the last batch fail.
        """
        self._raise_failure()
        assignment = self._assignment
        records = self._unseen(partition, records)
        for begin in range(0, len(records), SLICE):
            await self._wait_room()
            if assignment != self._assignment:
                return
            part = records[begin : begin + SLICE]
            last = end if end is not None and begin + SLICE >= len(records) else part[-1][0] + 1
            self._take(partition, part, last)
            await asyncio.sleep(0)
        if not records and end is not None and end > self._position.get(partition, end):
            self._take(partition, [], end)

    async def drain(self) -> None:
        """Wait until all that was taken is committed.

        Raises:
            Fenced: see `put`.
        """
        await self._idle.wait()
        self._raise_failure()

    async def stop(self) -> None:
        """Disconnect at once; what was not written is read again next time (to have it written, `drain` first)."""
        self._assignment += 1
        await self._writer.close()  # first, so that cancelling finds no statement that the server had to be told of
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._drop()
        self._idle.set()
        await self._writer.close()

    def _unseen(self, partition: TopicPartition, records: list[Record]) -> list[Record]:
        position = self._position.get(partition)
        if position is None:
            return []
        if not records or records[0][0] >= position:
            return records
        unseen = [record for record in records if record[0] >= position]
        self._count(stale=len(records) - len(unseen))
        return unseen

    def _take(self, partition: TopicPartition, records: list[Record], end: int) -> None:
        self._decoder.add(self._batch, partition, records, end)
        self._position[partition] = end
        self._idle.clear()
        self._ready.set()

    async def _wait_room(self) -> None:
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
            batch, self._batch = self._batch, Batch()
            self._room.set()
            await self._write(batch)
            if not self._ready.is_set():
                self._idle.set()

    async def _write(self, batch: Batch) -> None:
        if not batch.spans:
            return
        begin = self._clock()
        try:
            self._count_written(await self._writer.write(batch), self._clock() - begin)
        except Exception as error:  # kept, and raised to whoever puts or drains
            if isinstance(error, Fenced):
                self._count(fences=1)
                error = Fenced(self._position)
            self._failure = error
            self._drop()

    def _drop(self) -> None:
        self._batch = Batch()
        self._decoder = Decoder(self._recent)  # what it remembers as seen may be what is dropped
        self._position = {}
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

    def _count(self, **more: float) -> None:
        self._statistics = replace(
            self._statistics, **{name: getattr(self._statistics, name) + n for name, n in more.items()}
        )
