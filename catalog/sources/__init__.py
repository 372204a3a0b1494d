"""The sources of payload values. A new one is a class in a module here and an entry in `SOURCES`.

A source says how it is read and written, what is wrong with it, which values it gives, and how the generator draws
them (see `model.sources`). Draws are made of the few kinds in `model.draws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from eventbus.catalog.errors import UnknownName
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import FilledText, Placeholder
from eventbus.catalog.model.events import EventType, PayloadField, dotted, every_field
from eventbus.catalog.model.json_types import is_integer, is_number
from eventbus.catalog.model.sections import Sections, emitters
from eventbus.catalog.model.sources import DrawScope, FieldEntry, Lists, Source
from eventbus.catalog.sources.constants import Choices, FixedValue, distinct, misfits
from eventbus.catalog.sources.lists import ListPick, VariableValue, list_values, variable_draw
from eventbus.catalog.sources.numbers import ComputedNumber, CounterValue, NumberRange
from eventbus.catalog.sources.operands import Reference
from eventbus.catalog.sources.simulated import AttemptNumber, ElapsedTime, SequenceNumber, VisitAttribute
from eventbus.catalog.sources.texts import TextTemplate

__all__ = [
    "KEYS",
    "SOURCES",
    "AttemptNumber",
    "Choices",
    "ComputedNumber",
    "CounterValue",
    "ElapsedTime",
    "FixedValue",
    "JsonEntry",
    "ListPick",
    "NumberRange",
    "PayloadDraws",
    "Reference",
    "SequenceNumber",
    "TextTemplate",
    "VariableValue",
    "VisitAttribute",
    "distinct",
    "list_values",
    "misfits",
    "named_sources",
    "variable_draw",
    "with_allowed_values",
]

SOURCES: tuple[type[Source], ...] = (
    FixedValue,
    Choices,
    ListPick,
    VariableValue,
    VisitAttribute,
    ElapsedTime,
    AttemptNumber,
    SequenceNumber,
    CounterValue,
    ComputedNumber,
    NumberRange,
)
"""All sources, in the order in which messages list them; one that is the default comes last."""
KEYS = tuple(dict.fromkeys([*(key for source in SOURCES for key in source.keys), *TextTemplate.keys]))
"""The keys of all sources in a catalog file."""


def named_sources(entry: FieldEntry) -> list[Source]:
    """The sources that an entry names; exactly one is right."""
    sources = [source for kind in SOURCES if (source := kind.read(entry)) is not None]
    sources = [source for source in sources if not source.is_default] or sources
    return [TextTemplate(source) for source in sources] if entry.flag("fill") and len(sources) == 1 else sources


class JsonEntry:
    """A payload field in a document that has been parsed; values of another type than expected count as absent."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def plain(self, key: str) -> Any:
        return self._members.get(key)

    def text(self, key: str) -> str | None:
        value = self.plain(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        value = self.plain(key)
        return value if is_number(value) else None

    def integer(self, key: str) -> int | None:
        value = self.plain(key)
        return value if is_integer(value) else None

    def flag(self, key: str) -> bool | None:
        value = self.plain(key)
        return value if isinstance(value, bool) else None

    def values(self, key: str) -> tuple[Any, ...] | None:
        value = self.plain(key)
        return tuple(value) if isinstance(value, list) else None

    def texts(self, key: str) -> dict[str, str] | None:
        value = self.plain(key)
        is_texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        return value if is_texts else None


class PayloadDraws(NamedTuple):
    """How the generator draws the payload that a state of a chain emits."""

    lists: Lists
    chain: Chain
    state: str
    payload: tuple[PayloadField, ...]
    longest: int
    """Longest delay before the state, microseconds."""

    def placeholder(self, field: PayloadField, path: tuple[str, ...]) -> Placeholder | FilledText:
        """The placeholder of a field that is no object.

        Args:
            path: of the field in the payload: the names of the objects around it, and its own.

        Raises:
            UnknownName: its source refers to something that the catalog or the chain does not define.
        """
        scope = DrawScope(self.lists, self.chain, self.state, path, field.type, self.longest, self._placeholder_of)
        return field.source.draw(scope)

    def _placeholder_of(self, name: str) -> Placeholder | FilledText:
        """The placeholder of a field by its dotted path."""
        for path, field in every_field(self.payload):
            if dotted(path) == name and field.fields is None:
                return self.placeholder(field, path[::2])
        raise UnknownName(f"{self.chain.name}/{self.state}: the payload has no field {name!r} with a value")


def with_allowed_values(sections: Sections) -> dict[str, EventType]:
    """The event types with `allowed` of all payload fields set, where the values are listed."""
    emitting = emitters(sections.chains)
    return {
        name: replace(
            event,
            payload=tuple(_resolved(field, sections.lists, emitting.get(name, [])) for field in event.payload),
        )
        for name, event in sections.events.items()
    }


def _resolved(field: PayloadField, lists: Lists, chains: list[Chain]) -> PayloadField:
    if field.fields is not None:
        return replace(field, fields=tuple(_resolved(member, lists, chains) for member in field.fields))
    return replace(field, allowed=field.source.allowed(lists, chains))
