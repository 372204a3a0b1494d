"""The agent that stores events, and `events`, with which other agents read the same topics.

Stored topics are delivered in batches, so that Faust handles one message instead of hundreds of records. An agent of
your own on the same application iterates over their events:

    @app.agent(app.topic("omninode.agent"))
    async def alert(stream):
        async for event in events(stream):
            ...

It reads from the offsets of the storing agent: after a crash it may see some events again, and miss others that were
stored but still in its buffer. An agent that must not miss events needs its own consumer group, or a query.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from faust.types import StreamT

from eventbus.errors import InvalidEvent
from eventbus.event import Event
from eventbus.processors.ingest.router import FetchedBatch, PartitionRouter
from eventbus.record import TopicPartition


async def events(stream: StreamT[FetchedBatch]) -> AsyncIterator[Event]:
    """The events of a stream of batches, in order; records that are not events are skipped."""
    async for batch in stream:
        for _, value in batch.records:
            try:
                event = Event.from_bytes(value or b"")
            except InvalidEvent:
                continue
            yield event


async def store(
    stream: StreamT[FetchedBatch],
    router: PartitionRouter,
    *,
    reseek: Callable[[], Awaitable[object]],
    crash: Callable[[BaseException], Awaitable[object]],
) -> None:
    """Pass every batch to the router. Raises nothing: Faust would restart the agent behind the batch that failed.

    Args:
        reseek: called when batches are missing, to fetch them again.
        crash: called with an error of the writer, to stop the application.
    """
    async for event in stream.events():
        try:
            if not await router.put(TopicPartition(*event.message.tp), event.value):
                await reseek()
        except Exception as error:
            await crash(error)
            return
