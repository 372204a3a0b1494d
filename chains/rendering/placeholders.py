"""A payload's description, interpreted once: what is constant in it, and what varies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np

from eventbus.catalog import Catalog, Chain, PayloadField, UnknownName, Variable
from eventbus.catalog.model import INTEGER_ATTRIBUTES
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers, purpose
from eventbus.chains.rendering.attributes import PARTS, max_attribute
from eventbus.chains.rendering.columns import Rows, table
from eventbus.chains.rendering.draws import (
    Draw,
    ElapsedDraw,
    FallbackDraw,
    ItemDraw,
    KeyedDraw,
    NoDraw,
    Numbers,
    UniformDraw,
    ZipfDraw,
)

# The places of a text that differ from event to event, each written as a column of texts.


LARGEST_PRODUCT, LARGEST_TABLE = 2048, 1 << 20
"""Neighbouring slots become one while all combinations of their texts are at most so many, and so many bytes."""
LONGEST_NUMBER = 24
"""Bytes of a number in any format; in JSON: `-1.7976931348623157e+308`."""


@dataclass(frozen=True, slots=True)
class TextColumn:
    """The texts of a slot for a group of events: event i shows the first `lengths[i]` bytes of `rows[index[i]]`."""

    rows: Rows
    index: Integers
    lengths: Integers


class Slot(Protocol):
    """Text for each event of a group."""

    @property
    def sources(self) -> Iterable[Draw]:
        """The numbers it needs."""
        ...

    @property
    def width(self) -> int:
        """Bytes of its longest text."""
        ...

    def column(self, numbers: Numbers) -> TextColumn: ...


class SlotValues(NamedTuple):
    """A value that varies: its number, and the text for each."""

    source: Draw
    texts: tuple[bytes, ...]


class TableSlot:
    """A slot with few possible texts: a table of all combinations of its factors, made when first used."""

    def __init__(self, *factors: SlotValues) -> None:
        self._factors = factors

    def joined(self, other: TableSlot) -> TableSlot | None:
        """This slot and the one behind it as one; None when the table would be too large."""
        last, (first, *rest) = self._factors[-1], other._factors
        if last.source == first.source:
            texts = tuple(a + b for a, b in zip(last.texts, first.texts, strict=True))
            return TableSlot(*self._factors[:-1], SlotValues(last.source, texts), *rest)
        size = self._size * other._size
        fits = size <= LARGEST_PRODUCT and size * (self.width + other.width) <= LARGEST_TABLE
        return TableSlot(*self._factors, first, *rest) if fits else None

    @property
    def sources(self) -> Iterable[Draw]:
        return [factor.source for factor in self._factors]

    @property
    def width(self) -> int:
        return sum(max(map(len, factor.texts)) for factor in self._factors)

    def column(self, numbers: Numbers) -> TextColumn:
        first, *others = self._factors
        index = numbers[first.source]
        for factor in others:
            index = index * factor.source.count
            index += numbers[factor.source]
        rows, lengths = self._table
        return TextColumn(rows, index, lengths.take(index))

    @property
    def _size(self) -> int:
        return int(np.prod([len(factor.texts) for factor in self._factors]))

    @cached_property
    def _table(self) -> tuple[Rows, Integers]:
        texts = list(map(b"".join, product(*(factor.texts for factor in self._factors))))
        return table(texts), np.array(list(map(len, texts)), np.int64)


class ValueEncoder(Protocol):
    """How values become bytes in a format."""

    def text(self, value: Any) -> bytes:
        """Of one value."""
        ...

    def texts(self, numbers: Any) -> list[bytes]:
        """Of an array of numbers."""
        ...

    def column(self, numbers: Any) -> TextColumn:
        """The same, for very many."""
        ...


class NumberSlot:
    """A slot with very many possible numbers: those of all events are encoded in one go.

    Args:
        value: from the source's numbers to the values shown.
    """

    def __init__(self, source: Draw, value: Callable[[Integers], Any], encoder: ValueEncoder) -> None:
        self._source = source
        self._value = value
        self._encoder = encoder

    @property
    def sources(self) -> Iterable[Draw]:
        return [self._source]

    @property
    def width(self) -> int:
        return LONGEST_NUMBER

    def column(self, numbers: Numbers) -> TextColumn:
        return self._encoder.column(self._value(numbers[self._source]))


def merge(slots: list[Slot]) -> tuple[Slot, ...]:
    """The same text with fewer slots."""
    fewer: list[Slot] = []
    for slot in slots:
        last = fewer[-1] if fewer else None
        joined = last.joined(slot) if isinstance(last, TableSlot) and isinstance(slot, TableSlot) else None
        if joined:
            fewer[-1] = joined
        else:
            fewer.append(slot)
    return tuple(fewer)


PAYLOAD_LARGEST_TABLE = 16_384
"""Number ranges up to this size are written from a table of all their texts, wider ones by encoding each number."""


@dataclass(frozen=True)
class Placeholder:
    """A value that varies."""

    source: Draw
    values: tuple[Any, ...] | None = None
    """The values by number; None: numbers, as follows."""
    low: int = 0
    decimals: int | None = None
    """None: whole numbers from `low` on; else units of 10^-decimals."""
    template: str | None = None
    """The text around a number, which stands where it has `{}`; None: no text."""

    @property
    def is_listed(self) -> bool:
        """Whether there are few enough values for a table of their texts."""
        return self.values is not None or self.source.count <= PAYLOAD_LARGEST_TABLE

    @property
    def around(self) -> tuple[str, str]:
        """The text before a number, and the one behind it."""
        before, _, behind = (self.template or "{}").partition("{}")
        return before, behind

    def bare(self) -> Placeholder:
        """The number without the text around it."""
        return replace(self, template=None)

    def shown(self, numbers: Integers) -> Any:
        """What the source's numbers stand for."""
        units = numbers + self.low
        return units if self.decimals is None else units / 10.0**self.decimals


