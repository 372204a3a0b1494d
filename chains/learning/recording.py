"""Reads a recording into columns: 40 bytes for each event and 9 for each payload value."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from io import BufferedReader, RawIOBase
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import orjson
import zstandard

from eventbus.chains.errors import UnreadableStream
from eventbus.chains.randomness import Integers
from eventbus.event import FIELDS, microseconds, type_pattern

if TYPE_CHECKING:
    from typing_extensions import Buffer

Kinds = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

MAX_VALUES = 10_000
"""Distinct texts kept for each field; beyond them only hashes are kept."""
MAX_FIELDS = 64
"""Fields of an object that are read; an object with more of them is a mapping rather than a record."""


class Kind(IntEnum):
    """JSON type of a value."""

    ABSENT = 0
    NULL = 1
    BOOLEAN = 2
    INTEGER = 3
    NUMBER = 4
    TEXT = 5
    OTHER = 6
    """An array, or an object in a field that also has other values."""


KINDS = {bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.NUMBER, str: Kind.TEXT, type(None): Kind.NULL}


class Column:
    """The values of one field, in the order of the events of a type.

    Each value has a 64-bit code: equal values have equal codes; different values have different codes but for hash
    collisions.
    """

    def __init__(self) -> None:
        self._codes: list[Integers] = []
        self._kinds: list[Kinds] = []
        self._size = 0
        self._texts = _Codes()
        self._others: dict[int, Any] = {}

    @property
    def values(self) -> dict[int, Any]:
        """Values that are neither numbers nor null, by code, in order of first appearance."""
        return {**{code: text for text, code in self._texts.items()}, **self._others}

    def add(self, row: int, values: Sequence[Any]) -> None:
        """Appends the values of the events from `row` on; `...` marks an absent value."""
        self._pad(row)
        types = set(map(type, values))
        uniform = np.full(len(values), _kind(values[0]), np.uint8)
        self._kinds.append(uniform if len(types) == 1 else np.array(list(map(_kind, values)), np.uint8))
        self._codes.append(self._encode(values, types))
        self._size += len(values)

    def codes(self, size: int) -> Integers:
        """The codes of the first `size` events."""
        self._pad(size)
        self._codes = [np.concatenate([np.empty(0, np.int64), *self._codes])]
        return self._codes[0]

    def kinds(self, size: int) -> Kinds:
        """The kinds of the values of the first `size` events."""
        self._pad(size)
        self._kinds = [np.concatenate([np.empty(0, np.uint8), *self._kinds])]
        return self._kinds[0]

    def _pad(self, size: int) -> None:
        if size > self._size:
            self._codes.append(np.zeros(size - self._size, np.int64))
            self._kinds.append(np.zeros(size - self._size, np.uint8))
            self._size = size

    def _encode(self, values: Sequence[Any], types: set[type]) -> Integers:
        if types <= {int, float}:
            return (np.array(values, np.float64) + 0.0).view(np.int64)
        if types != {str}:
            return np.fromiter((self._code(value) for value in values), np.int64, len(values))
        code = self._texts.__getitem__ if len(self._texts) < MAX_VALUES else hash
        return np.fromiter(map(code, values), np.int64, len(values))

    def _code(self, value: Any) -> int:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(np.float64(value + 0.0).view(np.int64))
        if value is None or value is ...:
            return 0
        code = hash(value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
        if len(self._others) < MAX_VALUES:
            self._others.setdefault(code, value)
        return code


class _Codes(dict[str, int]):
    """Codes of texts; asking for a text adds it."""

    def __missing__(self, text: str) -> int:
        self[text] = code = hash(text)
        return code


def _kind(value: Any) -> Kind:
    return Kind.ABSENT if value is ... else KINDS.get(type(value), Kind.OTHER)


class PayloadColumns:
    """The fields of an object; each is a column or another object."""

    def __init__(self) -> None:
        self.members: dict[str, Column | PayloadColumns] = {}
        self.is_open = False
        """Whether fields beyond `MAX_FIELDS` were ignored."""

    def add(self, row: int, objects: Sequence[dict[str, Any]]) -> None:
        """Appends the objects of the events from `row` on."""
        shapes = set(map(tuple, objects))
        if len(shapes) == 1:
            names = next(iter(shapes))
            for name, values in zip(names, zip(*map(dict.values, objects), strict=True), strict=True):
                self._field(row, name, values)
            return
        widest_first = sorted(shapes, key=lambda shape: (-len(shape), shape))
        for name in dict.fromkeys(name for shape in widest_first for name in shape):
            self._field(row, name, [value.get(name, ...) for value in objects])

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
            if len(self.members) >= MAX_FIELDS:
                self.is_open = True
                return
            kinds = set(map(type, values)) - {type(None), type(...)}
            member = self.members[name] = PayloadColumns() if kinds == {dict} else Column()
        if isinstance(member, PayloadColumns):
            member.add(row, [value if isinstance(value, dict) else {} for value in values])
        else:
            member.add(row, values)


GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""Magic numbers of compressed files (RFC 1952 §2.3.1, RFC 8878 §3.1.1)."""
READ_BYTES = 1 << 20
"""Bytes of text read at once, and of compressed data at most."""


