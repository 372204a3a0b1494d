"""Messages → schemas: Avro (specification 1.11, "Complex Types") and Protocol Buffers (proto3 specification)."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent
from typing import Any

from eventbus.catalog.export.typed import ENVELOPE, Array, Message, Scalar, ScalarKind, Shape, Struct, StructField

# Avro.


Schema = dict[str, Any]

TIMESTAMP: Schema = {"type": "long", "logicalType": "timestamp-micros"}
TYPES: dict[ScalarKind, str] = {
    "string": "string",
    "integer": "long",
    "number": "double",
    "boolean": "boolean",
    "json": "string",
}


def avro_schema(message: Message) -> Schema:
    """The record of a message; what may be null is a union with null, which is the default."""
    records: list[Any] = [
        _record(message.namespace, payload.name, payload.shape, payload.description or payload.event_type)
        for payload in message.payloads
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


def _member(namespace: str, member: StructField) -> Schema:
    kind = _type(namespace, member.symbol, member.shape)
    doc = member.description
    if member.shape == Scalar("json"):
        doc = f"{doc} (JSON)".strip()
    return _field(member.symbol, kind, doc, optional=member.optional)


def _type(namespace: str, name: str, shape: Shape) -> Any:
    match shape:
        case Scalar(kind):
            return TYPES[kind]
        case Array(item):
            return {"type": "array", "items": _type(namespace, name, item)}
        case Struct():
            return _record(namespace, name[0].upper() + name[1:], shape, "")


# Protocol Buffers.


PROTOBUF_TYPES: dict[ScalarKind, str] = {
    "string": "string",
    "integer": "int64",
    "number": "double",
    "boolean": "bool",
    "json": "string",
}
PAYLOAD = len(ENVELOPE) + 1
"""The number of the payload's field; of several, that of the first."""


def protobuf_schema(message: Message) -> str:
    """The file of a message, which comes first in it. Numbers follow the order of the catalog."""
    payloads = [
        _message(payload.name, payload.shape, payload.description or payload.event_type) for payload in message.payloads
    ]
    return (
        "\n\n".join(
            [
                'syntax = "proto3";',
                f"package {message.namespace};",
                'import "google/protobuf/timestamp.proto";',
                _event(message),
                *payloads,
                "",
            ]
        ).rstrip("\n")
        + "\n"
    )


def _event(message: Message) -> str:
    about = message.payloads[0].description if len(message.payloads) == 1 else "An event of one of several types."
    fields = [_protobuf_envelope(name, number, doc) for number, (name, doc) in enumerate(ENVELOPE.items(), 1)]
    if len(message.payloads) == 1:
        fields.append(f"{message.payloads[0].name} payload = {PAYLOAD};")
    else:
        choice = [
            f"{payload.name} {payload.field} = {number};" for number, payload in enumerate(message.payloads, PAYLOAD)
        ]
        fields.append(_block("oneof payload", choice))
    return _comment(about) + _block(f"message {message.name}", fields)


def _protobuf_envelope(name: str, number: int, doc: str) -> str:
    kind = {"timestamp": "google.protobuf.Timestamp", "causation_id": "optional string"}.get(name, "string")
    return _protobuf_field(kind, name, number, doc)


def _message(name: str, shape: Struct, doc: str = "") -> str:
    return _comment(doc) + _block(f"message {name}", list(_members(shape)))


def _members(shape: Struct) -> Iterator[str]:
    for number, member in enumerate(shape.members, 1):
        if inner := struct_in(member.shape):
            yield _message(object_name(member), inner)
        doc = f"{member.description} (JSON)".strip() if member.shape == Scalar("json") else member.description
        label = "" if isinstance(member.shape, Array) or not member.optional else "optional "
        yield _protobuf_field(label + _protobuf_type(member, member.shape), member.symbol, number, doc)


def _protobuf_type(member: StructField, shape: Shape) -> str:
    match shape:
        case Scalar(kind):
            return PROTOBUF_TYPES[kind]
        case Array(item):
            return f"repeated {_protobuf_type(member, item)}"
        case Struct():
            return object_name(member)


def object_name(member: StructField) -> str:
    """The message of a member that is an object, or a list of them."""
    return f"{member.symbol[0].upper()}{member.symbol[1:]}Object"


def struct_in(shape: Shape) -> Struct | None:
    """The object that a shape is, or lists."""
    item = shape.item if isinstance(shape, Array) else shape
    return item if isinstance(item, Struct) else None


def _protobuf_field(kind: str, name: str, number: int, doc: str) -> str:
    comment = f"  // {' '.join(doc.split())}" if doc else ""
    return f"{kind} {name} = {number};{comment}"


def _block(head: str, lines: list[str]) -> str:
    return "\n".join([f"{head} {{", *(indent(line, "  ") for line in lines), "}"])


def _comment(text: str) -> str:
    return f"// {' '.join(text.split())}\n" if text else ""
