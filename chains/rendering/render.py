"""From integers to text: the events of a table, in order, in one piece of memory.

All events of one emitter are written together, a piece of text at a time: first the slots, from left to right, each
as a row of fixed width (so that a copy of a row is one machine move after another). A row that is too wide spills
into what follows, which is written later: the next slot of the event, or the head of the event behind it. The heads
come last and are exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from eventbus.catalog import Catalog, Chain, State
from eventbus.catalog.model.draws import Draw
from eventbus.chains.randomness import Integers, chain_keys
from eventbus.chains.rendering.block import Block, RecordShape, RecordSlicer
from eventbus.chains.rendering.columns import Memory, Rows, table, windows
from eventbus.chains.rendering.draws import EmitterDraws, EventContext, Numbers
from eventbus.chains.rendering.fixed import (
    Envelope,
    EventSpec,
    FieldPosition,
    FixedField,
    FixedFieldRows,
    Format,
    Tenancy,
)
from eventbus.chains.rendering.placeholders import (
    PayloadCompiler,
    Segment,
    Slot,
    TextColumn,
    VariableField,
    constant_slot,
    merge,
)
from eventbus.chains.table import EventTable

# Length prefixes that vary.


Encode = Callable[[int], bytes]


def length_of(parts: Sequence[Segment], encode: Encode) -> Segment:
    """How many bytes parts have.

    Args:
        encode: a length in its format.
    """
    fields = tuple(part for part in parts if not isinstance(part, bytes))
    always = sum(len(part) for part in parts if isinstance(part, bytes))
    return LengthField(always, fields, encode) if fields else encode(always)


@dataclass(frozen=True)
class LengthField:
    """A length prefix of constant text and variable fields; both a variable field and its slot."""

    always: int
    fields: tuple[VariableField, ...]
    encode: Encode

    @property
    def draws(self) -> Iterable[Draw]:
        return [draw for field in self.fields for draw in field.draws]

    @property
    def width(self) -> int:
        return len(self.encode(self._most))

    def lengths(self, numbers: Numbers) -> Integers:
        lengths: Integers = self._table[1].take(self._counted(numbers))
        return lengths

    def slots(self, after: bytes) -> list[Slot]:
        return [self, constant_slot(after)]

    def column(self, numbers: Numbers) -> TextColumn:
        rows, lengths = self._table
        counted = self._counted(numbers)
        return TextColumn(rows, counted, lengths.take(counted))

    def _counted(self, numbers: Numbers) -> Integers:
        total = self.fields[0].lengths(numbers) + self.always
        for field in self.fields[1:]:
            total += field.lengths(numbers)
        return total

    @property
    def _most(self) -> int:
        return self.always + sum(field.width for field in self.fields)

    @cached_property
    def _table(self) -> tuple[Rows, Integers]:
        texts = [self.encode(number) for number in range(self._most + 1)]
        return table(texts), np.array(list(map(len, texts)), np.int64)


# Emitters: the events of one state, as a head of fixed width and the slots after it.


@dataclass(frozen=True)
class Emitter:
    """The text of the events of one state. Offsets count bytes from the start of the event."""

    chain: str
    state: State
    is_root: bool
    head: Rows
    """One row: everything up to the first slot, the fixed fields left open; the whole event if there is no slot."""
    gaps: tuple[FieldPosition, ...]
    """The fixed fields in the head."""
    shape: RecordShape
    slots: tuple[Slot, ...]
    draws: EmitterDraws
    """Of the slots."""

    @property
    def event_type(self) -> str:
        return self.state.emits

    @property
    def correlation_at(self) -> int:
        """Where the correlation id begins."""
        return self.shape.key_at

    @property
    def head_width(self) -> int:
        return self.head.dtype.itemsize

    @property
    def width(self) -> int:
        """Bytes of its longest event."""
        return self.head_width + sum(slot.width for slot in self.slots)

    def columns(self, context: EventContext) -> list[TextColumn]:
        """The texts of all slots for a group of events."""
        numbers = self.draws.numbers(context)
        return [slot.column(numbers) for slot in self.slots]


ID_AT = len(b'{"event_id":"')
"""Where the id begins, in all JSON events."""


def compile_emitter(
    catalog: Catalog,
    envelope: Envelope,
    format: Format,
    chain: Chain,
    state: str,
    *,
    is_root: bool,
    longest: int,
) -> Emitter:
    """The emitter of a state; the start state has two, as root of the chain and (in a loop) as a later event.

    Args:
        longest: the longest delay before the state, microseconds.
    """
    event = catalog.event_type(chain.states[state].emits)
    template = format.template(EventSpec(event, envelope, is_root, PayloadCompiler(catalog, chain, state, longest)))
    head, slots = _laid_out(template.head, template.parts)
    return Emitter(
        chain=chain.name,
        state=chain.states[state],
        is_root=is_root,
        head=head,
        gaps=tuple(template.gaps),
        shape=template.shape,
        slots=slots,
        draws=EmitterDraws(draw for slot in slots for draw in slot.draws),
    )


def _laid_out(head: bytes, parts: list[Segment]) -> tuple[Rows, tuple[Slot, ...]]:
    """The head with the constants before the first field, and each field with the constants behind it."""
    fields: list[tuple[VariableField, bytes]] = []
    for part in parts:
        if not isinstance(part, bytes):
            fields.append((part, b""))
        elif fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + part)
        else:
            head += part
    return table([head]), merge([slot for field, after in fields for slot in field.slots(after)])


class EmitterRows(NamedTuple):
    """The events of one emitter."""

    emitter: Emitter
    rows: Integers
    columns: list[TextColumn]


class Renderer:
    """Writes events of a list of emitters.

    Args:
        root: the random key of the run.
        tenancy: where there are several tenants.
    """

    def __init__(self, emitters: list[Emitter], *, root: int, tenancy: Tenancy | None = None) -> None:
        self._emitters = emitters
        self._tenancy = tenancy
        self._root = root
        self._memory: Memory = np.empty(0, np.uint8)
        self._head_widths = np.array([e.head_width for e in emitters])
        self._gaps = FieldColumn.of(emitters)
        #: How to cut records out of the text.
        self.slicer = RecordSlicer([emitter.shape for emitter in emitters])
        #: The smallest type for kinds: sorted in linear time up to 16 bits.
        self._small = np.min_scalar_type(len(emitters))
        #: How far a row may spill: into the next event's head, but not beyond.
        self._reach = int(self._head_widths.min())

    def render(self, events: EventTable, memory: Memory | None = None) -> Block:
        """The text of ordered events.

        Args:
            memory: to write to, large enough; None: one of the renderer's own, which the next call uses again.
        """
        keys = chain_keys(self._root, events.chain)
        groups = self._groups(events, EventContext.of(events, keys))
        lengths = self._head_widths.take(events.emitter)
        for group in groups:
            lengths[group.rows] += sum(column.lengths for column in group.columns)
        ends = lengths.cumsum()
        starts = ends - lengths
        if memory is None:
            memory = self._room(int(ends[-1]) if len(events) else 0, groups)
        for group in groups:
            self._write_slots(memory, starts.take(group.rows) + group.emitter.head_width, group.columns)
        for group in groups:
            windows(memory, group.emitter.head.dtype)[starts.take(group.rows)] = group.emitter.head[0]
        texts = FixedFieldRows(events, keys, lengths, self._tenancy)
        self._write_fixed(memory, texts, starts, events.emitter)
        return Block(events, memory, starts, ends, self.slicer)

    def _groups(self, events: EventTable, context: EventContext) -> list[EmitterRows]:
        order = events.emitter.astype(self._small).argsort(kind="stable")
        ends = np.bincount(events.emitter, minlength=len(self._emitters)).cumsum().tolist()
        context = context.take(order)
        groups, begin = [], 0
        for emitter, end in zip(self._emitters, ends, strict=True):
            if end > begin:
                groups.append(EmitterRows(emitter, order[begin:end], emitter.columns(context.part(begin, end))))
            begin = end
        return groups

    def _room(self, size: int, groups: list[EmitterRows]) -> Memory:
        """Memory for a text and what its last event may spill."""
        spill = max((c.rows.dtype.itemsize for group in groups for c in group.columns), default=0)
        if self._memory.size < size + spill:
            self._memory = np.empty((size + spill) * 5 // 4, np.uint8)
        return self._memory

    def _write_slots(self, memory: Memory, at: Integers, columns: list[TextColumn]) -> None:
        for column in columns:
            row = column.rows.dtype
            if row.itemsize <= self._reach:
                windows(memory, row)[at] = column.rows.take(column.index)
            else:
                self._write_wide(memory, at, column)
            at += column.lengths

    def _write_wide(self, memory: Memory, at: Integers, column: TextColumn) -> None:
        """Writes rows in pieces no wider than the reach, and each piece only where it begins with text."""
        width = column.rows.dtype.itemsize
        for offset in range(0, width, self._reach):
            piece = np.dtype(f"V{min(self._reach, width - offset)}")
            pieces: Rows = np.ndarray(column.rows.shape, piece, column.rows, offset, column.rows.strides)
            here = np.flatnonzero(column.lengths > offset)
            windows(memory, piece)[at.take(here) + offset] = pieces.take(column.index.take(here))

    def _write_fixed(self, memory: Memory, texts: FixedFieldRows, starts: Integers, kind: Integers) -> None:
        """Identifiers and times, into the gaps of the heads."""
        for gap in self._gaps:
            rows = texts.rows(gap.field)
            at = gap.at.take(kind)
            if gap.everywhere:
                windows(memory, rows.dtype)[starts + at] = rows
            else:
                some = np.flatnonzero(at >= 0)
                windows(memory, rows.dtype)[starts.take(some) + at.take(some)] = rows.take(some)


class FieldColumn:
    """The n-th gap for a field, in the heads of all emitters that have one."""

    def __init__(self, emitters: list[Emitter], field: FixedField, number: int) -> None:
        self.field = field
        #: By emitter; -1: it has none.
        self.at = np.array([_nth(emitter, field, number) for emitter in emitters])
        self.everywhere = bool((self.at >= 0).all())

    @classmethod
    def of(cls, emitters: list[Emitter]) -> list[FieldColumn]:
        """All gaps of emitters."""
        counts = [Counter(gap.field for gap in emitter.gaps) for emitter in emitters]
        most = {field: max(count[field] for count in counts) for field in FixedField}
        return [cls(emitters, field, number) for field in FixedField for number in range(most[field])]


def _nth(emitter: Emitter, field: FixedField, number: int) -> int:
    places = [gap.at for gap in emitter.gaps if gap.field == field]
    return places[number] if number < len(places) else -1