class VariableField(Protocol):
    """A place in a payload whose text varies, before the constant text behind it is known."""

    @property
    def sources(self) -> Iterable[Draw]:
        """The numbers it needs."""
        ...

    @property
    def width(self) -> int:
        """Bytes of its longest text."""
        ...

    def lengths(self, numbers: Numbers) -> Integers:
        """Bytes of its text in each of a group of events."""
        ...

    def slots(self, after: bytes) -> list[Slot]:
        """The slots for it and the text behind it."""
        ...


Segment = bytes | VariableField
"""Of a payload's text: it is there as it is, or varies."""


@dataclass(frozen=True)
class PlaceholderField:
    """A hole in a format."""

    hole: Placeholder
    encoder: ValueEncoder

    @cached_property
    def texts(self) -> list[bytes]:
        """All of them by number, where they are listed."""
        if self.hole.values is not None:
            return [self.encoder.text(value) for value in self.hole.values]
        numbers = self.hole.shown(np.arange(self.hole.source.count))
        if self.hole.template is None:
            return self.encoder.texts(numbers)
        before, behind = self.hole.around
        return [self.encoder.text(f"{before}{number}{behind}") for number in numbers.tolist()]

    @property
    def sources(self) -> Iterable[Draw]:
        return [self.hole.source]

    @property
    def width(self) -> int:
        return max(map(len, self.texts)) if self.hole.is_listed else LONGEST_NUMBER

    def lengths(self, numbers: Numbers) -> Integers:
        index = numbers[self.hole.source]
        if not self.hole.is_listed:
            return self.encoder.column(self.hole.shown(index)).lengths
        return self._lengths.take(index)

    @cached_property
    def _lengths(self) -> Integers:
        return np.array(list(map(len, self.texts)), np.int64)

    def slots(self, after: bytes) -> list[Slot]:
        """One, or two where numbers are encoded one by one."""
        if self.hole.is_listed:
            return [TableSlot(SlotValues(self.hole.source, tuple(text + after for text in self.texts)))]
        return [NumberSlot(self.hole.source, self.hole.shown, self.encoder), constant(after)]


