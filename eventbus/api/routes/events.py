"""Stored events: browse them, get one."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Path, Query, Request, Response

from eventbus.api.parameters import EventQuery, Uuid
from eventbus.api.problems import Detail, Refusal, bad_request, json_answer
from eventbus.api.store import Store
from eventbus.bus import EventBus
from eventbus.catalog import Catalog
from eventbus.catalog.model import full_name
from eventbus.errors import EventBusError, InvalidEvent
from eventbus.event import DEFAULT_NAMESPACE, DEFAULT_TENANT, Event, microseconds, uuid7
from eventbus.record import record_of

# Events from outside: one, a list, or lines of JSON; each gets its verdict, and the good ones go onto the bus.


LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})

UNKNOWN_TYPE = "this type is not in the catalog: its payload was not checked"


@dataclass(frozen=True, slots=True)
class Judged:
    """One item of a request, and what became of it."""

    event: Event | None
    """None when it is invalid."""
    details: Sequence[Detail] = ()
    note: str | None = None

    def to_dict(self, index: int) -> dict[str, Any]:
        if self.event is None:
            return {"index": index, "verdict": "invalid", "details": [detail._asdict() for detail in self.details]}
        answer = {
            "index": index,
            "verdict": "accepted",
            "event_id": self.event.event_id,
            "correlation_id": self.event.correlation_id,
        }
        return {**answer, "note": self.note} if self.note else answer


class Inbox:
    """The writing route of `/api/event-bus/events`.

    Args:
        topic_of: names the topic of an event type.
        max_body: largest request taken, in bytes.
        random_bits: makes the random part of ids (62 bits).
    """

    def __init__(
        self,
        bus: EventBus,
        catalog: Catalog,
        now: Callable[[], datetime],
        *,
        topic_of: Callable[[str], str],
        max_body: int = 5 << 20,
        random_bits: Callable[[], int] = lambda: secrets.randbits(62),
    ) -> None:
        self._bus = bus
        self._catalog = catalog
        self._now = now
        self._topic_of = topic_of
        self._max_body = max_body
        self._random_bits = random_bits

    async def post(self, request: Request) -> Response:
        """Put events onto the bus: one object, a list of them, or one a line (`application/x-ndjson`).

        An event may be complete, or as short as `event_type` and `payload`: the rest is filled in. Each item is
        judged on its own. 202: at least one was accepted, and is in the log; 400: none was.
        """
        items = parse_items(await read_body(request, self._max_body), request.headers.get("content-type", ""))
        judged = [self.judge(item) for item in items]
        accepted = [item.event for item in judged if item.event]
        results = [item.to_dict(index) for index, item in enumerate(judged)]
        if not accepted:
            return json_answer(
                {"error": "no event was accepted", "details": _all_details(judged), "results": results}, 400
            )
        try:
            await self._bus.publish_many([record_of(event, self._topic_of(event.event_type)) for event in accepted])
        except EventBusError as error:
            raise Refusal(503, f"the bus failed: {error}; some of these events may be in the log") from error
        return json_answer({"accepted": len(accepted), "invalid": len(judged) - len(accepted), "results": results}, 202)

    def judge(self, item: Any) -> Judged:
        """Complete one item, and check its envelope and its payload."""
        try:
            event = Event.from_dict(self._completed(item) if isinstance(item, dict) else item)
            event.to_bytes()
        except InvalidEvent as error:
            return Judged(None, [Detail(error.field or "event", error.problem)])
        except orjson.JSONEncodeError as error:  # nested deeper than it can be written again
            return Judged(None, [Detail("payload", f"expected JSON of ordinary depth: {error}")])
        if event.event_type not in self._catalog.events:
            return Judged(event, note=UNKNOWN_TYPE)
        problems = self._catalog.validate(event.event_type, event.payload)
        if problems:
            return Judged(None, [Detail(problem.field, problem.message) for problem in problems])
        return Judged(event)

    def _completed(self, item: dict[str, Any]) -> dict[str, Any]:
        now = self._now()
        if (name := full_name(str(item.get("event_type") or ""))) in self._catalog.events:
            item = {**item, "event_type": name}
        event_id = item.get("event_id") or uuid7(microseconds(now), self._random_bits())
        known = self._catalog.events.get(str(item.get("event_type")))
        return {
            "event_id": event_id,
            "timestamp": now,
            "correlation_id": event_id,
            "causation_id": None,
            "tenant_id": DEFAULT_TENANT,
            "namespace": DEFAULT_NAMESPACE,
            "source": known.source if known else "http",
            "schema_version": known.schema_version if known else "1.0.0",
            **item,
        }


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: it is larger than the limit (413); what comes after that is not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refusal(413, f"expected a body of at most {limit:,} bytes")
    return bytes(body)


def parse_items(body: bytes, content_type: str) -> list[Any]:
    """The items of a request.

    Raises:
        Refusal: the body is not JSON, or has no item.
    """
    if content_type.partition(";")[0].strip().lower() in LINES:
        items = [_loads(line, f"line {number}") for number, line in enumerate(body.splitlines(), 1) if line.strip()]
    else:
        content = _loads(body, "body")
        items = content if isinstance(content, list) else [content]
    if not items:
        raise Refusal(400, "expected at least one event, got none", [Detail("body", "empty")])
    return items


def _loads(text: bytes, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the {where} is not JSON", [Detail(where, str(error))]) from error


def _all_details(judged: Sequence[Judged]) -> list[dict[str, str]]:
    return [
        {"field": f"[{index}].{detail.field}" if len(judged) > 1 else detail.field, "message": detail.message}
        for index, item in enumerate(judged)
        for detail in item.details
    ]


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
