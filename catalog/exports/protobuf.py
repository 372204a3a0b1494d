"""Catalog → Protocol Buffers: the file of one event type, or of any of several (proto3 language specification)."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from eventbus.catalog.exports.messages import ENVELOPE, Message
from eventbus.catalog.exports.shapes import Kind, Listing, Member, Scalar, Shape, Struct

TYPES: dict[Kind, str] = {
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
    payloads = [_message(one.name, one.shape, one.description or one.event_type) for one in message.payloads]
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
    fields = [_envelope(name, number, doc) for number, (name, doc) in enumerate(ENVELOPE.items(), 1)]
    if len(message.payloads) == 1:
        fields.append(f"{message.payloads[0].name} payload = {PAYLOAD};")
    else:
        choice = [f"{one.name} {one.field} = {number};" for number, one in enumerate(message.payloads, PAYLOAD)]
        fields.append(_block("oneof payload", choice))
    return _comment(about) + _block(f"message {message.name}", fields)


def _envelope(name: str, number: int, doc: str) -> str:
    kind = {"timestamp": "google.protobuf.Timestamp", "causation_id": "optional string"}.get(name, "string")
    return _field(kind, name, number, doc)


def _message(name: str, shape: Struct, doc: str = "") -> str:
    return _comment(doc) + _block(f"message {name}", list(_members(shape)))


def _members(shape: Struct) -> Iterator[str]:
    for number, member in enumerate(shape.members, 1):
        if inner := struct_in(member.shape):
            yield _message(object_name(member), inner)
        doc = f"{member.description} (JSON)".strip() if member.shape == Scalar("json") else member.description
        label = "" if isinstance(member.shape, Listing) or not member.optional else "optional "
        yield _field(label + _type(member, member.shape), member.symbol, number, doc)


def _type(member: Member, shape: Shape) -> str:
    match shape:
        case Scalar(kind):
            return TYPES[kind]
        case Listing(item):
            return f"repeated {_type(member, item)}"
        case Struct():
            return object_name(member)


def object_name(member: Member) -> str:
    """The message of a member that is an object, or a list of them."""
    return f"{member.symbol[0].upper()}{member.symbol[1:]}Object"


def struct_in(shape: Shape) -> Struct | None:
    """The object that a shape is, or lists."""
    item = shape.item if isinstance(shape, Listing) else shape
    return item if isinstance(item, Struct) else None


def _field(kind: str, name: str, number: int, doc: str) -> str:
    comment = f"  // {' '.join(doc.split())}" if doc else ""
    return f"{kind} {name} = {number};{comment}"


def _block(head: str, lines: list[str]) -> str:
    return "\n".join([f"{head} {{", *(indent(line, "  ") for line in lines), "}"])


def _comment(text: str) -> str:
    return f"// {' '.join(text.split())}\n" if text else ""
