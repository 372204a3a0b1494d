"""A payload as constant text and the places in it that vary, worked out once for each emitter.

A format turns each field's `Placeholder` into segments: constant bytes, and variable fields. Variable fields become
slots, which give the text of a whole group of events as one column.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np

from eventbus.catalog import Catalog, Chain, EventType, PayloadField
from eventbus.catalog.model.draws import Draw, FilledText, NoDraw, Placeholder
from eventbus.catalog.sources import PayloadDraws
from eventbus.chains.errors import InvalidSetting
from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.columns import Rows, table
from eventbus.chains.rendering.draws import Numbers

# From a payload field of the catalog to its placeholder.


@dataclass(frozen=True)
class PayloadCompiler:
    """Finds the placeholders of a payload that a state of a chain emits."""

    catalog: Catalog
    chain: Chain
    state: str
    longest: int
    """Longest delay before the state, microseconds."""

    @property
    def event(self) -> EventType:
        """The type of the events."""
        return self.catalog.event_type(self.chain.states[self.state].emits)

    def placeholder(self, field: PayloadField, path: tuple[str, ...]) -> Placeholder | FilledText:
        """The placeholder of a field that is no object.

        Args:
            path: of the field in the payload: the names of the objects around it, and its own.

        Raises:
            InvalidSetting: its numbers have more than 62 bits.
            UnknownName: its source refers to something that the catalog or the chain does not define.
        """
        draws = PayloadDraws(self.catalog.lists, self.chain, self.state, self.event.payload, self.longest)
        placeholder = draws.placeholder(field, path)
        if isinstance(placeholder, Placeholder) and placeholder.bounds_problem:
            raise InvalidSetting(f"{'/'.join((self.chain.name, self.state, *path))}: {placeholder.bounds_problem}")
        return placeholder


def shown_numbers(placeholder: Placeholder, numbers: Integers) -> Any:
    """The values that the numbers of a placeholder's draw stand for."""
    units = numbers + placeholder.low
    return units if placeholder.decimals is None else units / 10.0**placeholder.decimals


# Slots: the varying places of a text, each written as a column of texts.


MAX_COMBINATIONS, MAX_TABLE_BYTES = 2048, 1 << 20
"""Neighbouring slots are merged while the table of all their combinations stays within these bounds."""
MAX_LISTED_NUMBERS = 16_384
"""Ranges of up to so many numbers are written from a table of all their texts, wider ones by encoding each number."""
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
    def draws(self) -> Iterable[Draw]:
        """The draws whose numbers it needs."""
        ...

    @property
    def width(self) -> int:
        """Bytes of its longest text."""
        ...

    def column(self, numbers: Numbers) -> TextColumn: ...


class DrawnTexts(NamedTuple):
    """A draw, and the text of each of its numbers."""

    draw: Draw
    texts: tuple[bytes, ...]


class TableSlot:
    """A slot with few possible texts: a table of all combinations of what is drawn, made when first used."""

    def __init__(self, *parts: DrawnTexts) -> None:
        self._parts = parts

    def merged_with(self, following: TableSlot) -> TableSlot | None:
        """This slot and the one after it as one; None if the table would be too large."""
        last, (first, *rest) = self._parts[-1], following._parts
        if last.draw == first.draw:
            texts = tuple(a + b for a, b in zip(last.texts, first.texts, strict=True))
            return TableSlot(*self._parts[:-1], DrawnTexts(last.draw, texts), *rest)
        size = self._size * following._size
        fits = size <= MAX_COMBINATIONS and size * (self.width + following.width) <= MAX_TABLE_BYTES
        return TableSlot(*self._parts, first, *rest) if fits else None

    @property
    def draws(self) -> Iterable[Draw]:
        return [part.draw for part in self._parts]

    @property
    def width(self) -> int:
        return sum(max(map(len, part.texts)) for part in self._parts)

    def column(self, numbers: Numbers) -> TextColumn:
        first, *others = self._parts
        index = numbers[first.draw]
        for part in others:
            index = index * part.draw.count
            index += numbers[part.draw]
        rows, lengths = self._table
        return TextColumn(rows, index, lengths.take(index))

    @property
    def _size(self) -> int:
        return int(np.prod([len(part.texts) for part in self._parts]))

    @cached_property
    def _table(self) -> tuple[Rows, Integers]:
        texts = list(map(b"".join, product(*(part.texts for part in self._parts))))
        return table(texts), np.array(list(map(len, texts)), np.int64)


class ValueEncoder(Protocol):
    """Encodes values in a format."""

    def text(self, value: Any) -> bytes:
        """One value."""
        ...

    def texts(self, numbers: Any) -> list[bytes]:
        """An array of numbers, each as a text."""
        ...

    def column(self, numbers: Any) -> TextColumn:
        """An array of very many numbers, all at once."""
        ...


class NumberSlot:
    """A slot with very many possible numbers: those of all events are encoded at once."""

    def __init__(self, placeholder: Placeholder, encoder: ValueEncoder) -> None:
        self._placeholder = placeholder
        self._encoder = encoder

    @property
    def draws(self) -> Iterable[Draw]:
        return [self._placeholder.draw]

    @property
    def width(self) -> int:
        return LONGEST_NUMBER

    def column(self, numbers: Numbers) -> TextColumn:
        return self._encoder.column(shown_numbers(self._placeholder, numbers[self._placeholder.draw]))


def constant_slot(text: bytes) -> Slot:
    """The same text for every event."""
    return TableSlot(DrawnTexts(NoDraw(), (text,)))


