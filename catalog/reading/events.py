"""A file's `events` section: one node → one `EventType`."""

from __future__ import annotations

from typing import get_args

from eventbus.catalog.model_events import EventType, FieldType, PayloadField
from eventbus.catalog.reading.source import Node, text_of, values_of
from eventbus.catalog.words import listed

EVENT = ("description", "source", "schema_version", "payload")
FIELD = (
    *("type", "description", "required", "examples"),
    *("fields", "value", "choices", "pick", "var", "template", "visit", "elapsed", "attempt", "min", "max", "decimals"),
)
TYPES: tuple[FieldType, ...] = get_args(FieldType)


def read_event(name: str, node: Node, source: str | None, domain: str | None) -> EventType:
    """One event type.

    Args:
        source: what the file gives as `source` for all its events, or None.
        domain: what the file gives as `domain`, or None.
    """
    members = node.members(EVENT)
    if "source" not in members and source is None:
        node.complain("'source' is required, here or once for the whole file")
    if domain is not None and not name.startswith(f"{domain}."):
        node.complain(f"expected a name that starts with the file's domain {domain}., got {name!r}")
    return EventType(
        name=name,
        source=text_of(members, "source") or source or "",
        schema_version=text_of(members, "schema_version") or "1.0.0",
        description=text_of(members, "description"),
        payload=_fields(members["payload"]) if "payload" in members else (),
    )


def _fields(node: Node) -> tuple[PayloadField, ...]:
    found = [_field(name, member) for name, member in node.mapping().items()]
    return tuple(one for one in found if one is not None)


def _field(name: str, node: Node) -> PayloadField | None:
    """None when the field is not readable, so that nothing is checked twice."""
    before = len(node.mistakes)
    members = node.members(FIELD)
    fields = _fields(members["fields"]) if "fields" in members else None
    kind = members["type"].one_of(TYPES) if "type" in members else "object" if fields is not None else None
    if "type" not in members and kind is None and node.is_mapping:
        node.complain(f"'type' is required; allowed are {listed(TYPES)}")
    made = PayloadField(
        name=name,
        type=kind or "string",
        description=text_of(members, "description"),
        required="required" not in members or members["required"].flag() is not False,
        fields=fields,
        value=members["value"].plain() if "value" in members else None,
        choices=values_of(members, "choices"),
        pick=text_of(members, "pick") or None,
        var=text_of(members, "var") or None,
        template=text_of(members, "template") or None,
        visit=text_of(members, "visit") or None,
        elapsed=bool("elapsed" in members and members["elapsed"].flag()),
        attempt=bool("attempt" in members and members["attempt"].flag()),
        minimum=members["min"].number() if "min" in members else None,
        maximum=members["max"].number() if "max" in members else None,
        decimals=(members["decimals"].integer() or 0) if "decimals" in members else 0,
        examples=values_of(members, "examples") or (),
    )
    return made if len(node.mistakes) == before else None
