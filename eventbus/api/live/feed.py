"""The live feed: one reader of the bus for any number of subscribers, each of which is told what it missed."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self, TypeVar

import orjson
import structlog

from eventbus.api.live.frames import EVERYTHING, Encoder, Filter
from eventbus.api.live.ring import FrameRing, LiveStats
from eventbus.api.problems import FeedFailed
from eventbus.bus import EventBus

T = TypeVar("T")

log = structlog.get_logger(__name__)


class LiveFeed:
    """Reads live events from a bus into a ring of frames.

    Reading starts with the first subscriber and stops `linger` seconds after the last one has left, so that a client
    that reconnects gets the events in between.

    Args:
        bus: read without a group, from its latest records on.
        topics: to read.
        max_events: number of events after which a frame is closed.
        interval: seconds from its first event after which a frame is closed.
        ring_bytes: event JSON kept for slow and returning subscribers, in bytes.
        linger: seconds.
        new_name: returns a unique name for each ring.
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
        self._stats = LiveStats()
        self._new_ring: Callable[[], FrameRing] = lambda: FrameRing(
            new_name(), self._stats, max_events=max_events, interval=interval, ring_bytes=ring_bytes
        )
        self._ring: FrameRing | None = None
        self._reader: asyncio.Task[None] | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._closed: str | None = None
        self._unused = asyncio.Event()
        self._unused.set()

    def __repr__(self) -> str:
        return f"<LiveFeed of {len(self._topics)} topics, {self._stats.clients} clients, {self._ring}>"

    def statistics(self) -> LiveStats:
        """A copy of the counters."""
        return replace(self._stats)

    def subscribe(
        self,
        encoder: Encoder[T],
        event_filter: Filter = EVERYTHING,
        *,
        after: str | None = None,
        heartbeat: float = 15.0,
    ) -> Subscriber[T]:
        """A new subscriber, to be entered by `async with` and iterated for messages.

        Args:
            encoder: of its connection.
            event_filter: of its events.
            after: id of the last frame received in an earlier connection.
            heartbeat: seconds without a message after which it gets a heartbeat.
        """
        return Subscriber(self, encoder, event_filter, after, heartbeat)

    async def close(self, reason: str = "the server is shutting down", *, patience: float = 1.0) -> None:
        """End every stream with a last message, and wait up to `patience` seconds for the subscribers to leave."""
        self._closed = reason
        if self._linger_timer:
            self._linger_timer.cancel()
        self._end_reading(reason)
        if self._reader:
            await asyncio.wait([self._reader])
        try:
            async with asyncio.timeout(patience):
                await self._unused.wait()
        except TimeoutError:
            log.warning("live_clients_left_behind", clients=self._stats.clients)

    async def enter(self) -> FrameRing:
        """Count a subscriber and return the ring to read.

        Raises:
            FeedFailed: the bus cannot be read.
        """
        self._stats.clients += 1
        self._unused.clear()
        if self._linger_timer:
            self._linger_timer.cancel()
        try:
            ring = self._current()
            await ring.opened.wait()
            if ring.ended and not self._closed:
                raise FeedFailed(ring.ended)
        except BaseException:
            self.leave()
            raise
        return ring

    def leave(self) -> None:
        """Count a subscriber that has left."""
        self._stats.clients -= 1
        if self._stats.clients:
            return
        self._unused.set()
        if not self._closed:
            self._linger_timer = asyncio.get_running_loop().call_later(self._linger, self._stop_reading)

    def skip(self, events: int) -> None:
        """Count events that a subscriber missed."""
        self._stats.skipped += events

    def _current(self) -> FrameRing:
        if self._ring is None or (self._ring.ended and not self._closed):
            self._ring = ring = self._new_ring()
            if self._closed:
                ring.end(self._closed)
            else:
                self._reader = asyncio.create_task(self._read(ring), name="live-feed")
        return self._ring

    async def _read(self, ring: FrameRing) -> None:
        reason = "the bus is closed"
        try:
            async with self._bus.subscribe(self._topics, auto_offset_reset="latest") as subscription:
                ring.opened.set()
                async for records in subscription.batches():
                    ring.record_loss(subscription.lost)
                    ring.append(records)
        except Exception as error:  # subscribers are told of any failure, and the next one starts a new ring
            log.warning("live_feed_failed", error=str(error), kind=type(error).__name__)
            reason = f"the bus cannot be read: {error}"
        finally:
            ring.end(reason)

    def _stop_reading(self) -> None:
        self._end_reading("the last subscriber has left")

    def _end_reading(self, reason: str) -> None:
        if self._ring:
            self._ring.end(reason)
        if self._reader:
            self._reader.cancel()


class Subscriber(Generic[T]):
    """The position of a client in the feed; an iterator of the messages to send to it."""

    def __init__(
        self, feed: LiveFeed, encoder: Encoder[T], event_filter: Filter, after: str | None, heartbeat: float
    ) -> None:
        self._feed = feed
        self._encoder = encoder
        self._event_filter = event_filter
        self._after = after
        self._heartbeat = heartbeat
        self._ring: FrameRing
        self._index = 0
        self._last_seen = 0
        self._skipped = 0
        self._ended = False

    async def __aenter__(self) -> Self:
        self._ring = await self._feed.enter()
        self._index = self._ring.end_index
        self._last_seen = self._ring.last
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._feed.leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._ended:
            raise StopAsyncIteration
        if self._after is not None and (gap := self._resume(self._after)) is not None:
            return gap
        while True:
            if (message := self._next_message()) is not None:
                return message
            if self._ring.ended:
                self._ended = True
                return self._encoder.end(orjson.dumps({"reason": self._ring.ended}))
            if not await self._ring.wait(self._index, self._heartbeat):
                heartbeat = self._encoder.heartbeat(self._identity)
                if heartbeat is not None:
                    return heartbeat

    @property
    def _identity(self) -> str:
        return f"{self._ring.name}-{self._last_seen}"

    def _next_message(self) -> T | None:
        """The next message from the ring; None if there is none yet."""
        while True:
            if self._index < self._ring.oldest:  # overtaken by the ring: continue with the latest frame
                self._index = self._ring.end_index - 1
            frame = self._ring.frame(self._index)
            if frame is None:
                return None
            missed = frame.first - 1 - self._last_seen
            self._feed.skip(missed)
            self._skipped += missed
            self._index += 1
            self._last_seen = frame.last
            message = frame.message(self._event_filter, self._encoder, self._skipped)
            if message is not None:
                self._skipped = 0
                return message

    def _resume(self, after: str) -> T | None:
        """Continue after the last frame received; returns a gap message if events in between are gone."""
        self._after = None
        name, _, number = after.rpartition("-")
        sequence = int(number) if number.isdecimal() and len(number) < 20 else -1
        ring = self._ring
        if name != ring.name or not 0 <= sequence <= ring.last:
            return self._gap(after, None)
        self._index = ring.index_after(sequence)
        oldest = ring.frame(self._index)
        self._last_seen = oldest.first - 1 if oldest else ring.last
        lost = self._last_seen - sequence
        return self._gap(after, lost) if lost > 0 else None

    def _gap(self, after: str, lost: int | None) -> T:
        self._feed.skip(lost or 0)
        return self._encoder.gap(self._identity, orjson.dumps({"after": after, "lost": lost}))