def merge(slots: list[Slot]) -> tuple[Slot, ...]:
    """The same text with fewer slots."""
    merged: list[Slot] = []
    for slot in slots:
        last = merged[-1] if merged else None
        both = last.merged_with(slot) if isinstance(last, TableSlot) and isinstance(slot, TableSlot) else None
        if both:
            merged[-1] = both
        else:
            merged.append(slot)
    return tuple(merged)


# Segments: constant text and variable fields, before slots are made of them.


class VariableField(Protocol):
    """A place in a payload whose text varies, before the constant text after it is known."""

    @property
    def draws(self) -> Iterable[Draw]:
        """The draws whose numbers it needs."""
        ...

    @property
    def width(self) -> int:
        """Bytes of its longest text."""
        ...

    def lengths(self, numbers: Numbers) -> Integers:
        """Bytes of its text in each of a group of events."""
        ...

    def slots(self, after: bytes) -> list[Slot]:
        """The slots for it and the text after it."""
        ...


Segment = bytes | VariableField
"""A part of a payload's text."""


def is_listed(placeholder: Placeholder) -> bool:
    """Whether a placeholder has few enough values for a table of their texts."""
    return placeholder.values is not None or placeholder.draw.count <= MAX_LISTED_NUMBERS


@dataclass(frozen=True)
class PlaceholderField:
    """A placeholder in a format."""

    placeholder: Placeholder
    encoder: ValueEncoder

    @cached_property
    def texts(self) -> list[bytes]:
        """All texts by number, if they are listed."""
        if self.placeholder.values is not None:
            return [self.encoder.text(value) for value in self.placeholder.values]
        numbers = shown_numbers(self.placeholder, np.arange(self.placeholder.draw.count))
        if self.placeholder.template is None:
            return self.encoder.texts(numbers)
        before, after = self.placeholder.around
        return [self.encoder.text(f"{before}{number}{after}") for number in numbers.tolist()]

    @property
    def draws(self) -> Iterable[Draw]:
        return [self.placeholder.draw]

    @property
    def width(self) -> int:
        return max(map(len, self.texts)) if is_listed(self.placeholder) else LONGEST_NUMBER

    def lengths(self, numbers: Numbers) -> Integers:
        index = numbers[self.placeholder.draw]
        if not is_listed(self.placeholder):
            return self.encoder.column(shown_numbers(self.placeholder, index)).lengths
        return self._lengths.take(index)

    @cached_property
    def _lengths(self) -> Integers:
        return np.array(list(map(len, self.texts)), np.int64)

    def slots(self, after: bytes) -> list[Slot]:
        """One slot, or two where each number is encoded."""
        if is_listed(self.placeholder):
            return [TableSlot(DrawnTexts(self.placeholder.draw, tuple([text + after for text in self.texts])))]
        return [NumberSlot(self.placeholder, self.encoder), constant_slot(after)]


# Texts with the values of other fields in them.


@dataclass(frozen=True)
class OptionalField:
    """A field within a text that only some of the texts of a draw have."""

    field: PlaceholderField
    draw: Draw
    """Of the text."""
    has: tuple[bool, ...]
    """By number of the draw: whether the text has the field."""

    @property
    def draws(self) -> Iterable[Draw]:
        return [*self.field.draws, self.draw]

    @property
    def width(self) -> int:
        return self.field.width

    def lengths(self, numbers: Numbers) -> Integers:
        return self.field.lengths(numbers) * self._factors.take(numbers[self.draw])

    def slots(self, after: bytes) -> list[Slot]:
        return [OptionalSlot(self.field.slots(b"")[0], self.draw, self._factors), constant_slot(after)]

    @cached_property
    def _factors(self) -> Integers:
        return np.array(self.has, np.int64)


class OptionalSlot:
    """A slot that is empty for some numbers of a draw.

    Args:
        factors: by number of the draw: 0 where it is empty, else 1.
    """

    def __init__(self, slot: Slot, draw: Draw, factors: Integers) -> None:
        self._slot = slot
        self._draw = draw
        self._factors = factors

    @property
    def draws(self) -> Iterable[Draw]:
        return [*self._slot.draws, self._draw]

    @property
    def width(self) -> int:
        return self._slot.width

    def column(self, numbers: Numbers) -> TextColumn:
        column = self._slot.column(numbers)
        return replace(column, lengths=column.lengths * self._factors.take(numbers[self._draw]))


def filled_segments(filled: FilledText, encoder: ValueEncoder) -> list[Segment]:
    """The segments of a text that has the values of other fields in it.

    Args:
        encoder: encodes texts and values such as they stand within a text.
    """
    fields = [
        placeholder if is_listed(placeholder) else placeholder.without_template() for placeholder in filled.fields
    ]
    texts = [_with_templates(parts, filled.fields) for parts in filled.texts]
    segments: list[Segment] = []
    for place in range(max(map(len, texts))):
        parts = [text[place] if place < len(text) else "" for text in texts]
        literals = [part if isinstance(part, str) else "" for part in parts]
        if len(set(literals)) == 1:
            segments.append(encoder.text(literals[0]))
        else:
            segments.append(PlaceholderField(Placeholder(filled.draw, tuple(literals)), encoder))
        for index in sorted({part for part in parts if isinstance(part, int)}):
            field = PlaceholderField(fields[index], encoder)
            has = tuple(part == index and isinstance(part, int) for part in parts)
            segments.append(field if all(has) else OptionalField(field, filled.draw, has))
    return segments


def _with_templates(parts: tuple[str | int, ...], fields: tuple[Placeholder, ...]) -> list[str | int]:
    """The parts of a text, with the templates of fields that are written as plain numbers."""
    written: list[str | int] = []
    for part in parts:
        if isinstance(part, str) or is_listed(fields[part]):
            written.append(part)
        else:
            before, after = fields[part].around
            written += [before, part, after]
    return written
