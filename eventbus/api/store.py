"""The protocol of the event store behind the routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from eventbus.event import Event
from eventbus.views import ChainView


class EventPage(Protocol):
    """A page of events, newest first, with a cursor for the next page."""

    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def next_cursor(self) -> str | None: ...


class Store(Protocol):
    """Stored events, chains and statistics. Methods raise OSError or TimeoutError if the store does not answer."""

    async def events(
        self,
        *,
        correlation_id: str | None = None,
        event_type: str | None = None,
        tenant_id: str | None = None,
        namespace: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> EventPage:
        """The newest events that match, from `since` to before `until`.

        Raises:
            ValueError: the cursor is not one of this store.
        """
        ...

    async def event(self, event_id: str) -> Event | None: ...
    async def chain(self, correlation_id: str) -> ChainView | None: ...
    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None, tenant_id: str | None = None
    ) -> dict[str, Any]:
        """Counts of events and chains in the form of `eventbus.api.models.Statistics`."""
        ...

    async def ping(self) -> object:
        """Return once the store has answered; raises if it does not."""
        ...
