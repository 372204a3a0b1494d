"""A bus that keeps what is published, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from eventbus.event import Event
from eventbus.record import ProducerRecord
from tests.unit.chains.clocks import ManualClock


class ListBus:
    """Keeps what is published, and when.

    Args:
        on_publish: called before each batch is taken; may raise, or move the clock.
    """

    def __init__(self, clock: ManualClock, on_publish: Callable[[], None] = lambda: None) -> None:
        self.clock = clock
        self.on_publish = on_publish
        self.records: list[tuple[int, ProducerRecord]] = []

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        now, batch = self.clock.now, list(events)
        await asyncio.sleep(0)
        self.on_publish()
        for one in batch:
            assert isinstance(one, ProducerRecord)
            self.records.append((now, one))
        return len(batch)

    @property
    def events(self) -> list[Event]:
        return [Event.from_bytes(record.value or b"") for _, record in self.records]

    @property
    def published_at(self) -> list[int]:
        return [now for now, _ in self.records]
