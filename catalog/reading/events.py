"""The `events` section of a catalog file: one node → one `EventType`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventbus.catalog.errors import join_names
from eventbus.catalog.model.events import EventType, PayloadField
from eventbus.catalog.model.json_types import FIELD_TYPES
from eventbus.catalog.model.sources import NO_SOURCE, Source
from eventbus.catalog.reading.document import YamlNode, text_of, values_of
from eventbus.catalog.reading.scalars import read_texts
from eventbus.catalog.sources import KEYS, SOURCES, TextTemplate, named_sources

EVENT = ("description", "source", "schema_version", "payload")
FIELD = ("type", "description", "required", "examples", "fields", *KEYS)


def read_event(name: str, node: YamlNode, source: str | None, domain: str | None) -> EventType:
    """One event type.

    Args:
        source: the file's `source` for all its events, or None.
        domain: the file's `domain`, or None.
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


def _fields(node: YamlNode) -> tuple[PayloadField, ...]:
    fields = [_field(name, member) for name, member in node.mapping().items()]
    return tuple(field for field in fields if field is not None)


def _field(name: str, node: YamlNode) -> PayloadField | None:
    """None if the field is not readable: its mistakes are noted, and nothing else is checked about it."""
    before = len(node.mistakes)
    members = node.members(FIELD)
    fields = _fields(members["fields"]) if "fields" in members else None
    type = members["type"].one_of(FIELD_TYPES) if "type" in members else "object" if fields is not None else None
    if "type" not in members and type is None and node.is_mapping:
        node.complain(f"'type' is required; allowed are {join_names(FIELD_TYPES)}")
    field = PayloadField(
        name=name,
        type=type or "string",
        description=text_of(members, "description"),
        required="required" not in members or members["required"].flag() is not False,
        fields=fields,
        source=_source(_Entry(members), node, has_fields=fields is not None),
        examples=values_of(members, "examples") or (),
    )
    return field if len(node.mistakes) == before else None


def _source(entry: _Entry, node: YamlNode, *, has_fields: bool) -> Source:
    """The source of a field; that of an object, and any mistake, is `NO_SOURCE`."""
    before = len(node.mistakes)
    sources = named_sources(entry)
    if has_fields:
        sources = [NO_SOURCE, *(source for source in sources if not source.is_default)]
    if len(node.mistakes) > before or not node.is_mapping:
        return NO_SOURCE
    if len(sources) != 1:
        names = ", ".join([NO_SOURCE.name, *(kind.name for kind in SOURCES[:-1])])
        node.complain(
            f"expected exactly one of {names}, or {SOURCES[-1].name}; "
            f"got {' and '.join(source.name for source in sources) or 'none'}"
        )
        return NO_SOURCE
    source = sources[0].source if isinstance(sources[0], TextTemplate) else sources[0]
    for kind in SOURCES:
        if not isinstance(source, kind):
            for key, problem in kind.stray_keys(entry):
                node.at((key,)).complain(problem)
    return sources[0]


class _Entry:
    """The keys of a payload field's node (see `model.sources.FieldEntry`)."""

    def __init__(self, members: Mapping[str, YamlNode]) -> None:
        self._members = members

    def plain(self, key: str) -> Any:
        return self._members[key].plain() if key in self._members else None

    def text(self, key: str) -> str | None:
        return self._members[key].text() if key in self._members else None

    def number(self, key: str) -> float | None:
        return self._members[key].number() if key in self._members else None

    def integer(self, key: str) -> int | None:
        return self._members[key].integer() if key in self._members else None

    def flag(self, key: str) -> bool | None:
        return self._members[key].flag() if key in self._members else None

    def values(self, key: str) -> tuple[Any, ...] | None:
        return values_of(self._members, key)

    def texts(self, key: str) -> dict[str, str] | None:
        return read_texts(self._members[key]) if key in self._members else None
