"""`/api/event-bus/events`: stored events, and publishing new ones."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from eventbus.api import models
from eventbus.api.openapi import EVENTS_BODY, documented
from eventbus.api.parameters import EventQuery, Uuid
from eventbus.api.problems import Detail, ProblemError, bad_request, json_response
from eventbus.api.store import Store
from eventbus.bus import EventBus
from eventbus.catalog import Catalog
from eventbus.catalog.model import full_name
from eventbus.errors import EventBusError, InvalidEvent
from eventbus.event import DEFAULT_NAMESPACE, DEFAULT_TENANT, Event, microseconds, uuid7
from eventbus.record import record_of

NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
"""Content types of one JSON event a line."""

UNKNOWN_TYPE = "this type is not in the catalog: its payload was not checked"


def event_routes(store: Store, ingest: EventIngest, now: Callable[[], datetime]) -> APIRouter:
    """The routes of events."""
    router = APIRouter(tags=["events"], default_response_class=Response)

    @router.get("/api/event-bus/events", responses=documented(models.EventList, 400, 404, 503))
    async def list_events(query: Annotated[EventQuery, Query()]) -> Response:
        """Stored events that match all filters, newest first.

        Without a match, the list is empty; if no event of the correlation id is stored, the status is 404.
        """
        since, until = query.bounds(now())
        try:
            page = await store.events(
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
            await _require_chain(store, query.correlation_id)
        return json_response({"events": [event.to_dict() for event in page.events], "next_cursor": page.next_cursor})

    @router.post(
        "/api/event-bus/events",
        status_code=202,
        responses={
            202: {"model": models.IngestResult},
            400: {"model": models.IngestRefused},
            **documented(None, 413, 503),
        },
        openapi_extra=EVENTS_BODY,
    )
    async def publish_events(request: Request) -> Response:
        """Publish events: one object, a list of objects, or one a line (`application/x-ndjson`).

        Only `event_type` and `payload` are required; other fields are filled in. Each item is validated by itself.
        202: at least one was accepted and is in the log; 400: none was accepted.
        """
        return await ingest.publish(request)

    @router.get("/api/event-bus/events/{event_id}", responses=documented(models.StoredEvent, 400, 404, 503))
    async def get_event(event_id: Annotated[Uuid, Path()]) -> Response:
        """One stored event."""
        event = await store.event(event_id)
        if event is None:
            raise ProblemError(404, f"no event {event_id} is stored")
        return json_response(event.to_dict())

    return router


async def _require_chain(store: Store, correlation_id: str) -> None:
    if not (await store.events(correlation_id=correlation_id, limit=1)).events:
        raise ProblemError(404, f"no event of the chain {correlation_id} is stored")


@dataclass(frozen=True, slots=True)
class ItemResult:
    """The validation result of one item of a request."""

    event: Event | None
    """None if the item is invalid."""
    details: Sequence[Detail] = ()
    note: str | None = None

    def to_dict(self, index: int) -> dict[str, Any]:
        if self.event is None:
            return {"index": index, "verdict": "invalid", "details": [detail._asdict() for detail in self.details]}
        accepted = {
            "index": index,
            "verdict": "accepted",
            "event_id": self.event.event_id,
            "correlation_id": self.event.correlation_id,
        }
        return {**accepted, "note": self.note} if self.note else accepted


class EventIngest:
    """Validates the events of a request and publishes the valid ones.

    Args:
        topic_of: the topic of an event type.
        max_body: limit of a request body, in bytes.
        random_bits: the random part of new event ids (62 bits).
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

    async def publish(self, request: Request) -> Response:
        """Publish the valid events of a request; responds with a result for each item.

        Raises:
            ProblemError: the body is too large, is not JSON, or has no item (4xx); or the bus failed (503).
        """
        items = parse_items(await read_body(request, self._max_body), request.headers.get("content-type", ""))
        results = [self.validate(item) for item in items]
        accepted = [result.event for result in results if result.event]
        answers = [result.to_dict(index) for index, result in enumerate(results)]
        if not accepted:
            return json_response(
                {"error": "no event was accepted", "details": _all_details(results), "results": answers}, 400
            )
        try:
            await self._bus.publish_many([record_of(event, self._topic_of(event.event_type)) for event in accepted])
        except EventBusError as error:
            raise ProblemError(503, f"the bus failed: {error}; some of these events may be in the log") from error
        invalid = len(results) - len(accepted)
        return json_response({"accepted": len(accepted), "invalid": invalid, "results": answers}, 202)

    def validate(self, item: Any) -> ItemResult:
        """Fill in the missing fields of an item, and validate its envelope and payload."""
        try:
            event = Event.from_dict(self._completed(item) if isinstance(item, dict) else item)
            event.to_bytes()
        except InvalidEvent as error:
            return ItemResult(None, [Detail(error.field or "event", error.problem)])
        except orjson.JSONEncodeError as error:  # nested more deeply than orjson encodes
            return ItemResult(None, [Detail("payload", f"expected JSON of ordinary depth: {error}")])
        if event.event_type not in self._catalog.events:
            return ItemResult(event, note=UNKNOWN_TYPE)
        problems = self._catalog.validate(event.event_type, event.payload)
        if problems:
            return ItemResult(None, [Detail(problem.field, problem.message) for problem in problems])
        return ItemResult(event)

    def _completed(self, item: dict[str, Any]) -> dict[str, Any]:
        now = self._now()
        if (name := full_name(str(item.get("event_type") or ""))) in self._catalog.events:
            item = {**item, "event_type": name}
        event_id = item.get("event_id") or uuid7(microseconds(now), self._random_bits())
        event_type = self._catalog.events.get(str(item.get("event_type")))
        return {
            "event_id": event_id,
            "timestamp": now,
            "correlation_id": event_id,
            "causation_id": None,
            "tenant_id": DEFAULT_TENANT,
            "namespace": DEFAULT_NAMESPACE,
            "source": event_type.source if event_type else "http",
            "schema_version": event_type.schema_version if event_type else "1.0.0",
            **item,
        }


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        ProblemError: it is larger than `limit` (413); the rest is not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise ProblemError(413, f"expected a body of at most {limit:,} bytes")
    return bytes(body)


def parse_items(body: bytes, content_type: str) -> list[Any]:
    """The items of a request body.

    Raises:
        ProblemError: the body is not JSON, or has no item (400).
    """
    if content_type.partition(";")[0].strip().lower() in NDJSON:
        items = [_loads(line, f"line {number}") for number, line in enumerate(body.splitlines(), 1) if line.strip()]
    else:
        content = _loads(body, "body")
        items = content if isinstance(content, list) else [content]
    if not items:
        raise ProblemError(400, "expected at least one event, got none", [Detail("body", "empty")])
    return items


def _loads(text: bytes, part: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"the {part} is not JSON", [Detail(part, str(error))]) from error


def _all_details(results: Sequence[ItemResult]) -> list[dict[str, str]]:
    return [
        {"field": f"[{index}].{detail.field}" if len(results) > 1 else detail.field, "message": detail.message}
        for index, result in enumerate(results)
        for detail in result.details
    ]