def batches(file: BinaryIO) -> Iterator[list[bytes]]:
    """Reads a file's lines in lists of some thousands; gzip and Zstandard are recognised by their magic numbers.

    Raises:
        UnreadableStream: compressed data is damaged or ends early.
    """
    start = file.peek(4)[:4] if isinstance(file, BufferedReader) else b""
    text: BinaryIO = file
    if start.startswith(GZIP):
        text = cast(BinaryIO, gzip.GzipFile(fileobj=file))
    elif start.startswith(ZSTD):
        text = cast(BinaryIO, BufferedReader(_ZstdReader(file), READ_BYTES))
    try:
        while lines := text.readlines(READ_BYTES):
            yield lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableStream(f"the gzip data ends early or is damaged: {error}") from error
    except zstandard.ZstdError as error:
        raise UnreadableStream(f"the Zstandard data ends early or is damaged: {error}") from error


class _ZstdReader(RawIOBase):
    """Decompresses consecutive Zstandard frames as they are read.

    Unlike `zstandard`'s own reader, it tells a frame that is cut off from one that is complete.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packed = self._text = b""
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        while not self._text:
            if not self._decompress():
                return 0
        size = min(len(view), len(self._text))
        view[:size], self._text = self._text[:size], self._text[size:]
        return size

    def _decompress(self) -> bool:
        """Decompresses the next piece; False at the end of the file."""
        packed = self._packed or self._file.read(READ_BYTES // 8)
        if not packed and not self._frame.eof:
            raise zstandard.ZstdError("the last frame is incomplete")
        if not packed:
            return False
        if self._frame.eof:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._text = self._frame.decompress(packed)
        self._packed = self._frame.unused_data
        return True


TYPES: list[set[type]] = [{str}, {str}, {str}, {str}, {str, type(None)}, {str}, {str}, {str}, {str}, {dict}]
"""Types allowed for each field of an event."""
fields_of = itemgetter(*FIELDS)
TIMESTAMP_LENGTH = len("2026-01-01T00:00:00.000000Z")

Row = tuple[Any, ...]


class _IdNumbers(dict[str, int]):
    """Numbers names in the order of first use."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


