"""A payload's description, interpreted once: constant JSON text with slots between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from catalog import Catalog, Chain, PayloadField, UnknownName, Variable
from catalog.visitors import COUNTED
from chains.errors import InvalidSetting
from chains.randomness import Integers, purpose
from chains.slots import Factor, Listed, Numeral, Slot
from chains.sources import Before, Constant, Drawn, Elapsed, Favoured, Item, Owned, Source
from chains.visits import PARTS, most

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
    template: str | None = None
    """The text around a number, which stands where it has `{}`; None: no text."""

    def slots(self, after: bytes) -> list[Slot]:
        """One slot with the text around it, or several where numbers are encoded one by one."""
        if self.values is None and self.source.count > LARGEST_TABLE:
            before, behind = self._around
            constant = [Listed(Factor(Constant(), (before,)))] if before else []
            return [*constant, Numeral(self.source, self._shown), Listed(Factor(Constant(), (behind + after,)))]
        return [Listed(Factor(self.source, tuple(text + after for text in self._texts())))]

    def _texts(self) -> list[bytes]:
        if self.values is not None:
            return [orjson.dumps(value) for value in self.values]
        numbers = self._shown(np.arange(self.source.count))
        texts = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
        before, behind = self._around
        return [before + text + behind for text in texts]

    @property
    def _around(self) -> tuple[bytes, bytes]:
        """The text before a number, and the one behind it."""
        before, _, behind = (b"{}" if self.template is None else orjson.dumps(self.template)).partition(b"{}")
        return before, behind

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
            hole = replace(self._variable(field.var), template=field.template)
        elif field.visit is not None:
            hole = self._visit(field.visit)
        elif field.pick is not None:
            hole = self._choice(self._listed(field.pick), f"/pick:{field.pick.partition('.')[0]}")
        elif field.choices is not None:
            hole = self._choice(field.choices, path)
        elif field.minimum is not None and field.maximum is not None:
            hole = self._range(field, field.minimum, field.maximum, path)
        return hole

    def _variable(self, reference: str) -> Hole:
        name, _, attribute = reference.partition(".")
        variable = self._known(name)
        if variable.list is not None:
            values = self._listed(f"{variable.list}.{attribute}" if attribute else variable.list)
            return Hole(self._drawn(variable, len(values)), values)
        low, high = variable.minimum or 0, variable.maximum or 0
        return Hole(self._drawn(variable, high - low + 1), low=low)

    def _known(self, name: str) -> Variable:
        if name not in self.chain.variables:
            raise UnknownName(f"no variable {name!r} in chain {self.chain.name!r}")
        return self.chain.variables[name]

    def _drawn(self, variable: Variable, count: int) -> Source:
        if variable.by is not None:
            return Owned(self._variable(variable.by).source, purpose(f"var/{variable.by}/{variable.name}"), count)
        drawn = purpose(f"{self.chain.name}/var/{variable.name}")
        return Favoured(drawn, count) if variable.zipf else Drawn(drawn, count, each_step=False)

    def _visit(self, visit: str) -> Hole:
        visitors = self.chain.visitors
        if visitors is None:
            raise InvalidSetting(f"{self.chain.name}/{self.state}: {visit} is known in chains with `visitors` only")
        if visit in COUNTED:
            return Hole(PARTS[visit].item(most(visit, visitors) + 1))
        texts = visitors.texts(visit)
        if visit != "referrer":
            return Hole(PARTS[visit].item(len(texts)), texts)
        first = self._variable(visitors.referrer) if visitors.referrer else Hole(Constant(), ("",))
        return Hole(Before(PARTS[visit].item(len(texts) + 1), first.source), (*(first.values or ()), *texts))

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
