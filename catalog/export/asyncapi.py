"""Exports a catalog as AsyncAPI 3.1.0: topics as channels, event types as messages, chains as an extension.

The standard cannot describe chains with probabilities and delays. Each operation names in `x-chain` the states that
emit its event, and `x-chains` at the root describes the chains. `x-source` and `x-lists` hold the rest, so that
`catalog init` restores the catalog from the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from eventbus.catalog.catalog import Catalog
from eventbus.catalog.export.jsonschema import event_schema
from eventbus.catalog.export.yaml import chain_document, delay_document, state_document
from eventbus.catalog.graph.conformance import Role
from eventbus.catalog.model import DEFAULT_PARTITIONS, Chain, EventType, PayloadField, State, Transition, every_field
from eventbus.catalog.model.events import dotted
from eventbus.catalog.sources.texts import TextTemplate, filled

ROOT_ID = "019b76da-a800-7000-8000-000000000001"
EFFECT_ID = "019b76da-a87d-7000-8000-000000000002"
PLACEHOLDERS: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 1.0,
    "boolean": True,
    "object": {},
    "array": [],
}


def example_event(event: EventType, *, root: bool) -> dict[str, Any]:
    """An example event: the root of a chain, or an event caused by it.

    Values are the first of their lists, so that the examples of a chain agree.
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
    """An example payload, valid for the event type."""
    fields = {dotted(path): field for path, field in every_field(event.payload)}
    return {field.name: _example(field, fields) for field in event.payload}


def example_headers(event: EventType, *, root: bool) -> dict[str, str]:
    """The Kafka record headers of the example event."""
    event_id = ROOT_ID if root else EFFECT_ID
    headers = {"content-type": "application/json", "event_type": event.name, "correlation_id": ROOT_ID}
    if not root:
        headers["causation_id"] = ROOT_ID
    span = event_id[19:].replace("-", "")
    return {**headers, "traceparent": f"00-{ROOT_ID.replace('-', '')}-{span}-01"}


def _example(field: PayloadField, fields: Mapping[str, PayloadField]) -> Any:
    """The example of a field, which may need those of the other fields of the payload."""

    def example_of(path: str) -> Any:
        return _example(fields[path], fields)

    if field.fields is not None:
        return {member.name: _example(member, fields) for member in field.fields}
    if field.examples:
        return field.examples[0]
    if field.allowed:
        return filled(field.allowed[0], example_of) if isinstance(field.source, TextTemplate) else field.allowed[0]
    example = field.source.example(field.type, example_of)
    return PLACEHOLDERS[field.type] if example is None else example


VERSION = "3.1.0"
KAFKA_BINDING = "0.5.0"

Document = dict[str, Any]


def domain_topic(event_type: str) -> str:
    """The topic of an event type, one per domain: `omninode.agent`."""
    return ".".join(event_type.split(".", 2)[:2])


def asyncapi(
    catalog: Catalog, *, topic_of: Callable[[str], str] = domain_topic, server: str = "localhost:9092"
) -> Document:
    """Exports a catalog as an AsyncAPI document.

    Args:
        catalog: the catalog.
        topic_of: returns the topic of an event type; by default one per domain.
        server: `host:port` of a broker.
    """
    topics: dict[str, list[EventType]] = {}
    for event in catalog.events.values():
        topics.setdefault(topic_of(event.name), []).append(event)
    return {
        "asyncapi": VERSION,
        "id": "urn:eventbus:catalog",
        "info": _info(catalog),
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": server, "protocol": "kafka", "description": "A Kafka, or the mock of one"}},
        "channels": {topic: _channel(topic, events, catalog) for topic, events in topics.items()},
        "operations": {
            name: operation
            for topic, events in topics.items()
            for name, operation in _operations(topic, events, catalog)
        },
        "components": {
            "messages": {name: _message(event, catalog) for name, event in catalog.events.items()},
            "schemas": {**{name: _schema(event) for name, event in catalog.events.items()}, "headers": HEADERS},
            "correlationIds": {"chain": CORRELATION},
        },
        "x-chains": {
            name: {**chain_extension(chain), "x-source": chain_document(chain)}
            for name, chain in catalog.chains.items()
        },
        "x-lists": {name: list(items) for name, items in catalog.lists.items()},
    }


HEADERS: Document = {
    "type": "object",
    "required": ["content-type", "event_type", "correlation_id", "traceparent"],
    "properties": {
        "content-type": {"const": "application/json"},
        "event_type": {"type": "string"},
        "correlation_id": {"type": "string", "format": "uuid"},
        "causation_id": {"type": "string", "format": "uuid", "description": "Absent on the first event of a chain"},
        "traceparent": {
            "type": "string",
            "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            "description": "W3C Trace Context; the trace id is the correlation id without dashes",
        },
    },
}
CORRELATION: Document = {
    "description": "The same in all events of a chain, and the key of their records",
    "location": "$message.header#/correlation_id",
}