class Recording:
    """A recording, read into columns.

    Attributes:
        lines: number of lines read.
        unread: number of lines that are not events, by what is wrong with them.
        types: type ids by event type.
        payloads: payload columns by type id.
        emitted: number of events by type id, source and schema version.
        tenants: number of events by tenant and namespace.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.unread: Counter[str] = Counter()
        self.types: dict[str, int] = _IdNumbers()
        self.payloads: list[PayloadColumns] = []
        self.emitted: Counter[tuple[int, str, str]] = Counter()
        self.tenants: Counter[tuple[str, str]] = Counter()
        self._counts: list[int] = []
        self._parts: dict[str, list[Integers]] = {name: [] for name in ("type", "time", "id", "cause", "chain")}

    def add(self, lines: Sequence[bytes]) -> None:
        """Reads more lines; a line that is not an event is counted and skipped."""
        self.lines += len(lines)
        try:
            rows = [fields_of(orjson.loads(line)) for line in lines]
            is_valid = all(
                set(map(type, column)) <= kinds for column, kinds in zip(zip(*rows, strict=True), TYPES, strict=False)
            ) and all(map(self._is_named, {row[1] for row in rows}))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            is_valid = False
        if not is_valid:
            rows = list(self._valid_rows(lines))
        try:
            times = _times([row[2] for row in rows])
        except ValueError:
            rows = list(self._valid_rows(lines, timed=True))
            times = _times([row[2] for row in rows])
        if rows:
            self._add(rows, times)

    def column(self, name: str) -> Integers:
        """A column of all events, in stream order: `type`, `time` (µs), `id`, `cause` (0 for none) or `chain`."""
        self._parts[name] = [np.concatenate([np.empty(0, np.int64), *self._parts[name]])]
        return self._parts[name][0]

    def count(self, type_id: int) -> int:
        """Number of events of a type."""
        return self._counts[type_id]

    def __len__(self) -> int:
        return sum(self._counts)

    def _add(self, rows: Sequence[Row], times: Integers) -> None:
        ids, types, _, chains, causes, tenants, spaces, sources, versions, payloads = zip(*rows, strict=True)
        numbers = list(map(self.types.__getitem__, types))
        parts = {
            "type": np.array(numbers, np.int64),
            "time": times,
            "id": np.fromiter(map(hash, ids), np.int64, len(rows)),
            "cause": np.fromiter((0 if cause is None else hash(cause) or 1 for cause in causes), np.int64, len(rows)),
            "chain": np.fromiter(map(hash, chains), np.int64, len(rows)),
        }
        for name, part in parts.items():
            self._parts[name].append(part)
        self.emitted.update(zip(numbers, sources, versions, strict=True))
        self.tenants.update(zip(tenants, spaces, strict=True))
        self._add_payloads(numbers, payloads)

    def _add_payloads(self, numbers: Sequence[int], payloads: Sequence[dict[str, Any]]) -> None:
        grouped: dict[int, list[dict[str, Any]]] = {}
        for number, payload in zip(numbers, payloads, strict=True):
            grouped.setdefault(number, []).append(payload)
        for _ in range(len(self.payloads), len(self.types)):
            self.payloads.append(PayloadColumns())
            self._counts.append(0)
        for number, group in grouped.items():
            self.payloads[number].add(self._counts[number], group)
            self._counts[number] += len(group)

    def _valid_rows(self, lines: Sequence[bytes], *, timed: bool = False) -> Iterator[Row]:
        """Parses line by line, and counts the lines that are not events.

        Args:
            lines: the lines.
            timed: check timestamps too; everything else has been counted already.
        """
        for line in lines:
            try:
                row = self._row(line)
            except ValueError as error:
                self.unread[str(error)] += not timed
                continue
            try:
                _times([row[2]] if timed else [])
            except ValueError:
                self.unread["a timestamp that is not ISO 8601 with a zone"] += 1
                continue
            yield row

    def _row(self, line: bytes) -> Row:
        """The fields of one event.

        Raises:
            ValueError: the line is not an event; the message says why.
        """
        try:
            row: Row = fields_of(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise ValueError("not JSON" if line.strip() else "an empty line") from error
        except KeyError as error:
            raise ValueError(f"no field {error.args[0]!r}") from error
        except TypeError as error:
            raise ValueError("not a JSON object") from error
        if not all(type(value) in kinds for value, kinds in zip(row, TYPES, strict=True)):
            raise ValueError("a field of a wrong type")
        if not self._is_named(row[1]):
            raise ValueError("an event type that is not a name such as omninode.agent.execution.started.v1")
        return row

    def _is_named(self, name: str) -> bool:
        return name in self.types or bool(type_pattern.fullmatch(name) and name.count(".") >= 3)


def record(batches: Iterable[Sequence[bytes]]) -> Recording:
    """Reads a whole recording."""
    recording = Recording()
    for lines in batches:
        recording.add(lines)
    return recording


def _times(texts: Sequence[str]) -> Integers:
    """Parses timestamps to microseconds since the Unix epoch.

    Raises:
        ValueError: a text is not an ISO 8601 time with a zone.
    """
    if set(map(len, texts)) == {TIMESTAMP_LENGTH}:
        letters = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(-1, TIMESTAMP_LENGTH)
        if (letters[:, -1] == ord("Z")).all():
            stamps = np.ascontiguousarray(letters[:, :-1]).view(f"S{TIMESTAMP_LENGTH - 1}")[:, 0]
            return stamps.astype("datetime64[us]").view(np.int64)
    return np.array([_time(text) for text in texts], np.int64)


def _time(text: str) -> int:
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(text)
    try:
        return microseconds(when.astimezone(UTC))
    except OverflowError as error:
        raise ValueError(text) from error
