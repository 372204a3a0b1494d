"""What a typed format should say of a JSON event: the same, under the names and in the types of its schema."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from eventbus.catalog.export.typed import ENVELOPE, Array, Message, Scalar, Shape, Struct


def expected(message: Message, line: bytes) -> dict[str, Any]:
    """The values of a message, from the JSON event."""
    event = orjson.loads(line)
    shape = message.payloads[message.branch(event["event_type"]) or 0].shape
    envelope = {name: event[name] for name in ENVELOPE}
    return {
        **envelope,
        "timestamp": datetime.fromisoformat(event["timestamp"]),
        "payload": _expected(shape, event["payload"]),
    }


def _expected(shape: Shape, value: Any) -> Any:
    match shape:
        case Scalar():
            return value
        case Array(item):
            return [_expected(item, one) for one in value]
        case Struct(members):
            return {
                member.symbol: None
                if value.get(member.name) is None and member.optional
                else _expected(member.shape, value[member.name])
                for member in members
            }


def decoded(shape: Shape, value: Any) -> Any:
    """A value as it was read, with JSON in strings decoded."""
    if value is None:
        return None
    match shape:
        case Scalar("json"):
            return orjson.loads(value)
        case Scalar():
            return value
        case Array(item):
            return [decoded(item, one) for one in value]
        case Struct(members):
            return {member.symbol: decoded(member.shape, value[member.symbol]) for member in members}
