"""Renders tables of events as text, in order, in one buffer.

The events of one emitter are written together, column by column: first the slots from left to right, each copied as a
row of fixed width. A row wider than its text spills into what is written later: the next slot, or the head of the next
event. Heads are written last and have their exact width.
"""

from __future__ import annotations

from collections import Counter, deque
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
from eventbus.chains.table import EventTable, StepIds

Encode = Callable[[int], bytes]


def length_of(parts: Sequence[Segment], encode: Encode) -> Segment:
    """The length prefix of segments: constant text, or a field if their length varies.

    Args:
        parts: the segments.
        encode: encodes a length.
    """
    fields = tuple(part for part in parts if not isinstance(part, bytes))
    always = sum(len(part) for part in parts if isinstance(part, bytes))
    return LengthField(always, fields, encode) if fields else encode(always)


@dataclass(frozen=True)
class LengthField:
    """A length prefix that varies; both a variable field and its slot."""

    always: int
    fields: tuple[VariableField, ...]
    encode: Encode

    @property
    def draws(self) -> Iterable[Draw]:
        return [draw for field in self.fields for draw in field.draws]

    @property
    def width(self) -> int:
        return len(self.encode(self._max_length))

    def lengths(self, numbers: Numbers) -> Integers:
        lengths: Integers = self._table[1].take(self._total(numbers))
        return lengths

    def slots(self, after: bytes) -> list[Slot]:
        return [self, constant_slot(after)]

    def column(self, numbers: Numbers) -> TextColumn:
        rows, lengths = self._table
        totals = self._total(numbers)
        return TextColumn(rows, totals, lengths.take(totals))

    def _total(self, numbers: Numbers) -> Integers:
        total = self.fields[0].lengths(numbers) + self.always
        for field in self.fields[1:]:
            total += field.lengths(numbers)
        return total

    @property
    def _max_length(self) -> int:
        return self.always + sum(field.width for field in self.fields)

    @cached_property
    def _table(self) -> tuple[Rows, Integers]:
        texts = [self.encode(number) for number in range(self._max_length + 1)]
        return table(texts), np.array(list(map(len, texts)), np.int64)


@dataclass(frozen=True)
class Emitter:
    """The layout of the events of one state: a head of fixed width, then slots. Offsets are bytes from the start."""

    chain: str
    state: State
    is_root: bool
    head: Rows
    """One row: the text up to the first slot, with room for the fixed fields."""
    gaps: tuple[FieldPosition, ...]
    """The fixed fields in the head."""
    shape: RecordShape
    slots: tuple[Slot, ...]
    payload: PayloadCompiler
    draws: EmitterDraws
    """The draws of the slots."""

    @property
    def event_type(self) -> str:
        return self.state.emits

    @property
    def correlation_at(self) -> int:
        """Offset of the correlation id."""
        return self.shape.key_at

    @property
    def head_width(self) -> int:
        return self.head.dtype.itemsize

    @property
    def width(self) -> int:
        """Size of the longest event."""
        return self.head_width + sum(slot.width for slot in self.slots)

    def columns(self, context: EventContext) -> list[TextColumn]:
        """The texts of all slots for a group of events."""
        numbers = self.draws.numbers(context)
        return [slot.column(numbers) for slot in self.slots]


ID_AT = len(b'{"event_id":"')
"""Offset of the id in every JSON event."""


def compile_emitter(
    catalog: Catalog,
    envelope: Envelope,
    format: Format,
    chain: Chain,
    state: str,
    *,
    is_root: bool,
    longest: int,
    step_ids: StepIds,
) -> Emitter:
    """Compiles the emitter of a state; a start state in a loop has a second one that is not the root.

    Args:
        catalog: has the event types.
        envelope: the fields that all events share.
        format: lays out the events.
        chain: the chain.
        state: name of the state.
        is_root: whether its events begin a chain.
        longest: longest delay before the state, in microseconds.
        step_ids: of the chain.
    """
    payload = PayloadCompiler(catalog, chain, state, longest)
    template = format.template(EventSpec(payload.event, envelope, is_root, payload))
    head, slots = _lay_out(template.head, template.parts)
    return Emitter(
        chain=chain.name,
        state=chain.states[state],
        is_root=is_root,
        head=head,
        gaps=tuple(template.gaps),
        shape=template.shape,
        slots=slots,
        payload=payload,
        draws=EmitterDraws((draw for slot in slots for draw in slot.draws), step_ids),
    )


def _lay_out(head: bytes, parts: list[Segment]) -> tuple[Rows, tuple[Slot, ...]]:
    """Joins constants: those before the first field to the head, the others to the slot before them."""
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
    rows: slice
    """Of the events by emitter."""
    columns: list[TextColumn]

    @property
    def lengths(self) -> Integers:
        """Of the events' texts."""
        total = np.full(self.rows.stop - self.rows.start, self.emitter.head_width)
        for column in self.columns:
            total += column.lengths
        return total


