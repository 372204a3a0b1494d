"""Routes fetched batches to pipelines, and accepts each only where the previous one of its partition ended.

Faust may deliver a batch twice, late, after a rebalance, or not at all. The router trims what was taken before, and
refuses a batch that would leave a gap: the consumer then seeks to the offsets of the database.
(Tested by `test_any_delivery` in tests/faust/test_partition_router.py.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from eventbus.bus import AutoOffsetReset
from eventbus.processors.errors import Fenced
from eventbus.processors.ingest.batch import Record
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.record import TopicPartition

logger = logging.getLogger(__name__)

Offsets = Mapping[TopicPartition, int]

MAX_FENCES = 5
"""Fences without a committed batch in between, after which the worker gives up: another commits the same offsets."""


class FetchedBatch(NamedTuple):
    """Everything that the log of a partition holds from offset `start` up to, not including, `end`."""

    start: int
    """The requested offset; the first record may have a higher one (compaction, transaction markers)."""
    end: int
    records: list[Record]


class OffsetRange(NamedTuple):
    """The offsets that a log holds: from `beginning` up to, not including, `end`."""

    beginning: int
    end: int


FetchRanges = Callable[[], Awaitable[Mapping[TopicPartition, OffsetRange]]]


class PartitionRouter:
    """Passes the fetched batches of each partition to its pipeline, and keeps track of the next offsets.

    Args:
        topics: to store, with their offsets in PostgreSQL.
        pipelines: each with its own connection; a partition always goes to the same one.
        reset_offsets: sets offsets in the database, when the log they belonged to was replaced.
        auto_offset_reset: where a partition begins that the database has no offset for.
    """

    def __init__(
        self,
        topics: Iterable[str],
        pipelines: Sequence[Pipeline],
        reset_offsets: Callable[[Offsets], Awaitable[None]],
        *,
        auto_offset_reset: AutoOffsetReset = "earliest",
    ) -> None:
        self.topics = frozenset(topics)
        self.pipelines = tuple(pipelines)
        self._store_offsets = reset_offsets
        self._auto_offset_reset = auto_offset_reset
        self._expected: dict[TopicPartition, int] = {}
        self._assigning = asyncio.Lock()
        self._fences = 0
        self._batches_at_fence = -1

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreError: the database cannot be used.
        """
        for pipeline in self.pipelines:
            await pipeline.open()

    async def stop(self) -> None:
        """Write the batches taken, within 0.7 s, and disconnect; the next owner reads the others again."""
        with suppress(Exception):  # `put` or `check` has raised it already
            await self.flush(timeout=0.7)
        for pipeline in self.pipelines:
            await pipeline.stop()

    async def assign(self, partitions: Iterable[TopicPartition], fetch_ranges: FetchRanges) -> Offsets:
        """Take over exactly these partitions; unwritten records of earlier ones are dropped.

        Args:
            fetch_ranges: returns the offsets that the logs of the partitions hold at the moment.

        Returns:
            the offset to read next, by partition.
        """
        async with self._assigning:
            self._expected = {}
            self._expected = await self._next_offsets(partitions, fetch_ranges)
            return dict(self._expected)

    async def flush(self, timeout: float = 5.0) -> None:
        """Write the batches taken, so that the next owner does not read them again; stops after `timeout` seconds."""
        with suppress(TimeoutError, Fenced):
            async with asyncio.timeout(timeout):
                for pipeline in self.pipelines:
                    await pipeline.drain()

    async def put(self, partition: TopicPartition, batch: FetchedBatch) -> bool:
        """Pass a batch to its pipeline; returns when there is room for the next one.

        Returns:
            False if batches are missing: seek, which calls `assign`, to fetch them again.

        Raises:
            Exception: the writer failed; the process should end.
        """
        expected = self._expected.get(partition)
        if expected is None or batch.end <= expected:
            return True
        if batch.start > expected:
            self._expected = {}
            return False
        self._expected[partition] = batch.end
        try:
            await self._pipeline(partition).put(partition, batch.records, end=batch.end)
        except Fenced as fenced:
            self._on_fenced(fenced)
            return False
        return True

    def check(self) -> bool:
        """Check for errors of the writer; to be called regularly, because without records `put` is not called.

        Returns:
            False if batches are missing, as for `put`.

        Raises:
            Exception: the writer failed; the process should end.
        """
        for failure in (pipeline.failure for pipeline in self.pipelines if self._expected):
            if isinstance(failure, Fenced):
                self._on_fenced(failure)
                return False
            if failure is not None:
                raise failure
        return True

    def committed(self) -> Offsets:
        """The next offset of each assigned partition, as committed to the database."""
        return {p: offset for pipeline in self.pipelines for p, offset in pipeline.next_offsets.items()}

    def lag(self, end_offset: Callable[[TopicPartition], int | None]) -> dict[TopicPartition, int]:
        """Records in the log that are not committed, by assigned partition.

        Args:
            end_offset: returns the offset after a partition's last record; None while it is unknown.
        """
        return {p: max(0, (end_offset(p) or 0) - offset) for p, offset in self.committed().items()}

    async def _next_offsets(
        self, partitions: Iterable[TopicPartition], fetch_ranges: FetchRanges
    ) -> dict[TopicPartition, int]:
        ranges = await fetch_ranges()
        earliest = self._auto_offset_reset == "earliest"
        first_offsets = {p: ranges[p].beginning if earliest else ranges[p].end for p in partitions}
        offsets = await self._assign(first_offsets)
        if any(offset > ranges[p].end for p, offset in offsets.items()):
            ranges = await fetch_ranges()  # another worker may have read records appended since the first call
            replaced = {p: ranges[p] for p, offset in offsets.items() if offset > ranges[p].end}
            if replaced:
                await self._reset_offsets(replaced, offsets)
                offsets = await self._assign(first_offsets)
        return {p: self._after_retention(p, offset, ranges[p]) for p, offset in offsets.items()}

    async def _assign(self, first_offsets: Offsets) -> dict[TopicPartition, int]:
        offsets: dict[TopicPartition, int] = {}
        for pipeline in self.pipelines:
            offsets |= await pipeline.assign({p: o for p, o in first_offsets.items() if self._pipeline(p) is pipeline})
        return offsets

    async def _reset_offsets(self, replaced: Mapping[TopicPartition, OffsetRange], offsets: Offsets) -> None:
        for partition, log in replaced.items():
            logger.error(
                "%s[%d]: expected offset %d, but the log ends at %d: the topic was deleted and created anew, or it "
                "belongs to another cluster; reading it from its beginning, where stored events count as duplicates",
                *partition,
                offsets[partition],
                log.end,
            )
        await self._store_offsets({p: log.beginning for p, log in replaced.items()})

    def _after_retention(self, partition: TopicPartition, offset: int, log: OffsetRange) -> int:
        if offset < log.beginning:
            logger.error(
                "%s[%d]: offsets %d to %d were deleted by retention before they were read",
                *partition,
                offset,
                log.beginning - 1,
            )
        return max(offset, log.beginning)

    def _on_fenced(self, fenced: Fenced) -> None:
        """Log the error and start again at the offsets of the database; raise it after too many fences in a row."""
        self._expected = {}
        batches = sum(pipeline.statistics().batches for pipeline in self.pipelines)
        self._fences = self._fences + 1 if batches == self._batches_at_fence else 1
        self._batches_at_fence = batches
        if self._fences > MAX_FENCES:
            raise fenced
        logger.warning("%s", fenced)

    def _pipeline(self, partition: TopicPartition) -> Pipeline:
        return self.pipelines[partition.partition % len(self.pipelines)]
