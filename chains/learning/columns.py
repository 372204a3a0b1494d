"""A payload field of many events as a column: 9 bytes for each value, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from eventbus.chains.randomness import Integers

Kinds = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

MOST_VALUES = 10_000
"""Texts of a field that are remembered; others are only told apart."""
MOST_FIELDS = 64
"""Fields of an object that are looked at; an object with more is a mapping of names rather than a record."""


class Kind(IntEnum):
    """What JSON makes of a value."""

    ABSENT = 0
    NULL = 1
    BOOLEAN = 2
    INTEGER = 3
    NUMBER = 4
    TEXT = 5
    OTHER = 6
    """A list, or an object where others of the field are none."""


KINDS = {bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.NUMBER, str: Kind.TEXT, type(None): Kind.NULL}


class Column:
    """Values of one field, in the order of the events of a type.

    Each has a code: equal values have equal codes, different ones different codes (as far as 64 bits tell them apart).
    """

    def __init__(self) -> None:
        self._codes: list[Integers] = []
        self._kinds: list[Kinds] = []
        self._size = 0
        self._texts = _Codes()
        self._others: dict[int, Any] = {}

    @property
    def values(self) -> dict[int, Any]:
        """By code, in the order of their first appearance: what is neither number nor null."""
        return {**{code: text for text, code in self._texts.items()}, **self._others}

    def add(self, row: int, values: Sequence[Any]) -> None:
        """The values of events from a row on; `...` stands for none."""
        self._pad(row)
        found = set(map(type, values))
        only = np.full(len(values), _kind(values[0]), np.uint8)
        self._kinds.append(only if len(found) == 1 else np.array(list(map(_kind, values)), np.uint8))
        self._codes.append(self._coded(values, found))
        self._size += len(values)

    def codes(self, size: int) -> Integers:
        """The codes of the first `size` events."""
        self._pad(size)
        self._codes = [np.concatenate([np.empty(0, np.int64), *self._codes])]
        return self._codes[0]

    def kinds(self, size: int) -> Kinds:
        """What the values of the first `size` events are (`Kind`)."""
        self._pad(size)
        self._kinds = [np.concatenate([np.empty(0, np.uint8), *self._kinds])]
        return self._kinds[0]

    def _pad(self, size: int) -> None:
        if size > self._size:
            self._codes.append(np.zeros(size - self._size, np.int64))
            self._kinds.append(np.zeros(size - self._size, np.uint8))
            self._size = size

    def _coded(self, values: Sequence[Any], found: set[type]) -> Integers:
        if found <= {int, float}:
            return (np.array(values, np.float64) + 0.0).view(np.int64)
        if found != {str}:
            return np.fromiter((self._code(value) for value in values), np.int64, len(values))
        code = self._texts.__getitem__ if len(self._texts) < MOST_VALUES else hash
        return np.fromiter(map(code, values), np.int64, len(values))

    def _code(self, value: Any) -> int:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(np.float64(value + 0.0).view(np.int64))
        if value is None or value is ...:
            return 0
        code = hash(value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
        if len(self._others) < MOST_VALUES:
            self._others.setdefault(code, value)
        return code


class _Codes(dict[str, int]):
    """Remembers the texts that it gave a code."""

    def __missing__(self, text: str) -> int:
        self[text] = code = hash(text)
        return code


def _kind(value: Any) -> Kind:
    return Kind.ABSENT if value is ... else KINDS.get(type(value), Kind.OTHER)


class Record:
    """An object with fields, of which each is a column or an object in turn."""

    def __init__(self) -> None:
        self.members: dict[str, Column | Record] = {}
        self.is_open = False
        """It has more fields than are looked at."""

    def add(self, row: int, objects: Sequence[dict[str, Any]]) -> None:
        """The objects of events from a row on."""
        shapes = set(map(tuple, objects))
        if len(shapes) == 1:
            names = next(iter(shapes))
            for name, values in zip(names, zip(*map(dict.values, objects), strict=True), strict=True):
                self._field(row, name, values)
            return
        widest_first = sorted(shapes, key=lambda shape: (-len(shape), shape))
        for name in dict.fromkeys(name for shape in widest_first for name in shape):
            self._field(row, name, [one.get(name, ...) for one in objects])

    def columns(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Column]]:
        """All columns with their paths."""
        for name, member in self.members.items():
            if isinstance(member, Column):
                yield (*path, name), member
            else:
                yield from member.columns((*path, name))

    def _field(self, row: int, name: str, values: Sequence[Any]) -> None:
        member = self.members.get(name)
        if member is None:
            if len(self.members) >= MOST_FIELDS:
                self.is_open = True
                return
            kinds = set(map(type, values)) - {type(None), type(...)}
            member = self.members[name] = Record() if kinds == {dict} else Column()
        if isinstance(member, Record):
            member.add(row, [value if isinstance(value, dict) else {} for value in values])
        else:
            member.add(row, values)