def _info(catalog: Catalog) -> Document:
    domains = dict.fromkeys(event.domain for event in catalog.events.values())
    return {
        "title": "Event catalog",
        "version": "1.0.0",
        "description": f"{len(catalog.events)} event types in {len(catalog.chains)} chains.",
        "contact": {"name": "eventbus-mock"},
        "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        "tags": [{"name": domain} for domain in domains],
    }


def _channel(topic: str, events: list[EventType], catalog: Catalog) -> Document:
    partitions = max(catalog.partitions.get(event.domain, DEFAULT_PARTITIONS) for event in events)
    return {
        "address": topic,
        "title": topic,
        "description": f"Topic of {len(events)} event types; a chain keeps its order within one partition.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {event.name: {"$ref": f"#/components/messages/{event.name}"} for event in events},
        "bindings": {"kafka": {"topic": topic, "partitions": partitions, "bindingVersion": KAFKA_BINDING}},
    }


def _operations(topic: str, events: list[EventType], catalog: Catalog) -> Iterator[tuple[str, Document]]:
    """The operations of a topic: sending each event type, and receiving all of them."""
    channel = {"$ref": f"#/channels/{topic}"}
    messages = [{"$ref": f"#/channels/{topic}/messages/{event.name}"} for event in events]
    for event, message in zip(events, messages, strict=True):
        positions = [
            _position(chain, state)
            for chain in catalog.chains.values()
            for state in chain.states.values()
            if state.emits == event.name
        ]
        about = {"title": f"Send {event.name}", "summary": event.description, "tags": [{"name": event.domain}]}
        yield (
            f"send.{event.name}",
            {"action": "send", "channel": channel, **about, "messages": [message], "x-chain": positions},
        )
    about = {"title": f"Receive {topic}", "summary": f"Store every event of {topic}.", "tags": [{"name": topic}]}
    yield f"receive.{topic}", {"action": "receive", "channel": channel, **about, "messages": messages}


def _message(event: EventType, catalog: Catalog) -> Document:
    root = catalog.conformance.classify(event.name)[1] == Role.REQUESTED
    example = {
        "name": "example",
        "headers": example_headers(event, root=root),
        "payload": example_event(event, root=root),
    }
    key = {"type": "string", "format": "uuid", "description": "The correlation id"}
    return {
        "name": event.name,
        "title": event.name,
        "summary": event.description,
        "contentType": "application/json",
        "tags": [{"name": event.domain}],
        "correlationId": {"$ref": "#/components/correlationIds/chain"},
        "headers": {"$ref": "#/components/schemas/headers"},
        "payload": {"$ref": f"#/components/schemas/{event.name}"},
        "bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}},
        "examples": [example],
    }


def _schema(event: EventType) -> Document:
    """The schema of an event, with the source of each payload field in `x-source`, as a catalog file has it."""
    schema = event_schema(event)
    properties = schema["properties"]
    return {**schema, "properties": {**properties, "payload": _with_sources(properties["payload"], event.payload)}}


def _with_sources(schema: Document, fields: Iterable[PayloadField]) -> Document:
    properties = {field.name: _field_with_source(schema["properties"][field.name], field) for field in fields}
    return {**schema, "properties": properties}


def _field_with_source(schema: Document, field: PayloadField) -> Document:
    if field.fields is not None:
        return _with_sources(schema, field.fields)
    examples = {"examples": list(field.examples)} if field.examples else {}
    return {**schema, "x-source": {**field.source.document(), **examples}}


def chain_extension(chain: Chain) -> Document:
    """A chain as data: its states and transitions with their probabilities and delays."""
    return {
        "description": chain.description,
        "weight": chain.weight,
        "start": chain.start,
        "states": {state.name: {"emits": state.emits, **_successors(chain, state)} for state in chain.states.values()},
    }


def _position(chain: Chain, state: State) -> Document:
    return {"chain": chain.name, "state": state.name, **_successors(chain, state)}


def _successors(chain: Chain, state: State) -> Document:
    """What follows a state: transitions with probabilities, everything else as in a catalog file."""
    document = state_document(state)
    pairs = zip(state.next, document.get("next", ()), strict=True)
    transitions = [_transition(chain, state, transition, written) for transition, written in pairs]
    return {
        **({"next": transitions} if transitions else {}),
        **({"abandoned": state.abandon / state.total} if state.abandon else {}),
        **_members(document, "timeout", "fork", "compensation", "causes", "outcome"),
    }


def _transition(chain: Chain, state: State, transition: Transition, written: Document) -> Document:
    return {
        "state": transition.to,
        "event": chain.states[transition.to].emits,
        "probability": transition.weight / state.total,
        "delay_ms": delay_document(transition.delay),
        **_members(written, "retry", "compensate", "scaled_by"),
    }


def _members(document: Document, *names: str) -> Document:
    return {name: document[name] for name in names if name in document}
