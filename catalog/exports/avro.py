"""Catalog → Avro: the schema of one event type, or of any of several (Avro 1.11 specification, "Complex Types")."""

from __future__ import annotations

from typing import Any

from eventbus.catalog.exports.messages import ENVELOPE, Message
from eventbus.catalog.exports.shapes import Kind, Listing, Member, Scalar, Shape, Struct

Schema = dict[str, Any]

TIMESTAMP: Schema = {"type": "long", "logicalType": "timestamp-micros"}
TYPES: dict[Kind, str] = {
    "string": "string",
    "integer": "long",
    "number": "double",
    "boolean": "boolean",
    "json": "string",
}


def avro_schema(message: Message) -> Schema:
    """The record of a message; what may be null is a union with null, which is the default."""
    records: list[Any] = [
        _record(message.namespace, one.name, one.shape, one.description or one.event_type) for one in message.payloads
    ]
    payload = records[0] if message.branch(message.payloads[0].event_type) is None else records
    doc = message.payloads[0].description if len(records) == 1 else "An event of one of several types"
    return {
        "type": "record",
        "namespace": message.namespace,
        "name": message.name,
        **({"doc": doc} if doc else {}),
        "fields": [*(_envelope(name, doc) for name, doc in ENVELOPE.items()), {"name": "payload", "type": payload}],
    }


def _envelope(name: str, doc: str) -> Schema:
    kind: Any = TIMESTAMP if name == "timestamp" else "string"
    return _field(name, kind, doc, optional=name == "causation_id")


def _field(name: str, kind: Any, doc: str, *, optional: bool) -> Schema:
    about = {"doc": doc} if doc else {}
    if optional:
        return {"name": name, "type": ["null", kind], "default": None, **about}
    return {"name": name, "type": kind, **about}


def _record(namespace: str, name: str, shape: Struct, doc: str) -> Schema:
    inner = f"{namespace}.{name}"
    return {
        "type": "record",
        "namespace": namespace,
        "name": name,
        **({"doc": doc} if doc else {}),
        "fields": [_member(inner, member) for member in shape.members],
    }


def _member(namespace: str, member: Member) -> Schema:
    kind = _type(namespace, member.symbol, member.shape)
    doc = member.description
    if member.shape == Scalar("json"):
        doc = f"{doc} (JSON)".strip()
    return _field(member.symbol, kind, doc, optional=member.optional)


def _type(namespace: str, name: str, shape: Shape) -> Any:
    match shape:
        case Scalar(kind):
            return TYPES[kind]
        case Listing(item):
            return {"type": "array", "items": _type(namespace, name, item)}
        case Struct():
            return _record(namespace, name[0].upper() + name[1:], shape, "")
