"""One reading of the bus, from its start to its end: numbered frames, the newest of them kept for whoever is behind."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from eventbus.api.live.frames import Frame, Label, label_of
from eventbus.record import ConsumerRecord


@dataclass(slots=True)
class LiveNumbers:
    """What the live feed counts."""

    clients: int = 0
    """Connected now."""
    events: int = 0
    """Read from the bus."""
    frames: int = 0
    skipped: int = 0
    """Events that some client missed, summed over clients."""
    poison: int = 0
    """Records that are no events: left out of frames."""


class Channel:
    """A ring of frames, and the news that there is one more.

    The ring is every client's backlog at once: a client is an index into it, so a slow one costs nothing and holds
    nobody up.

    Args:
        name: tells this numbering of events from that of another channel.
        numbers: counted here.
        max_events: a frame is closed when it has this many events,
        interval: or this many seconds after its first one.
        ring_bytes: how much event JSON is kept.
    """

    def __init__(self, name: str, numbers: LiveNumbers, *, max_events: int, interval: float, ring_bytes: int) -> None:
        self.name = name
        self.last = 0
        """Number of the newest event, be it in a frame or lost; the first is 1."""
        self.oldest = 0
        """Index of the oldest frame kept."""
        self.ended: str | None = None
        """Why there will be no more frames; None while there may be."""
        self.opened = asyncio.Event()
        """Set once the bus is being read, or cannot be."""
        self._numbers = numbers
        self._max_events = max_events
        self._interval = interval
        self._ring_bytes = ring_bytes
        self._ring: deque[Frame] = deque()
        self._kept_bytes = 0
        self._lost = 0
        self._values: list[bytes] = []
        self._labels: list[Label] = []
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Channel {self.name}: {len(self._ring)} frames up to event {self.last}, {self.ended or 'open'}>"

    @property
    def end_index(self) -> int:
        """Index that the next frame will have."""
        return self.oldest + len(self._ring)

    def frame(self, index: int) -> Frame | None:
        """The frame at an index that is still kept; None when it has not come yet."""
        return self._ring[index - self.oldest] if index < self.end_index else None

    def index_after(self, sequence: int) -> int:
        """Index of the oldest frame kept that has an event after this number."""
        return self.oldest + sum(frame.last <= sequence for frame in self._ring)

    async def wait(self, index: int, seconds: float) -> bool:
        """Wait for the frame at an index, or the end; False when neither has come within the time."""
        try:
            async with asyncio.timeout(seconds):
                while index >= self.end_index and self.ended is None:
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def miss(self, lost: int) -> None:
        """Number events that the bus dropped before they could be read, so that every client sees that it missed them.

        Args:
            lost: how many there were, since the start.
        """
        if lost > self._lost:
            self.flush()
            self.last += lost - self._lost
            self._lost = lost

    def gather(self, records: Iterable[ConsumerRecord]) -> None:
        """Take records on the way to the next frame."""
        for record in records:
            label = label_of(record.value)
            if label is None or record.value is None:
                self._numbers.poison += 1
                continue
            self._values.append(record.value)
            self._labels.append(label)
            if len(self._values) >= self._max_events:
                self.flush()
        if self._values and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self.flush)

    def flush(self) -> None:
        """Close the frame being gathered, if there is one."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._values:
            self._push(Frame(self.name, self.last + 1, self._values, self._labels))
            self._values, self._labels = [], []

    def end(self, reason: str) -> None:
        """There will be no more frames. The first reason given stays."""
        self.flush()
        self.ended = self.ended or reason
        self.opened.set()
        self._tell()

    def _push(self, frame: Frame) -> None:
        self.last = frame.last
        self._ring.append(frame)
        self._kept_bytes += frame.size
        while self._kept_bytes > self._ring_bytes and len(self._ring) > 1:
            self._kept_bytes -= self._ring.popleft().size
            self.oldest += 1
        self._numbers.events += frame.last - frame.first + 1
        self._numbers.frames += 1
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
