"""From integers to text: the events of a table, in order, in one piece of memory.

All events of one emitter are written together, a piece of text at a time: first the slots, from left to right, each
as a row of fixed width (so that a copy of a row is one machine move after another). A row that is too wide spills
into what follows, which is written later: the next slot of the event, or the head of the event behind it. The heads
come last and are exact.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from eventbus.chains.randomness import Integers, chain_keys
from eventbus.chains.table import EventTable
from eventbus.chains.tenants import Tenancy
from eventbus.chains.writing.block import Block
from eventbus.chains.writing.cutter import Cutter
from eventbus.chains.writing.emitter import Emitter
from eventbus.chains.writing.fields import Field, FieldTexts
from eventbus.chains.writing.slots import Column
from eventbus.chains.writing.sources import Facts
from eventbus.chains.writing.text import Memory, Rows, windows


class Group(NamedTuple):
    """The events of one emitter."""

    emitter: Emitter
    rows: Integers
    columns: list[Column]


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
        self._gaps = Gaps.of(emitters)
        #: How to cut records out of the text.
        self.cutter = Cutter([emitter.shape for emitter in emitters])
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
        groups = self._groups(events, Facts(keys, events.step, events.delay, events.item))
        lengths = self._head_widths.take(events.kind)
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
        texts = FieldTexts(events, keys, lengths, self._tenancy)
        self._write_fixed(memory, texts, starts, events.kind)
        return Block(events, memory, starts, ends, self.cutter)

    def _groups(self, events: EventTable, facts: Facts) -> list[Group]:
        order = events.kind.astype(self._small).argsort(kind="stable")
        ends = np.bincount(events.kind, minlength=len(self._emitters)).cumsum().tolist()
        facts = facts.take(order)
        groups, begin = [], 0
        for emitter, end in zip(self._emitters, ends, strict=True):
            if end > begin:
                groups.append(Group(emitter, order[begin:end], emitter.columns(facts.part(begin, end))))
            begin = end
        return groups

    def _room(self, size: int, groups: list[Group]) -> Memory:
        """Memory for a text and what its last event may spill."""
        spill = max((c.rows.dtype.itemsize for group in groups for c in group.columns), default=0)
        if self._memory.size < size + spill:
            self._memory = np.empty((size + spill) * 5 // 4, np.uint8)
        return self._memory

    def _write_slots(self, memory: Memory, at: Integers, columns: list[Column]) -> None:
        for column in columns:
            row = column.rows.dtype
            if row.itemsize <= self._reach:
                windows(memory, row)[at] = column.rows.take(column.index)
            else:
                self._write_wide(memory, at, column)
            at += column.lengths

    def _write_wide(self, memory: Memory, at: Integers, column: Column) -> None:
        """Writes rows in pieces no wider than the reach, and each piece only where it begins with text."""
        width = column.rows.dtype.itemsize
        for offset in range(0, width, self._reach):
            piece = np.dtype(f"V{min(self._reach, width - offset)}")
            pieces: Rows = np.ndarray(column.rows.shape, piece, column.rows, offset, column.rows.strides)
            here = np.flatnonzero(column.lengths > offset)
            windows(memory, piece)[at.take(here) + offset] = pieces.take(column.index.take(here))

    def _write_fixed(self, memory: Memory, texts: FieldTexts, starts: Integers, kind: Integers) -> None:
        """Identifiers and times, into the gaps of the heads."""
        for gap in self._gaps:
            rows = texts.rows(gap.field)
            at = gap.at.take(kind)
            if gap.everywhere:
                windows(memory, rows.dtype)[starts + at] = rows
            else:
                some = np.flatnonzero(at >= 0)
                windows(memory, rows.dtype)[starts.take(some) + at.take(some)] = rows.take(some)


class Gaps:
    """The n-th gap for a field, in the heads of all emitters that have one."""

    def __init__(self, emitters: list[Emitter], field: Field, number: int) -> None:
        self.field = field
        #: By emitter; -1: it has none.
        self.at = np.array([_nth(emitter, field, number) for emitter in emitters])
        self.everywhere = bool((self.at >= 0).all())

    @classmethod
    def of(cls, emitters: list[Emitter]) -> list[Gaps]:
        """All gaps of emitters."""
        counts = [Counter(gap.field for gap in emitter.gaps) for emitter in emitters]
        most = {field: max(count[field] for count in counts) for field in Field}
        return [cls(emitters, field, number) for field in Field for number in range(most[field])]


def _nth(emitter: Emitter, field: Field, number: int) -> int:
    places = [gap.at for gap in emitter.gaps if gap.field == field]
    return places[number] if number < len(places) else -1
