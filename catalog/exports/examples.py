"""One example of each event type: what documents and `eventbus catalog show` print."""

from __future__ import annotations

from typing import Any

from eventbus.catalog.model_events import EventType, PayloadField

ROOT_ID = "019b76da-a800-7000-8000-000000000001"
EFFECT_ID = "019b76da-a87d-7000-8000-000000000002"
ELAPSED_MS = 125
UNKNOWN: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.0, "boolean": True, "object": {}, "array": []}


def example_event(event: EventType, *, root: bool) -> dict[str, Any]:
    """An event in its JSON form: the first event of its chain, or an effect of that one.

    Values are the first of their list, so that the examples of one chain fit together.
    """
    return {
        "event_id": ROOT_ID if root else EFFECT_ID,
        "event_type": event.name,
        "timestamp": "2026-01-01T00:00:00.000000Z" if root else "2026-01-01T00:00:00.125000Z",
        "correlation_id": ROOT_ID,
        "causation_id": None if root else ROOT_ID,
        "tenant_id": "default-tenant",
        "namespace": "development",
        "source": event.source,
        "schema_version": event.schema_version,
        "payload": example_payload(event),
    }


def example_payload(event: EventType) -> dict[str, Any]:
    """A payload that the event type's model accepts."""
    return {one.name: _example(one) for one in event.payload}


def example_headers(event: EventType, *, root: bool) -> dict[str, str]:
    """The Kafka record headers of the example event."""
    event_id = ROOT_ID if root else EFFECT_ID
    headers = {"content-type": "application/json", "event_type": event.name, "correlation_id": ROOT_ID}
    if not root:
        headers["causation_id"] = ROOT_ID
    span = event_id[19:].replace("-", "")
    return {**headers, "traceparent": f"00-{ROOT_ID.replace('-', '')}-{span}-01"}


def _example(one: PayloadField) -> Any:
    if one.fields is not None:
        return {inner.name: _example(inner) for inner in one.fields}
    if one.examples:
        return one.examples[0]
    if one.allowed:
        return one.allowed[0]
    if one.elapsed or one.attempt:
        return ELAPSED_MS if one.elapsed else 1
    if one.minimum is None or one.maximum is None:
        return UNKNOWN[one.type]
    middle = (one.minimum + one.maximum) / 2
    return int(middle) if one.type == "integer" else min(max(round(middle, one.decimals), one.minimum), one.maximum)
