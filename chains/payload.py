"""A payload's description, interpreted once: constant JSON text with slots between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from catalog import Catalog, Chain, PayloadField, UnknownName
from chains.errors import InvalidSetting
from chains.randomness import Integers, purpose
from chains.slots import Factor, Listed, Numeral, Slot
from chains.sources import Constant, Drawn, Elapsed, Item, Source

LARGEST_TABLE = 16_384
"""Number ranges up to this size are written from a table of all their texts, wider ones by encoding each number."""


@dataclass(frozen=True)
class Hole:
    """A value that varies, before the constant text behind it is known."""

    source: Source
    values: tuple[Any, ...] | None = None
    """The values by number; None: numbers, as follows."""
    low: int = 0
    decimals: int | None = None
    """None: whole numbers from `low` on; else units of 10^-decimals."""

    def slots(self, after: bytes) -> list[Slot]:
        """One slot with the text behind it, or two where numbers are encoded one by one."""
        if self.values is not None:
            texts = [orjson.dumps(value) for value in self.values]
        elif self.source.count <= LARGEST_TABLE:
            numbers = self._shown(np.arange(self.source.count))
            texts = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
        else:
            return [Numeral(self.source, self._shown), Listed(Factor(Constant(), (after,)))]
        return [Listed(Factor(self.source, tuple(text + after for text in texts)))]

    def _shown(self, numbers: Integers) -> Any:
        units = numbers + self.low
        return units if self.decimals is None else units / 10.0**self.decimals


@dataclass(frozen=True)
class PayloadCompiler:
    """Compiles payloads for one state of a chain."""

    catalog: Catalog
    chain: Chain
    state: str
    longest: int
    """The longest delay before the state, microseconds."""

    def parts(self, fields: tuple[PayloadField, ...], path: str = "") -> list[bytes | Hole]:
        """Constant texts and holes of an object, in order."""
        parts: list[bytes | Hole] = [b"{"]
        for number, field in enumerate(fields):
            parts.append((b"," if number else b"") + orjson.dumps(field.name) + b":")
            parts += self._value(field, f"{path}/{field.name}")
        return [*parts, b"}"]

    def _value(self, field: PayloadField, path: str) -> list[bytes | Hole]:
        if field.fields is not None:
            return self.parts(field.fields, path)
        hole = self._hole(field, path)
        return [orjson.dumps(field.value) if hole is None else hole]

    def _hole(self, field: PayloadField, path: str) -> Hole | None:
        """None: the field is a constant."""
        hole: Hole | None = None
        if field.elapsed:
            hole = Hole(Elapsed(self.longest // 1000 + 1))
        elif field.attempt:
            hole = Hole(Item(self.chain.retries + 1), low=1)
        elif field.var is not None:
            hole = self._variable(field.var)
        elif field.pick is not None:
            hole = self._choice(self._listed(field.pick), f"/pick:{field.pick.partition('.')[0]}")
        elif field.choices is not None:
            hole = self._choice(field.choices, path)
        elif field.minimum is not None and field.maximum is not None:
            hole = self._range(field, field.minimum, field.maximum, path)
        return hole

    def _variable(self, reference: str) -> Hole:
        name, _, attribute = reference.partition(".")
        if name not in self.chain.variables:
            raise UnknownName(f"no variable {name!r} in chain {self.chain.name!r}")
        variable = self.chain.variables[name]
        drawn = purpose(f"{self.chain.name}/var/{name}")
        if variable.list is not None:
            values = self._listed(f"{variable.list}.{attribute}" if attribute else variable.list)
            return Hole(Drawn(drawn, len(values), each_step=False), values)
        low, high = variable.minimum or 0, variable.maximum or 0
        return Hole(Drawn(drawn, high - low + 1, each_step=False), low=low)

    def _choice(self, values: tuple[Any, ...], path: str) -> Hole:
        return Hole(Drawn(self._purpose(path), len(values), each_step=True), values)

    def _range(self, field: PayloadField, minimum: float, maximum: float, path: str) -> Hole:
        decimals = field.decimals if field.type == "number" else None
        scale = 10 ** (decimals or 0)
        low, high = round(minimum * scale), round(maximum * scale)
        if not -(1 << 62) <= low <= high < 1 << 62:
            raise InvalidSetting(
                f"{self.chain.name}/{self.state}{path}: expected bounds within 62 bits"
                f" ({decimals or 0} decimals included), got {minimum} to {maximum}"
            )
        return Hole(Drawn(self._purpose(path), high - low + 1, each_step=True), low=low, decimals=decimals)

    def _purpose(self, path: str) -> int:
        return purpose(f"{self.chain.name}/{self.state}{path}")

    def _listed(self, reference: str) -> tuple[Any, ...]:
        """The values of `list` or `list.attribute`."""
        name, _, attribute = reference.partition(".")
        if name not in self.catalog.lists:
            raise UnknownName(f"no list {name!r} in the catalog; there are: {', '.join(sorted(self.catalog.lists))}")
        values = self.catalog.lists[name]
        return tuple(value[attribute] for value in values) if attribute else values
