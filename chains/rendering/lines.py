"""JSON lines from columns: each part of all lines is written at once, from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from eventbus.chains.randomness import Integers
from eventbus.chains.rendering.columns import Memory, Rows, json_numbers, windows


class LinePart(Protocol):
    """A part of every line."""

    lengths: Integers
    """Bytes in each line."""

    def write(self, memory: Memory, at: Integers) -> None:
        """Write it, from these places on; it may spill one byte over, which the next piece overwrites."""
        ...


def write_lines(pieces: Sequence[LinePart], order: Integers) -> tuple[Memory, Integers]:
    """Lines in one piece of memory, and where each ends.

    Args:
        pieces: from left to right; the last one does not spill.
        order: in which the lines are to come.
    """
    lengths = np.sum([piece.lengths for piece in pieces], axis=0)
    ends = lengths.take(order).cumsum()
    memory = np.empty(int(ends[-1]) if ends.size else 0, np.uint8)
    at = np.empty_like(ends)
    at[order] = ends - lengths.take(order)
    for piece in pieces:
        piece.write(memory, at)
        at += piece.lengths
    return memory, ends


class KnownTexts:
    """Known texts, by their lengths: written exactly, so that nothing depends on the order of writing."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.lengths = np.array(list(map(len, texts)), np.int64)
        self._rows = [_exact(texts, width) for width in sorted(set(map(len, texts))) if width]

    def write(self, memory: Memory, at: Integers, index: Integers) -> None:
        """Write the text of each index at a place."""
        lengths = self.lengths.take(index)
        for rows in self._rows:
            rows_of_width = np.flatnonzero(lengths == rows.dtype.itemsize)
            windows(memory, rows.dtype)[at.take(rows_of_width)] = rows.take(index.take(rows_of_width))


def _exact(texts: Sequence[bytes], width: int) -> Rows:
    """A row for each text; those of another length are never looked at."""
    return np.frombuffer(b"".join(text[:width].ljust(width) for text in texts), f"V{width}")


class ConstantText:
    """The same text in all lines."""

    def __init__(self, text: bytes, lines: int) -> None:
        self.lengths = np.full(lines, len(text), np.int64)
        self._row = np.frombuffer(text, f"V{len(text)}")

    def write(self, memory: Memory, at: Integers) -> None:
        windows(memory, self._row.dtype)[at] = self._row[0]


class KnownText:
    """One of some known texts in each line."""

    def __init__(self, texts: KnownTexts, index: Integers) -> None:
        self.lengths = texts.lengths.take(index)
        self._texts = texts
        self._index = index

    def write(self, memory: Memory, at: Integers) -> None:
        self._texts.write(memory, at, self._index)


class NumberText:
    """A number in each line."""

    def __init__(self, numbers: Integers) -> None:
        self._memory, starts, lengths = json_numbers(numbers)
        self._starts, self.lengths = starts[: numbers.size], lengths[: numbers.size]

    def write(self, memory: Memory, at: Integers) -> None:
        for width in np.unique(self.lengths).tolist():
            lines, row = np.flatnonzero(self.lengths == width), np.dtype(f"V{width}")
            windows(memory, row)[at.take(lines)] = windows(self._memory, row)[self._starts.take(lines)]


class OptionalRow:
    """A row of fixed width in some lines, nothing in the others."""

    def __init__(self, rows: Rows, there: Integers) -> None:
        """`rows` and `there`: of all lines; 1 where the row is shown, else 0."""
        self.lengths = there * rows.dtype.itemsize
        self._rows, self._lines = rows, np.flatnonzero(there)

    def write(self, memory: Memory, at: Integers) -> None:
        windows(memory, self._rows.dtype)[at.take(self._lines)] = self._rows.take(self._lines)


class RowList:
    """Rows of fixed width in each line, that end in a comma; the last comma is spilt.

    Args:
        rows: of all lines, one line's after the other's.
        begins: where those of each line begin.
        counts: how many each line has, at least one.
    """

    def __init__(self, rows: Rows, begins: Integers, counts: Integers) -> None:
        self.lengths = counts * rows.dtype.itemsize - 1
        self._rows, self._begins, self._counts = rows, begins, counts

    def write(self, memory: Memory, at: Integers) -> None:
        places = np.arange(self._rows.size) * self._rows.dtype.itemsize
        places += (at - places.take(self._begins)).repeat(self._counts)
        windows(memory, self._rows.dtype)[places] = self._rows


class KnownTextList:
    """Known texts in each line, that end in a comma, as many as there are; the last comma is spilt.

    Args:
        index: of the texts of all lines; `begins` and `counts` as for a `Listing`.
    """

    def __init__(self, texts: KnownTexts, index: Integers, begins: Integers, counts: Integers) -> None:
        lengths = texts.lengths.take(index)
        self.lengths = np.add.reduceat(lengths, begins) - 1
        self._texts, self._index, self._begins, self._counts = texts, index, begins, counts
        self._places = lengths.cumsum() - lengths

    def write(self, memory: Memory, at: Integers) -> None:
        places = self._places + (at - self._places.take(self._begins)).repeat(self._counts)
        self._texts.write(memory, places, self._index)
