"""Texts with the values of other fields in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from eventbus.catalog.errors import Location, UnknownName
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import FilledText, NoDraw
from eventbus.catalog.model.json_types import FieldType
from eventbus.catalog.model.sources import DrawScope, FieldEntry, FieldUse, Lists, Source

name_pattern = re.compile(r"\{([A-Za-z_][\w.-]*)\}")
SCALARS: tuple[FieldType, ...] = ("string", "integer", "number", "boolean")


@dataclass(frozen=True, slots=True)
class TextTemplate(Source):
    """The texts of another source, in which `{duration_ms}` stands for the value of that field of the same payload."""

    source: Source

    name = "fill"
    keys = ("fill",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        """None: it is no source by itself (see `named_sources`)."""
        return None

    def document(self) -> dict[str, Any]:
        return {**self.source.document(), "fill": True}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Iterator[tuple[Location, str]]:
        yield from self.source.problems(type, lists, chains)
        if type != "string":
            yield ("fill",), f"fill is for texts, got type {type}"
        elif self._texts(lists, chains) is None and chains:
            yield ("fill",), "fill is for texts of a list, `choices` or a `value`"

    def uses(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Iterator[FieldUse]:
        texts = self._texts(lists, chains) or ()
        for name in dict.fromkeys(
            name for text in texts if isinstance(text, str) for name in name_pattern.findall(text)
        ):
            yield FieldUse(("fill",), name, SCALARS)

    def _texts(self, lists: Lists, chains: list[Chain]) -> tuple[Any, ...] | None:
        """None: they are not listed."""
        try:
            return self.source.allowed(lists, chains)
        except (UnknownName, KeyError, TypeError):  # the mistake is reported by the source
            return ()

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        return self.source.emission_problem(chain, state, is_caused=is_caused)

    def allowed(self, lists: Lists, chains: list[Chain]) -> tuple[Any, ...] | None:
        """The texts before they are filled."""
        return self.source.allowed(lists, chains)

    def describe(self) -> str:
        return f"{self.source.describe()}, filled in"

    def draw(self, scope: DrawScope) -> FilledText:
        placeholder = self.source.draw(scope)
        if isinstance(placeholder, FilledText) or placeholder.values is None:
            raise UnknownName(f"{scope.chain.name}/{scope.state}: {self.source.name} has no list of texts to fill")
        texts = [name_pattern.split(text) for text in placeholder.values]
        names = list(dict.fromkeys(name for text in texts for name in text[1::2]))
        fields = tuple(scope.number(name) for name in names)
        parts = tuple(
            tuple(part if index % 2 == 0 else names.index(part) for index, part in enumerate(text)) for text in texts
        )
        if len(set(parts)) == 1:
            return FilledText(NoDraw(), parts[:1], fields)
        return FilledText(placeholder.draw, parts, fields)


def filled(text: str, value_of: Callable[[str], Any]) -> str:
    """A text with the values of other fields in it."""
    return name_pattern.sub(lambda match: shown(value_of(match[1])), text)


def shown(value: Any) -> str:
    """A value within a text, as JSON writes it, without quotation marks."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