def constant(text: bytes) -> Slot:
    """A slot that is always the same."""
    return TableSlot(SlotValues(NoDraw(), (text,)))


@dataclass(frozen=True)
class PayloadCompiler:
    """Finds what varies in the payloads of one state of a chain."""

    catalog: Catalog
    chain: Chain
    state: str
    longest: int
    """The longest delay before the state, microseconds."""

    def hole(self, field: PayloadField, path: str) -> Placeholder | None:
        """A field that is no object; None: it is a constant.

        Args:
            path: its place in the payload, `/result/score`.
        """
        hole: Placeholder | None = None
        if field.elapsed:
            hole = Placeholder(ElapsedDraw(self.longest // 1000 + 1))
        elif field.attempt:
            hole = Placeholder(ItemDraw(self.chain.retries + 1), low=1)
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

    def _variable(self, reference: str) -> Placeholder:
        name, _, attribute = reference.partition(".")
        variable = self._known(name)
        if variable.list is not None:
            values = self._listed(f"{variable.list}.{attribute}" if attribute else variable.list)
            return Placeholder(self._drawn(variable, len(values)), values)
        low, high = variable.minimum or 0, variable.maximum or 0
        return Placeholder(self._drawn(variable, high - low + 1), low=low)

    def _known(self, name: str) -> Variable:
        if name not in self.chain.variables:
            raise UnknownName(f"no variable {name!r} in chain {self.chain.name!r}")
        return self.chain.variables[name]

    def _drawn(self, variable: Variable, count: int) -> Draw:
        if variable.per is not None:
            return KeyedDraw(self._variable(variable.per).source, purpose(f"var/{variable.per}/{variable.name}"), count)
        drawn = purpose(f"{self.chain.name}/var/{variable.name}")
        return ZipfDraw(drawn, count) if variable.zipf else UniformDraw(drawn, count, each_step=False)

    def _visit(self, visit: str) -> Placeholder:
        visitors = self.chain.visitors
        if visitors is None:
            raise InvalidSetting(f"{self.chain.name}/{self.state}: {visit} is known in chains with `visitors` only")
        if visit in INTEGER_ATTRIBUTES:
            return Placeholder(ItemDraw(max_attribute(visit, visitors) + 1, *PARTS[visit]))
        texts = visitors.texts(visit)
        if visit != "referrer":
            return Placeholder(ItemDraw(len(texts), *PARTS[visit]), texts)
        first = self._variable(visitors.referrer) if visitors.referrer else Placeholder(NoDraw(), ("",))
        return Placeholder(
            FallbackDraw(ItemDraw(len(texts) + 1, *PARTS[visit]), first.source), (*(first.values or ()), *texts)
        )

    def _choice(self, values: tuple[Any, ...], path: str) -> Placeholder:
        return Placeholder(UniformDraw(self._purpose(path), len(values), each_step=True), values)

    def _range(self, field: PayloadField, minimum: float, maximum: float, path: str) -> Placeholder:
        decimals = field.decimals if field.type == "number" else None
        scale = 10 ** (decimals or 0)
        low, high = round(minimum * scale), round(maximum * scale)
        if not -(1 << 62) <= low <= high < 1 << 62:
            raise InvalidSetting(
                f"{self.chain.name}/{self.state}{path}: expected bounds within 62 bits"
                f" ({decimals or 0} decimals included), got {minimum} to {maximum}"
            )
        return Placeholder(UniformDraw(self._purpose(path), high - low + 1, each_step=True), low=low, decimals=decimals)

    def _purpose(self, path: str) -> int:
        return purpose(f"{self.chain.name}/{self.state}{path}")

    def _listed(self, reference: str) -> tuple[Any, ...]:
        """The values of `list` or `list.attribute`."""
        name, _, attribute = reference.partition(".")
        if name not in self.catalog.lists:
            raise UnknownName(f"no list {name!r} in the catalog; there are: {', '.join(sorted(self.catalog.lists))}")
        values = self.catalog.lists[name]
        return tuple(value[attribute] for value in values) if attribute else values
