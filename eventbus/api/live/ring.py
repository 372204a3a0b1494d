"""The ring of the latest frames: numbers live events and keeps them for slow and returning subscribers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from eventbus.api.live.frames import FilterKey, Frame, filter_key_of
from eventbus.record import ConsumerRecord


@dataclass(slots=True)
class LiveStats:
    """Counters of the live feed."""

    clients: int = 0
    """Clients connected now."""
    events: int = 0
    """Events read from the bus."""
    frames: int = 0
    skipped: int = 0
    """Events missed by slow clients, summed over clients."""
    poison: int = 0
    """Records that are not events; frames do not contain them."""


class FrameRing:
    """A ring buffer of frames that notifies waiting subscribers of new ones.

    It is the backlog of all subscribers: each keeps an index into it, so that a slow one costs nothing and delays no
    other.

    Args:
        name: identifies this ring and its numbering of events.
        stats: counters to update.
        max_events: number of events after which a frame is closed.
        interval: seconds from its first event after which a frame is closed.
        ring_bytes: limit of the event JSON kept.
    """

    def __init__(self, name: str, stats: LiveStats, *, max_events: int, interval: float, ring_bytes: int) -> None:
        self.name = name
        self.last = 0
        """Sequence number of the latest event, in a frame or lost; the first is 1."""
        self.oldest = 0
        """Index of the oldest frame kept."""
        self.ended: str | None = None
        """The reason why there are no more frames; None while the ring is open."""
        self.opened = asyncio.Event()
        """Set once the bus is being read, or has failed."""
        self._stats = stats
        self._max_events = max_events
        self._interval = interval
        self._ring_bytes = ring_bytes
        self._frames: deque[Frame] = deque()
        self._kept_bytes = 0
        self._lost = 0
        self._values: list[bytes] = []
        self._keys: list[FilterKey] = []
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    def __repr__(self) -> str:
        return f"<FrameRing {self.name}: {len(self._frames)} frames up to event {self.last}, {self.ended or 'open'}>"

    @property
    def end_index(self) -> int:
        """Index of the next frame."""
        return self.oldest + len(self._frames)

    def frame(self, index: int) -> Frame | None:
        """The frame at an index of at least `oldest`; None if it does not exist yet."""
        return self._frames[index - self.oldest] if index < self.end_index else None

    def index_after(self, sequence: int) -> int:
        """Index of the oldest frame with an event after this sequence number."""
        return self.oldest + sum(frame.last <= sequence for frame in self._frames)

    async def wait(self, index: int, seconds: float) -> bool:
        """Wait for the frame at an index or for the end; False if `seconds` pass first."""
        try:
            async with asyncio.timeout(seconds):
                while index >= self.end_index and self.ended is None:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def record_loss(self, lost: int) -> None:
        """Count events that the bus dropped unread in the numbering, so that every subscriber sees a gap.

        Args:
            lost: their total number since the start.
        """
        if lost > self._lost:
            self.flush()
            self.last += lost - self._lost
            self._lost = lost

    def append(self, records: Iterable[ConsumerRecord]) -> None:
        """Add records to the open frame."""
        for record in records:
            key = filter_key_of(record.value)
            if key is None or record.value is None:
                self._stats.poison += 1
                continue
            self._values.append(record.value)
            self._keys.append(key)
            if len(self._values) >= self._max_events:
                self.flush()
        if self._values and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self.flush)

    def flush(self) -> None:
        """Close the open frame, if it has events."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._values:
            self._append_frame(Frame(self.name, self.last + 1, self._values, self._keys))
            self._values, self._keys = [], []

    def end(self, reason: str) -> None:
        """End the ring. Only the first reason given is kept."""
        self.flush()
        self.ended = self.ended or reason
        self.opened.set()
        self._notify()

    def _append_frame(self, frame: Frame) -> None:
        self.last = frame.last
        self._frames.append(frame)
        self._kept_bytes += frame.size
        while self._kept_bytes > self._ring_bytes and len(self._frames) > 1:
            self._kept_bytes -= self._frames.popleft().size
            self.oldest += 1
        self._stats.events += frame.last - frame.first + 1
        self._stats.frames += 1
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
