"""Stored events: from rows to events, and pages of them with cursors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import orjson

from eventbus.event import Event, microseconds
from eventbus.processors.errors import InvalidCursor

if TYPE_CHECKING:
    import asyncpg

cursor_pattern = re.compile(r"(-?\d{1,18})\.([0-9a-f-]{36})")
"""Timestamp in microseconds since 1970, and event id."""


class StoredPage(NamedTuple):
    """A page of events, newest first."""

    events: list[Event]
    next_cursor: str | None
    """Cursor of the next page; None on the last page."""


def event_page(rows: Sequence[asyncpg.Record], limit: int) -> StoredPage:
    """A page of up to `limit` events; a further row means that there is a next page."""
    events = [event_from_row(row) for row in rows[:limit]]
    return StoredPage(events, _cursor(events[-1]) if events and len(rows) > limit else None)


def event_from_row(row: asyncpg.Record) -> Event:
    """The event of a row of the table `events`."""
    # payloads are stored exactly, but orjson decodes integers of more than 64 bits as floats
    event_id, timestamp, correlation_id, causation_id, *texts, payload = row
    event_type, tenant_id, namespace, source, schema_version = texts
    return Event(
        str(event_id),
        event_type,
        timestamp,
        str(correlation_id),
        str(causation_id) if causation_id else None,
        tenant_id,
        namespace,
        source,
        schema_version,
        orjson.loads(payload),
    )


def parse_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Timestamp and id of the last event of the previous page.

    Raises:
        InvalidCursor: it is not the `next_cursor` of a page.
    """
    try:
        match = cursor_pattern.fullmatch(cursor)
        time, event_id = match.groups() if match else ("", "")
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time)), UUID(event_id)
    except (ValueError, OverflowError) as error:
        raise InvalidCursor(f"expected the next_cursor of a page, got {cursor!r}") from error


def _cursor(event: Event) -> str:
    return f"{microseconds(event.timestamp)}.{event.event_id}"
