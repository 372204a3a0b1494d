"""A stream of events as columns: what is needed to find its chains, 40 bytes for each event and 9 for each value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from eventbus.chains.learning.columns import Record
from eventbus.chains.randomness import Integers
from eventbus.event import FIELDS, microseconds, type_pattern

TYPES: list[set[type]] = [{str}, {str}, {str}, {str}, {str, type(None)}, {str}, {str}, {str}, {str}, {dict}]
"""Of an event's fields."""
fields_of = itemgetter(*FIELDS)
EXACT = len("2026-01-01T00:00:00.000000Z")

Row = tuple[Any, ...]


class _Numbers(dict[str, int]):
    """Numbers names in the order in which they are asked for."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


class Recording:
    """Everything that was read.

    Attributes:
        lines: how many there were.
        unread: lines that are no events, by what is wrong with them.
        types: number of each event type.
        payloads: of each event type, by number.
        emitted: events by type number, source and schema version.
        tenants: events by tenant and namespace.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.unread: Counter[str] = Counter()
        self.types: dict[str, int] = _Numbers()
        self.payloads: list[Record] = []
        self.emitted: Counter[tuple[int, str, str]] = Counter()
        self.tenants: Counter[tuple[str, str]] = Counter()
        self._counts: list[int] = []
        self._parts: dict[str, list[Integers]] = {name: [] for name in ("type", "time", "id", "cause", "chain")}

    def add(self, lines: Sequence[bytes]) -> None:
        """Read more lines; what is no event is counted, and nothing else comes of it."""
        self.lines += len(lines)
        try:
            rows = [fields_of(orjson.loads(line)) for line in lines]
            sound = all(
                set(map(type, column)) <= kinds for column, kinds in zip(zip(*rows, strict=True), TYPES, strict=False)
            ) and all(map(self._is_named, {row[1] for row in rows}))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            sound = False
        if not sound:
            rows = list(self._sound_rows(lines))
        try:
            times = _times([row[2] for row in rows])
        except ValueError:
            rows = list(self._sound_rows(lines, timed=True))
            times = _times([row[2] for row in rows])
        if rows:
            self._add(rows, times)

    def column(self, name: str) -> Integers:
        """Of all events in the order of the stream: `type`, `time` (microseconds), `id`, `cause` (0: none), `chain`."""
        self._parts[name] = [np.concatenate([np.empty(0, np.int64), *self._parts[name]])]
        return self._parts[name][0]

    def count(self, kind: int) -> int:
        """Events of a type."""
        return self._counts[kind]

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
            self.payloads.append(Record())
            self._counts.append(0)
        for number, group in grouped.items():
            self.payloads[number].add(self._counts[number], group)
            self._counts[number] += len(group)

    def _sound_rows(self, lines: Sequence[bytes], *, timed: bool = False) -> Iterator[Row]:
        """The lines that are events, one by one; the others are counted.

        Args:
            timed: look at the times too, as everything else was looked at before.
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
        """The fields of one line.

        Raises:
            ValueError: it is no event; says why.
        """
        try:
            row: Row = fields_of(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise ValueError("no JSON" if line.strip() else "an empty line") from error
        except KeyError as error:
            raise ValueError(f"no field {error.args[0]!r}") from error
        except TypeError as error:
            raise ValueError("no JSON object") from error
        if not all(type(value) in kinds for value, kinds in zip(row, TYPES, strict=True)):
            raise ValueError("a field of a wrong type")
        if not self._is_named(row[1]):
            raise ValueError("an event type that is no name such as omninode.agent.execution.started.v1")
        return row

    def _is_named(self, name: str) -> bool:
        return name in self.types or bool(type_pattern.fullmatch(name) and name.count(".") >= 3)


def record(batches: Iterable[Sequence[bytes]]) -> Recording:
    """Read a whole stream."""
    recording = Recording()
    for lines in batches:
        recording.add(lines)
    return recording


def _times(texts: Sequence[str]) -> Integers:
    """Microseconds since 1970.

    Raises:
        ValueError: a text is no time with a zone.
    """
    if set(map(len, texts)) == {EXACT}:
        letters = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(-1, EXACT)
        if (letters[:, -1] == ord("Z")).all():
            stamps = np.ascontiguousarray(letters[:, :-1]).view(f"S{EXACT - 1}")[:, 0]
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
