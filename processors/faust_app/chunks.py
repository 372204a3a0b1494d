"""What both transports share: whole chunks of a partition for the agent, and progress that PostgreSQL keeps.

Faust commits past events it never processed (an agent that raises, a chunk in flight at a rebalance), so it is not
asked to remember anything: it schedules the agents, and every assignment starts where the database says. This leans
on internals of Faust, which is why exactly one release of it is accepted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol, cast

from faust.transport.consumer import Consumer
from faust.types import TP, ConsumerMessage, Message

from eventbus.processors.errors import UnsupportedFaust
from eventbus.record import TopicPartition

FAUST = "0.15.3"


class Chunk(NamedTuple):
    """A run of one partition, as it was fetched: everything the log holds from `start` up to, not including, `end`."""

    start: int
    """The offset asked for; the first record may come later (compaction, transaction markers)."""
    end: int
    records: list[tuple[int, bytes | None]]
    """Offset and value."""


class Bounds(NamedTuple):
    """The offsets a log holds: from `earliest` up to, not including, `end`."""

    earliest: int
    end: int


class PositionMoved(Exception):
    """A position is not where it was left: the log does not have that offset any more."""


class Progress(Protocol):
    """Who knows which topics come in chunks, and how far each partition has been processed."""

    topics: frozenset[str]

    async def assign(
        self, partitions: Iterable[TopicPartition], bounds: Callable[[], Awaitable[Mapping[TopicPartition, Bounds]]]
    ) -> Mapping[TopicPartition, int]:
        """These partitions, and no others, are read from now on: where does each one go on?"""
        ...

    def committed(self) -> Mapping[TopicPartition, int]:
        """The next offset of each assigned partition, as the database has it."""
        ...


class WithProgress(Protocol):
    """What the application must have."""

    progress: Progress


class ChunkConsumer(Consumer):
    """The part of a Faust consumer that deals in chunks; topics not in `progress.topics` are left to Faust."""

    _published: dict[TP, int] | None = None

    @property
    def progress(self) -> Progress:
        return cast(WithProgress, self.app).progress

    async def bounds(self, partitions: Iterable[TP]) -> dict[TP, Bounds]:
        """What the log holds now of each partition."""
        raise NotImplementedError

    async def seek_chunks(self, offsets: Mapping[TP, int]) -> None:
        """Fetch these partitions from these offsets on."""
        raise NotImplementedError

    async def seek_rest(self, partitions: set[TP]) -> Mapping[TP, int]:
        """Seek the partitions that are not ours to where Faust committed them."""
        raise NotImplementedError

    async def publish(self, offsets: Mapping[TP, int]) -> None:
        """Tell the broker how far the database is, for its lag tools; nobody reads it back."""
        raise NotImplementedError

    async def _held(self, partitions: set[TP]) -> dict[TopicPartition, Bounds]:
        return {TopicPartition(*tp): bounds for tp, bounds in (await self.bounds(partitions)).items()}

    def is_chunked(self, tp: TP) -> bool:
        return tp.topic in self.progress.topics

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Called by Faust after every assignment, and the only way by which it learns where to go on."""
        assigned = self.assignment()
        chunked = {tp for tp in assigned if self.is_chunked(tp)}
        offsets = await self.progress.assign([TopicPartition(*tp) for tp in chunked], lambda: self._held(chunked))
        ours = {TP(*partition): offset for partition, offset in offsets.items()}
        await self.seek_chunks(ours)
        self._published = {}
        return {**await self.seek_rest(assigned - chunked), **ours}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """Fetch once; one message for each chunk, and one for each record of a topic that is not ours."""
        try:
            fetched, active = await self._wait_next_records(timeout)
        except PositionMoved as moved:
            self.log.warning("%s", moved)
            await self.perform_seek()
            return
        if not fetched or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        for tp, message in self._messages(fetched):
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return  # a rebalance: whoever owns the partition next reads this again
            if active is None or tp in active or tp in self._buffered_partitions:
                yield tp, message

    def _messages(self, fetched: Mapping[TP, Any]) -> Iterable[tuple[TP, Message]]:
        rest = {tp: records for tp, records in fetched.items() if not isinstance(records, Chunk)}
        for tp, chunk in fetched.items():
            if isinstance(chunk, Chunk):
                yield tp, self.chunk_message(tp, chunk)
        for tp, record in self.scheduler.iterate(rest):
            yield tp, self._to_message(tp, record)

    def chunk_message(self, tp: TP, chunk: Chunk) -> ConsumerMessage:
        """The chunk as Faust carries it: at its last offset, without key, headers or time."""
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            chunk.end - 1,
            0.0,
            0,
            [],
            None,
            cast(bytes, chunk),  # the raw serializer hands it on as it is
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def on_buffer_full(self, tp: TP) -> None:
        """Faust would stop fetching the partition, and sleep a second when it has stopped them all; its queue is
        short enough to simply wait for room."""
        if not self.is_chunked(tp):
            super().on_buffer_full(tp)

    async def verify_all_partitions_active(self) -> None:
        """Faust's own suspicion is of no use, because it keeps no account of chunks; the application has a watchdog."""

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Called by Faust from time to time and at the end: commit its own topics, and publish the progress of ours."""
        done: bool = await super().force_commit(topics, start_new_transaction=start_new_transaction)
        known = self._published or {}
        moved = {TP(*p): offset for p, offset in self.progress.committed().items() if known.get(TP(*p)) != offset}
        if moved:
            await self.publish(moved)
            self._published = {**known, **moved}
        return done


def require_faust(installed: str) -> None:
    """Refuse every release of Faust but the one whose internals are known.

    Raises:
        UnsupportedFaust: says which one is installed and which one is needed.
    """
    if installed != FAUST:
        raise UnsupportedFaust(f"expected faust-streaming {FAUST}, whose internals are relied upon, got {installed}")


require_faust(version("faust-streaming"))
