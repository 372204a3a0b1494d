"""What this door needs of an event store. Anything with these methods can stand behind the routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from eventbus.event import Event
from eventbus.views import StoredChain


class Page(Protocol):
    """Some events, newest first, and where the next ones begin."""

    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def next_cursor(self) -> str | None: ...


class Store(Protocol):
    """Stored events, chains and statistics. Methods raise OSError or TimeoutError when the store does not answer."""

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
    ) -> Page:
        """The newest events that match, from `since` on and before `until`.

        Raises:
            ValueError: a cursor that it did not give.
        """
        ...

    async def event(self, event_id: str) -> Event | None: ...
    async def chain(self, correlation_id: str) -> StoredChain | None: ...
    async def statistics(
        self, since: datetime | None = None, until: datetime | None = None, tenant_id: str | None = None
    ) -> dict[str, Any]:
        """Counts of events and chains (`eventbus.api.models.Statistics` has the shape)."""
        ...

    async def ping(self) -> object:
        """Return once the store has answered; raise when it does not."""
        ...
