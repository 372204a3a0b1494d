"""The agent that stores events, and what other agents on the same topics need to read them.

Topics that are stored arrive in chunks, so that Faust handles one message where the log has hundreds of records.
An agent of your own, on the same application, unpacks them with `events`:

    @app.agent(app.topic("omninode.agent"))
    async def alert(stream):
        async for event in events(stream):
            ...

It follows the progress of the storing agent: after a crash it may see some events again, or miss some that were stored
already but still waited in its buffer. What must not be missed belongs into a group of its own, or into a query.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from faust.types import StreamT

from eventbus.errors import InvalidEvent
from eventbus.event import Event
from eventbus.processors.faust_app.chunks import Chunk
from eventbus.record import TopicPartition

if TYPE_CHECKING:
    from eventbus.processors.faust_app.app import EventApp


async def events(stream: StreamT[Chunk]) -> AsyncIterator[Event]:
    """The events of a stream of chunks, in order; what is no event is skipped, and stored as a dead letter."""
    async for chunk in stream:
        for _, value in chunk.records:
            try:
                event = Event.from_bytes(value or b"")
            except InvalidEvent:
                continue
            yield event


def add_storing_agent(app: EventApp) -> None:
    """Declare the agent that hands every chunk to the writer."""

    @app.agent(app.topic(*sorted(app.progress.topics)), name="store")
    async def store(stream: StreamT[Chunk]) -> None:
        """Chunks → PostgreSQL. Raises nothing: Faust would restart it behind the chunk that failed."""
        async for event in stream.events():
            try:
                if not await app.progress.put(TopicPartition(*event.message.tp), event.value):
                    await app.consumer.perform_seek()
            except Exception as error:
                await app.crash(error)
                return