class Renderer:
    """Renders events of a list of emitters.

    Args:
        emitters: the emitters, by emitter id.
        root: random key of the run.
        tenancy: the tenants, if there are several.
    """

    def __init__(self, emitters: list[Emitter], *, root: int, tenancy: Tenancy | None = None) -> None:
        self._emitters = emitters
        self._tenancy = tenancy
        self._root = root
        #: The second one is used while a block is kept; always to take turns would take both out of the CPU's cache.
        self._memories: deque[Memory] = deque([np.empty(0, np.uint8)] * 2)
        self._keeps = False
        self._head_widths = np.array([e.head_width for e in emitters])
        self._gaps = FieldColumn.of(emitters)
        self.slicer = RecordSlicer([emitter.shape for emitter in emitters])
        # 16 bits or fewer are sorted in linear time
        self._id_type = np.min_scalar_type(len(emitters))
        # a row may spill into the next event's head, but not beyond it
        self._reach = int(self._head_widths.min())

    def render(self, events: EventTable, memory: Memory | None = None) -> Block:
        """Renders ordered events.

        Args:
            events: the events.
            memory: a buffer that is large enough; by default the renderer's own, which the next call overwrites
                unless the block is kept.
        """
        keys = chain_keys(self._root, events.chain)
        order, groups = self._groups(events, EventContext.of(events, keys))
        lengths = np.empty(len(events), np.int64)
        lengths[order] = np.concatenate([group.lengths for group in groups] or [lengths])
        ends = lengths.cumsum()
        starts = ends - lengths
        if memory is None:
            memory = self._room(int(ends[-1]) if len(events) else 0, groups)
        at = starts.take(order)
        for group in groups:
            self._write_slots(memory, at[group.rows] + group.emitter.head_width, group.columns)
        for group in groups:
            windows(memory, group.emitter.head.dtype)[at[group.rows]] = group.emitter.head[0]
        texts = FixedFieldRows(events, keys, lengths, self._tenancy)
        self._write_fixed(memory, texts, starts, events.emitter)
        return Block(events, memory, starts, ends, slicer=self.slicer, keep=self._keep)

    def _keep(self) -> None:
        self._keeps = True

    def _groups(self, events: EventTable, context: EventContext) -> tuple[Integers, list[EmitterRows]]:
        """The rows of the events by emitter, and the groups, which are slices of these."""
        order = events.emitter.astype(self._id_type).argsort(kind="stable")
        ends = np.bincount(events.emitter, minlength=len(self._emitters)).cumsum().tolist()
        context = context.take(order)
        groups, begin = [], 0
        for emitter, end in zip(self._emitters, ends, strict=True):
            if end > begin:
                groups.append(EmitterRows(emitter, slice(begin, end), emitter.columns(context.part(begin, end))))
            begin = end
        return order, groups

    def _room(self, size: int, groups: list[EmitterRows]) -> Memory:
        """A buffer for the text and what its last event may spill."""
        spill = max((c.rows.dtype.itemsize for group in groups for c in group.columns), default=0)
        if self._keeps:
            self._memories.rotate()
            self._keeps = False
        if self._memories[0].size < size + spill:
            self._memories[0] = np.empty((size + spill) * 5 // 4, np.uint8)
        return self._memories[0]

    def _write_slots(self, memory: Memory, at: Integers, columns: list[TextColumn]) -> None:
        for column in columns:
            row = column.rows.dtype
            if row.itemsize <= self._reach:
                windows(memory, row)[at] = column.rows.take(column.index)
            else:
                self._write_wide(memory, at, column)
            at += column.lengths

    def _write_wide(self, memory: Memory, at: Integers, column: TextColumn) -> None:
        """Writes rows in pieces that do not spill too far, and each piece only where it holds text."""
        width = column.rows.dtype.itemsize
        for offset in range(0, width, self._reach):
            piece = np.dtype(f"V{min(self._reach, width - offset)}")
            pieces: Rows = np.ndarray(column.rows.shape, piece, column.rows, offset, column.rows.strides)
            selected = np.flatnonzero(column.lengths > offset)
            windows(memory, piece)[at.take(selected) + offset] = pieces.take(column.index.take(selected))

    def _write_fixed(self, memory: Memory, texts: FixedFieldRows, starts: Integers, emitter: Integers) -> None:
        """Writes ids and times into the heads."""
        for gap in self._gaps:
            rows = texts.rows(gap.field)
            at = gap.at.take(emitter)
            if gap.everywhere:
                windows(memory, rows.dtype)[starts + at] = rows
            else:
                selected = np.flatnonzero(at >= 0)
                windows(memory, rows.dtype)[starts.take(selected) + at.take(selected)] = rows.take(selected)


class FieldColumn:
    """The n-th occurrence of a fixed field in the heads of all emitters that have it."""

    def __init__(self, emitters: list[Emitter], field: FixedField, number: int) -> None:
        self.field = field
        self.at = np.array([_nth(emitter, field, number) for emitter in emitters])
        """Offset by emitter id; -1 if the emitter does not have it."""
        self.everywhere = bool((self.at >= 0).all())

    @classmethod
    def of(cls, emitters: list[Emitter]) -> list[FieldColumn]:
        """All occurrences of all fields."""
        counts = [Counter(gap.field for gap in emitter.gaps) for emitter in emitters]
        counts_by_field = {field: max(count[field] for count in counts) for field in FixedField}
        return [cls(emitters, field, number) for field in FixedField for number in range(counts_by_field[field])]


def _nth(emitter: Emitter, field: FixedField, number: int) -> int:
    offsets = [gap.at for gap in emitter.gaps if gap.field == field]
    return offsets[number] if number < len(offsets) else -1
