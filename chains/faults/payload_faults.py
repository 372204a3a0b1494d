"""Faults inside the payload: a field that the catalog does not allow, or another content under the same id."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from eventbus.catalog import EventType, PayloadField

Fields = dict[str, Any]

PAYLOAD = b',"payload":'
AFTER_SOURCE = b'","schema_version":"'


class Violation(NamedTuple):
    """An event that the catalog does not allow."""

    text: bytes
    """With its newline."""
    field: str
    """Of the payload."""
    way: str
    """`missing`, `unknown` or `type`."""


def violated(line: bytes, event_type: EventType, only: tuple[str, ...], word: int) -> Violation:
    """Takes a field away, gives it a wrong type, or adds one: what the type's model is sure to refuse.

    Args:
        only: may be touched, of which the type has some; none: all may.
        word: random bits.
    """
    fields = [one for one in event_type.payload if one.name in only] if only else event_type.payload
    way, place = ("type", "missing", "unknown")[word % 3], (word >> 8) % max(len(fields), 1)
    if not fields or (way == "unknown" and not only):
        return Violation(_with_unknown(line), "unexpected_field", "unknown")
    begin, payload = _payload(line)
    field = fields[place]
    if way == "missing" and field.required and field.name in payload:
        del payload[field.name]
    else:
        way = "type"
        payload[field.name] = 0 if field.type in ("string", "boolean", "object", "array") else "not a number"
    return Violation(_with(line, begin, payload), field.name, way)


def changed_content(line: bytes, event_type: EventType) -> tuple[bytes, str]:
    """The event with another value that the catalog allows, and the path of the field that has it."""
    begin, payload = _payload(line)
    name = _another(payload, event_type.payload)
    if name is None:
        end = line.index(AFTER_SOURCE)
        return b"%b-again%b" % (line[:end], line[end:]), "source"
    return _with(line, begin, payload), f"payload.{name}"


def _payload(line: bytes) -> tuple[int, Fields]:
    """Where it begins, and what it is."""
    begin = line.index(PAYLOAD) + len(PAYLOAD)
    return begin, orjson.loads(line[begin:-2])


def _with(line: bytes, begin: int, payload: Fields) -> bytes:
    return b"%b%b}\n" % (line[:begin], orjson.dumps(payload))


def _with_unknown(line: bytes) -> bytes:
    """The line ends as all do: with the payload, the event and a newline."""
    comma = b"" if line[-4:-3] == b"{" else b","
    return b'%b%b"unexpected_field":true}}\n' % (line[:-3], comma)


def _another(payload: Fields, known: tuple[PayloadField, ...]) -> str | None:
    """Gives a field another value that fits; returns its name, or None where every field has one value only."""
    for field in known:
        if field.name in payload and field.value is None and field.fields is None:
            other = _other_value(field, payload[field.name])
            if other is not None and other != payload[field.name]:  # a very large number plus one is itself
                payload[field.name] = other
                return field.name
    return None


def _other_value(field: PayloadField, value: Any) -> Any:
    """Another value that the field may have; None if there is none."""
    if field.choices is not None:
        return next((choice for choice in field.choices if choice != value), None)
    if isinstance(value, str):
        return f"{value} (again)"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return not value if isinstance(value, bool) else None
    within = (field.minimum is None or value - 1 >= field.minimum, field.maximum is None or value + 1 <= field.maximum)
    return value + 1 if within[1] else value - 1 if within[0] else None
