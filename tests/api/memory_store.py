"""An event store in memory, as small as its protocol allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventbus.event import Event


@dataclass(frozen=True)
class MemoryPage:
    events: list[Event]
    next_cursor: str | None


@dataclass(frozen=True)
class MemoryChain:
    events: list[Event]
    chain: str | None = "agent-execution"
    state: str = "completed"
    outcome: str | None = "completed"
    verdict: str | None = "conforms"

    @property
    def correlation_id(self) -> str:
        return self.events[0].correlation_id

    @property
    def tenant_id(self) -> str:
        return self.events[0].tenant_id

    @property
    def requested_at(self) -> datetime:
        return self.events[0].timestamp

    @property
    def started_at(self) -> datetime | None:
        return next((event.timestamp for event in self.events if ".started." in event.event_type), None)

    @property
    def ended_at(self) -> datetime | None:
        return self.events[-1].timestamp if self.outcome else None


class MemoryStore:
    """Events in the order of insertion; the cursor is the number of events returned so far."""

    def __init__(self) -> None:
        self.stored: list[Event] = []
        self.failure: Exception | None = None
        """Raised by every method while set."""

    def add(self, events: Iterable[Event]) -> None:
        self.stored.extend(events)

    async def ping(self) -> None:
        self._answer()

    async def events(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        **equal: str | None,
    ) -> MemoryPage:
        self._answer()
        matching = [
            event
            for event in reversed(self.stored)
            if all(value is None or getattr(event, name) == value for name, value in equal.items())
            and (since is None or event.timestamp >= since)
            and (until is None or event.timestamp < until)
        ]
        begin = int(cursor or 0)
        end = begin + limit
        return MemoryPage(matching[begin:end], str(end) if end < len(matching) else None)

    async def event(self, event_id: str) -> Event | None:
        self._answer()
        return next((event for event in self.stored if event.event_id == event_id), None)

    async def chain(self, correlation_id: str) -> MemoryChain | None:
        self._answer()
        events = [event for event in self.stored if event.correlation_id == correlation_id]
        return MemoryChain(events) if events else None

    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None, tenant_id: str | None = None
    ) -> dict[str, Any]:
        page = await self.events(since=since, until=until, tenant_id=tenant_id, limit=len(self.stored))
        by_type: dict[str, int] = {}
        for event in page.events:
            by_type[event.event_type] = by_type.get(event.event_type, 0) + 1
        chains = len({event.correlation_id for event in page.events})
        return {
            "events": {"total": len(page.events), "per_second": 0.0, "by_type": by_type},
            "chains": {"total": chains, "completed": chains, "failed": 0, "in_flight": 0, "by_chain": {}},
        }

    def _answer(self) -> None:
        if self.failure:
            raise self.failure
