"""Stored events: browse them, get one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Response

from eventbus.api.errors import Refusal, bad_request, json_answer
from eventbus.api.parameters import EventQuery, Uuid
from eventbus.api.store import Store


class Events:
    """The reading routes of `/api/event-bus/events`."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def browse(self, query: Annotated[EventQuery, Query()]) -> Response:
        """Stored events that match all the filters given, newest first.

        No match is an empty list; but a correlation id of which nothing at all is stored is unknown: 404.
        """
        since, until = query.bounds(self._now())
        try:
            page = await self._store.events(
                correlation_id=query.correlation_id,
                event_type=query.event_type,
                tenant_id=query.tenant_id,
                namespace=query.namespace,
                source=query.source,
                since=since,
                until=until,
                limit=query.limit,
                cursor=query.cursor,
            )
        except ValueError as error:
            if query.cursor is None:
                raise
            raise bad_request("cursor", f"expected a next_cursor of an earlier answer, got {query.cursor}") from error
        if not page.events and query.correlation_id is not None:
            await self._require_known(query.correlation_id)
        return json_answer({"events": [event.to_dict() for event in page.events], "next_cursor": page.next_cursor})

    async def _require_known(self, correlation_id: str) -> None:
        if not (await self._store.events(correlation_id=correlation_id, limit=1)).events:
            raise Refusal(404, f"no event of the chain {correlation_id} is stored")

    async def one(self, event_id: Annotated[Uuid, Path()]) -> Response:
        """One stored event."""
        event = await self._store.event(event_id)
        if event is None:
            raise Refusal(404, f"no event {event_id} is stored")
        return json_answer(event.to_dict())
