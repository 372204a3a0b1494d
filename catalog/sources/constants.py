"""Values that stand in the field's own entry: one for all events, or one of several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from eventbus.catalog.errors import Problems, format_value, join_names
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import Placeholder, UniformDraw
from eventbus.catalog.model.json_types import FieldType, fits, with_article
from eventbus.catalog.model.sources import DrawScope, FieldEntry, Lists, Source


@dataclass(frozen=True, slots=True)
class FixedValue(Source):
    """The same value in all events."""

    value: Any

    name = "value"
    keys = ("value",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        value = entry.plain("value")
        return None if value is None else cls(value)

    def document(self) -> dict[str, Any]:
        return {"value": self.value}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        for _, problem in misfits(type, (self.value,)):
            yield ("value",), problem

    @property
    def accepted(self) -> tuple[Any, ...]:
        return (self.value,)

    def schema(self) -> dict[str, Any]:
        return {"const": self.value}

    def describe(self) -> str:
        return f"always {self.value!r}"

    def draw(self, scope: DrawScope) -> Placeholder:
        return Placeholder.constant(self.value)


@dataclass(frozen=True, slots=True)
class Choices(Source):
    """One of some values, drawn anew for each event; a value listed twice is drawn twice as often."""

    choices: tuple[Any, ...]

    name = "choices"
    keys = ("choices",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        choices = entry.values("choices")
        return None if choices is None else cls(choices)

    def document(self) -> dict[str, Any]:
        return {"choices": list(self.choices)}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        for index, problem in misfits(type, self.choices):
            yield ("choices", index), problem
        if not self.choices:
            yield ("choices",), "expected at least one choice"

    @property
    def accepted(self) -> tuple[Any, ...]:
        return self.choices

    def schema(self) -> dict[str, Any]:
        return {"enum": distinct(self.choices)}

    def describe(self) -> str:
        return f"one of {join_names(dict.fromkeys(map(str, self.choices)), 6)}"

    def draw(self, scope: DrawScope) -> Placeholder:
        return Placeholder(UniformDraw(scope.purpose, len(self.choices), each_step=True), self.choices)


def misfits(type: FieldType, values: Iterable[Any]) -> Iterator[tuple[int, str]]:
    """The values that are not of a type: their indices, and what is wrong."""
    for index, value in enumerate(values):
        if not fits[type](value):
            yield index, f"expected {with_article(type)}, got {format_value(value)}"


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order; values may be lists or mappings."""
    unique: list[Any] = []
    for value in values:
        if value not in unique:
            unique.append(value)
    return unique
