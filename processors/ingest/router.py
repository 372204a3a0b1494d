"""Between Faust and the writer: a chunk is taken only where the last one of its partition ended.

Faust may deliver a chunk twice, late, after a rebalance, or not at all. None of it matters here: what was seen
already is cut off, and what would leave a hole is refused and asked for again from where the database is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from eventbus.bus import AutoOffsetReset
from eventbus.processors.errors import Fenced
from eventbus.processors.faust_app.chunks import Bounds, Chunk
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.record import TopicPartition

logger = logging.getLogger(__name__)

Offsets = Mapping[TopicPartition, int]

MOST_FENCES = 5
"""In a row, without a batch written in between: then two workers fight for the same offsets, and one has to go."""


class Ingest:
    """Sends the chunks of each partition to its pipeline, and knows where every partition goes on.

    Args:
        topics: read in chunks, with their progress in PostgreSQL.
        pipelines: each with a connection of its own; a partition always goes to the same one.
        rewind: moves offsets in the database, when the log they belonged to is gone.
        auto_offset_reset: where a partition starts for which the database has no offset.
    """

    def __init__(
        self,
        topics: Iterable[str],
        pipelines: Sequence[Pipeline],
        rewind: Callable[[Offsets], Awaitable[None]],
        *,
        auto_offset_reset: AutoOffsetReset = "earliest",
    ) -> None:
        self.topics = frozenset(topics)
        self.pipelines = tuple(pipelines)
        self._rewind = rewind
        self._auto_offset_reset = auto_offset_reset
        self._expected: dict[TopicPartition, int] = {}
        self._assigning = asyncio.Lock()
        self._fences = 0
        self._batches_before = -1

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreError: the database cannot be used.
        """
        for pipeline in self.pipelines:
            await pipeline.open()

    async def stop(self) -> None:
        """Finish what was taken, as far as that goes quickly, and disconnect; what is left is read again next time."""
        with suppress(Exception):  # told already to whoever waits for us
            await self.finish(timeout=0.7)
        for pipeline in self.pipelines:
            await pipeline.stop()

    async def assign(
        self, partitions: Iterable[TopicPartition], bounds: Callable[[], Awaitable[Mapping[TopicPartition, Bounds]]]
    ) -> Offsets:
        """Take over exactly these partitions; what was not written of earlier ones is dropped, others read it again.

        Args:
            bounds: asks the log what it holds of them now.

        Returns:
            the offset to read next of each.
        """
        async with self._assigning:
            self._expected = {}
            self._expected = await self._where_to_go_on(partitions, bounds)
            return dict(self._expected)

    async def finish(self, timeout: float = 5.0) -> None:
        """Write what was taken, so that the next owner need not do it again; it can, should this take too long."""
        with suppress(TimeoutError, Fenced):
            async with asyncio.timeout(timeout):
                for pipeline in self.pipelines:
                    await pipeline.drain()

    async def put(self, partition: TopicPartition, chunk: Chunk) -> bool:
        """Hand a chunk to the writer; returns when there is room for the next one.

        Returns:
            False when chunks are missing: seek, and so `assign`, to have them again.

        Raises:
            Exception: the writer cannot go on; the process should end.
        """
        expected = self._expected.get(partition)
        if expected is None or chunk.end <= expected:
            return True
        if chunk.start > expected:
            self._expected = {}
            return False
        self._expected[partition] = chunk.end
        try:
            await self._pipeline(partition).put(partition, chunk.records, end=chunk.end)
        except Fenced as fenced:
            self._give_way(fenced)
            return False
        return True

    def check(self) -> bool:
        """Whether all is well, asked from time to time: with nothing to `put`, nobody would learn what went wrong.

        Returns:
            False when chunks are missing, as for `put`.

        Raises:
            Exception: the writer cannot go on; the process should end.
        """
        for failure in (pipeline.failure for pipeline in self.pipelines if self._expected):
            if isinstance(failure, Fenced):
                self._give_way(failure)
                return False
            if failure is not None:
                raise failure
        return True

    def committed(self) -> Offsets:
        """The next offset of each assigned partition, as the database has it."""
        return {partition: offset for pipeline in self.pipelines for partition, offset in pipeline.next.items()}

    async def _where_to_go_on(
        self, partitions: Iterable[TopicPartition], bounds: Callable[[], Awaitable[Mapping[TopicPartition, Bounds]]]
    ) -> dict[TopicPartition, int]:
        held = await bounds()
        first = {p: held[p].earliest if self._auto_offset_reset == "earliest" else held[p].end for p in partitions}
        expected = await self._assign(first)
        if any(offset > held[p].end for p, offset in expected.items()):
            held = await bounds()  # unless the log has grown meanwhile, and another worker has read it
            lost = {p: held[p] for p, offset in expected.items() if offset > held[p].end}
            expected = await self._begin_anew(lost, expected, first)
        return {p: self._kept(p, offset, held[p]) for p, offset in expected.items()}

    async def _assign(self, first: Offsets) -> dict[TopicPartition, int]:
        expected: dict[TopicPartition, int] = {}
        for pipeline in self.pipelines:
            expected |= await pipeline.assign({p: o for p, o in first.items() if self._pipeline(p) is pipeline})
        return expected

    async def _begin_anew(
        self, lost: Mapping[TopicPartition, Bounds], expected: dict[TopicPartition, int], first: Offsets
    ) -> dict[TopicPartition, int]:
        for partition, held in lost.items():
            logger.error(
                "%s[%d]: expected offset %d, but the log ends at %d: the topic was deleted and created anew, or it is "
                "another cluster; reading it from its beginning, where events that are stored already will be known",
                *partition,
                expected[partition],
                held.end,
            )
        if not lost:
            return expected
        await self._rewind({p: held.earliest for p, held in lost.items()})
        return await self._assign(first)

    def _kept(self, partition: TopicPartition, offset: int, held: Bounds) -> int:
        if offset < held.earliest:
            logger.error(
                "%s[%d]: offsets %d to %d were deleted by retention before they were read",
                *partition,
                offset,
                held.earliest - 1,
            )
        return max(offset, held.earliest)

    def _give_way(self, fenced: Fenced) -> None:
        """Begin again at the offsets of the database, unless it is the same each time."""
        self._expected = {}
        batches = sum(pipeline.statistics().batches for pipeline in self.pipelines)
        self._fences = self._fences + 1 if batches == self._batches_before else 1
        self._batches_before = batches
        if self._fences > MOST_FENCES:
            raise fenced
        logger.warning("%s", fenced)

    def _pipeline(self, partition: TopicPartition) -> Pipeline:
        return self.pipelines[partition.partition % len(self.pipelines)]
