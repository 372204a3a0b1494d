"""Event types and the fields of their payloads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eventbus.catalog.model.cached import Cached
from eventbus.catalog.model.json_types import FieldType
from eventbus.catalog.model.sources import NO_SOURCE, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadField:
    """One field of a payload: its JSON type, and either its members (an object) or the source of its values."""

    name: str
    type: FieldType
    description: str = ""
    required: bool = True
    """Whether an event sent in by hand must have it; generated events always do."""
    fields: tuple[PayloadField, ...] | None = None
    """Members of an object. None: the field has a source."""
    source: Source = NO_SOURCE
    examples: tuple[Any, ...] = ()
    allowed: tuple[Any, ...] | None = None
    """Every value that the generator may give the field, where they are listed; set when the catalog is loaded."""


@dataclass(frozen=True, kw_only=True)
class EventType(Cached):
    """One kind of event."""

    name: str
    """`omninode.<domain>.<entity…>.<action>.v<major>`."""
    source: str
    schema_version: str = "1.0.0"
    description: str = ""
    payload: tuple[PayloadField, ...] = ()

    @property
    def domain(self) -> str:
        """The first two words: `omninode.agent`."""
        return ".".join(self.name.split(".", 2)[:2])

    @property
    def action(self) -> str:
        """The word before the version: `completed`."""
        return self.name.split(".")[-2]


def every_field(
    fields: tuple[PayloadField, ...], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], PayloadField]]:
    """All fields, nested ones too, each with its path of names (`fields` between levels, as in the file)."""
    for field in fields:
        field_path = (*path, field.name)
        yield field_path, field
        yield from every_field(field.fields or (), (*field_path, "fields"))


def dotted(path: tuple[str, ...]) -> str:
    """A path of `every_field` for people: `result.score`."""
    return ".".join(path[::2])
