"""The live feed: one reader of the bus for any number of viewers, each of which sees all of it or is told what not."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self, TypeVar

import orjson
import structlog

from eventbus.api.live.frames import EVERYTHING, Filter, Form
from eventbus.api.live.ring import Channel, LiveNumbers
from eventbus.api.problems import FeedFailed
from eventbus.bus import EventBus

T = TypeVar("T")

log = structlog.get_logger(__name__)


class LiveFeed:
    """Frames of live events from a bus.

    The bus is read from the first viewer on until `linger` seconds after the last one has left, so that a client
    which loses its connection finds what it missed.

    Args:
        bus: read without a group, from now on.
        topics: what to read.
        max_events: a frame is closed when it has this many events,
        interval: or this many seconds after its first one.
        ring_bytes: how much is kept for slow and returning viewers, in bytes of event JSON.
        linger: in seconds.
        new_name: names each reading of the bus.
    """

    def __init__(
        self,
        bus: EventBus,
        topics: Iterable[str],
        *,
        max_events: int = 500,
        interval: float = 0.05,
        ring_bytes: int = 16 << 20,
        linger: float = 30.0,
        new_name: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._bus = bus
        self._topics = sorted(topics)
        self._linger = linger
        self._numbers = LiveNumbers()
        self._new_channel: Callable[[], Channel] = lambda: Channel(
            new_name(), self._numbers, max_events=max_events, interval=interval, ring_bytes=ring_bytes
        )
        self._channel: Channel | None = None
        self._reader: asyncio.Task[None] | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._closed: str | None = None
        self._deserted = asyncio.Event()
        self._deserted.set()

    def __repr__(self) -> str:
        return f"<LiveFeed of {len(self._topics)} topics, {self._numbers.clients} clients, {self._channel}>"

    def statistics(self) -> LiveNumbers:
        """The counters, at this moment."""
        return replace(self._numbers)

    def viewer(
        self, form: Form[T], wanted: Filter = EVERYTHING, *, after: str | None = None, heartbeat: float = 15.0
    ) -> Viewer[T]:
        """A new client. Use it in `async with`, and iterate it for messages.

        Args:
            form: how messages look on its connection.
            wanted: which events.
            after: id of the last frame that it saw in an earlier connection.
            heartbeat: seconds of silence before it gets a heartbeat.
        """
        return Viewer(self, form, wanted, after, heartbeat)

    async def close(self, reason: str = "the server is shutting down", *, patience: float = 1.0) -> None:
        """End every stream with a last message, and give the viewers `patience` seconds to send it and leave."""
        self._closed = reason
        if self._leaving:
            self._leaving.cancel()
        self._end_reading(reason)
        if self._reader:
            await asyncio.wait([self._reader])
        try:
            async with asyncio.timeout(patience):
                await self._deserted.wait()
        except TimeoutError:
            log.warning("live_clients_left_behind", clients=self._numbers.clients)

    async def enter(self) -> Channel:
        """One viewer more: the channel it shall read.

        Raises:
            FeedFailed: the bus cannot be read.
        """
        self._numbers.clients += 1
        self._deserted.clear()
        if self._leaving:
            self._leaving.cancel()
        try:
            channel = self._current()
            await channel.opened.wait()
            if channel.ended and not self._closed:
                raise FeedFailed(channel.ended)
        except BaseException:
            self.leave()
            raise
        return channel

    def leave(self) -> None:
        """One viewer less."""
        self._numbers.clients -= 1
        if self._numbers.clients:
            return
        self._deserted.set()
        if not self._closed:
            self._leaving = asyncio.get_running_loop().call_later(self._linger, self._desert)

    def skip(self, events: int) -> None:
        """Count events that a viewer has missed."""
        self._numbers.skipped += events

    def _current(self) -> Channel:
        if self._channel is None or (self._channel.ended and not self._closed):
            self._channel = channel = self._new_channel()
            if self._closed:
                channel.end(self._closed)
            else:
                self._reader = asyncio.create_task(self._read(channel), name="live-feed")
        return self._channel

    async def _read(self, channel: Channel) -> None:
        reason = "the bus is closed"
        try:
            async with self._bus.subscribe(self._topics, auto_offset_reset="latest") as subscription:
                channel.opened.set()
                async for records in subscription.batches():
                    channel.miss(subscription.lost)
                    channel.gather(records)
        except Exception as error:  # whatever it is, viewers must hear of it, and the next one tries anew
            log.warning("live_feed_failed", error=str(error), kind=type(error).__name__)
            reason = f"the bus cannot be read: {error}"
        finally:
            channel.end(reason)

    def _desert(self) -> None:
        self._end_reading("nobody was looking")

    def _end_reading(self, reason: str) -> None:
        if self._channel:
            self._channel.end(reason)
        if self._reader:
            self._reader.cancel()


class Viewer(Generic[T]):
    """One client's place in the feed; iterating it gives the messages to send, and ends after the last."""

    def __init__(self, feed: LiveFeed, form: Form[T], wanted: Filter, after: str | None, heartbeat: float) -> None:
        self._feed = feed
        self._form = form
        self._wanted = wanted
        self._after = after
        self._heartbeat = heartbeat
        self._channel: Channel
        self._index = 0
        self._seen = 0
        self._skipped = 0
        self._over = False

    async def __aenter__(self) -> Self:
        self._channel = await self._feed.enter()
        self._index = self._channel.end_index
        self._seen = self._channel.last
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._over:
            raise StopAsyncIteration
        if self._after is not None and (gap := self._resume(self._after)) is not None:
            return gap
        while True:
            if (message := self._next_message()) is not None:
                return message
            if self._channel.ended:
                self._over = True
                return self._form.end(orjson.dumps({"reason": self._channel.ended}))
            if not await self._channel.wait(self._index, self._heartbeat):
                beat = self._form.heartbeat(self._identity)
                if beat is not None:
                    return beat

    @property
    def _identity(self) -> str:
        return f"{self._channel.name}-{self._seen}"

    def _next_message(self) -> T | None:
        """The next message for this viewer out of the ring; None when it has to wait."""
        while True:
            if self._index < self._channel.oldest:  # overtaken: go on with the newest, live is what it came for
                self._index = self._channel.end_index - 1
            frame = self._channel.frame(self._index)
            if frame is None:
                return None
            missed = frame.first - 1 - self._seen
            self._feed.skip(missed)
            self._skipped += missed
            self._index += 1
            self._seen = frame.last
            message = frame.message(self._wanted, self._form, self._skipped)
            if message is not None:
                self._skipped = 0
                return message

    def _resume(self, after: str) -> T | None:
        """Go back to where the client was; a message when some of what it missed is gone."""
        self._after = None
        name, _, number = after.rpartition("-")
        sequence = int(number) if number.isdecimal() and len(number) < 20 else -1
        channel = self._channel
        if name != channel.name or not 0 <= sequence <= channel.last:
            return self._gap(after, None)
        self._index = channel.index_after(sequence)
        oldest = channel.frame(self._index)
        self._seen = oldest.first - 1 if oldest else channel.last
        lost = self._seen - sequence
        return self._gap(after, lost) if lost > 0 else None

    def _gap(self, after: str, lost: int | None) -> T:
        self._feed.skip(lost or 0)
        return self._form.gap(self._identity, orjson.dumps({"after": after, "lost": lost}))
