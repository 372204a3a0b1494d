"""Event types and what their payloads hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

FieldType = Literal["string", "integer", "number", "boolean", "object", "array"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadField:
    """One field of a payload: its JSON type and bounds, and where the generator gets its value.

    Exactly one source is set: `fields` (an object), `value` (a constant), `choices` (drawn anew for each event),
    `pick` (from a list of the catalog, drawn anew for each event; all picks of one list in one event are the same
    item), `var` (the chain's variable: the same in the whole chain), `elapsed` (milliseconds since the causing
    event), `attempt` (1, and 1 more for each retry in the chain so far) or `minimum`/`maximum` alone (drawn evenly
    between them).
    """

    name: str
    type: FieldType
    description: str = ""
    required: bool = True
    """Whether an event sent in by hand must have it; generated events always do."""
    fields: tuple[PayloadField, ...] | None = None
    value: Any = None
    choices: tuple[Any, ...] | None = None
    pick: str | None = None
    """`list` or `list.attribute`."""
    var: str | None = None
    """`variable` or `variable.attribute`."""
    elapsed: bool = False
    attempt: bool = False
    visit: str | None = None
    """What the event is about in a chain of sessions: a name of `visitors.VISITS`."""
    template: str | None = None
    """The text around a `var` that is a whole number: `user-{}`."""
    minimum: float | None = None
    maximum: float | None = None
    decimals: int = 0
    """Of a drawn `number`."""
    examples: tuple[Any, ...] = ()
    allowed: tuple[Any, ...] | None = None
    """Every value the field may take where that is known (choices, a list, a variable); filled by the loader."""


class Cached:
    """For values that remember what was worked out from their fields: other processes get the fields only."""

    def __getstate__(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]  # a dataclass


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


def split(reference: str) -> tuple[str, str | None]:
    """`list.attribute` → its two parts; the attribute is None when there is none."""
    name, dot, attribute = reference.partition(".")
    return name, attribute if dot else None


def every_field(
    fields: tuple[PayloadField, ...], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], PayloadField]]:
    """All fields, nested ones too, each with its path of names (`fields` between levels, as in the file)."""
    for one in fields:
        here = (*path, one.name)
        yield here, one
        yield from every_field(one.fields or (), (*here, "fields"))
