"""Records: the bytes that a log stores, with topic, partition and offset. The names are Kafka's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from eventbus.event import Event, Headers, headers_of, microseconds

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class ProducerRecord(NamedTuple):
    """A record to be published."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    """Milliseconds since the Unix epoch."""
    headers: Headers | None = None
    """None stands for the headers of the event in `value`, which are computed when read."""


RECORD_OVERHEAD = 160
"""Memory of a record in columns beside its key and value, in bytes: two object headers, an int, list slots."""


@dataclass(slots=True)
class RecordColumns:
    """Records of one topic, without partition and offset: four lists of equal length."""

    keys: list[bytes | None]
    values: list[bytes | None]
    timestamps: list[int]
    """Milliseconds since the Unix epoch."""
    headers: list[Headers | None]
    """As produced; None stands for the headers of the event in the value."""

    @classmethod
    def of(cls, records: Iterable[ProducerRecord]) -> RecordColumns:
        """The columns of at least one record, whatever its topic."""
        _, keys, values, timestamps, headers = zip(*records, strict=True)
        return cls(list(keys), list(values), list(timestamps), list(headers))

    def __len__(self) -> int:
        return len(self.keys)

    def slice(self, start: int, stop: int) -> RecordColumns:
        """A copy of the rows from `start` up to, not including, `stop`."""
        rows = slice(start, stop)
        return RecordColumns(self.keys[rows], self.values[rows], self.timestamps[rows], self.headers[rows])

    def take(self, rows: Sequence[int]) -> RecordColumns:
        """A copy of some rows."""
        keys, values, timestamps, headers = self.keys, self.values, self.timestamps, self.headers
        return RecordColumns(
            [keys[row] for row in rows],
            [values[row] for row in rows],
            [timestamps[row] for row in rows],
            [headers[row] for row in rows],
        )

    @property
    def max_timestamp(self) -> int:
        """Of all rows."""
        return max(self.timestamps)

    def unpacked(self) -> RecordColumns:
        """The rows as objects, which they are."""
        return self

    def extend(self, rows: RecordColumns) -> None:
        self.keys.extend(rows.keys)
        self.values.extend(rows.values)
        self.timestamps.extend(rows.timestamps)
        self.headers.extend(rows.headers)

    def size_bytes(self) -> int:
        """Estimated memory of these rows, in bytes (see `RECORD_OVERHEAD`)."""
        size = len(self.keys) * RECORD_OVERHEAD
        size += sum(map(len, filter(None, self.keys))) + sum(map(len, filter(None, self.values)))
        for headers in filter(None, self.headers):
            size += sum(len(name) + len(value) for name, value in headers)
        return size


@dataclass(slots=True)
class PackedColumns:
    """Records of one topic, whose values are parts of one text until they are read, with their keys in them.

    Their headers are those of the events in the values. Making four objects for each record, and freeing them, takes
    longer than all else that a log does with it.
    """

    text: bytes | memoryview
    """May be reused when the records are published: `take` copies it."""
    places: npt.NDArray[np.int64]
    """Shape (4, records): where in the text the key begins, where the value begins, where it ends; then the timestamp
    in milliseconds since the Unix epoch."""
    key_width: int
    """Bytes of each key."""

    def __len__(self) -> int:
        return int(self.places.shape[1])

    @property
    def max_timestamp(self) -> int:
        """Of all rows."""
        return int(self.places[3].max())

    def keys(self) -> list[bytes]:
        """Of all rows."""
        import numpy as np  # noqa: PLC0415 - takes 100 ms, and only large buses need it

        row = np.dtype(f"V{self.key_width}")
        windows = np.ndarray((len(self.text) - self.key_width + 1,), row, self.text, strides=(1,))
        keys: list[bytes] = windows[self.places[0]].tolist()
        return keys

    def take(self, rows: npt.NDArray[np.int64]) -> PackedColumns:
        """A copy of some rows, with a text of their own, in which there is nothing between their values."""
        places, text = self.places.take(rows, axis=1), memoryview(self.text)
        spans = zip(places[1].tolist(), places[2].tolist(), strict=True)
        copy = b"".join([text[start:end] for start, end in spans])
        moved = (places[2] - places[1]).cumsum() - places[2]
        places[:3] += moved
        return PackedColumns(copy, places, self.key_width)

    def slice(self, start: int, stop: int) -> PackedColumns:
        """A copy of the rows from `start` up to, not including, `stop`; there must be nothing between their values."""
        places = self.places[:, start:stop].copy()
        begin, end = int(places[1, 0]), int(places[2, -1])
        places[:3] -= begin
        return PackedColumns(bytes(self.text[begin:end]), places, self.key_width)

    def size_bytes(self) -> int:
        """That of the same rows as `RecordColumns`, which they become when they are read."""
        _, starts, ends, _ = self.places
        return len(self) * (RECORD_OVERHEAD + self.key_width) + int((ends - starts).sum())

    def unpacked(self) -> RecordColumns:
        """The rows as objects."""
        text, (_, starts, ends, timestamps) = bytes(self.text), self.places.tolist()
        values = [text[start:end] for start, end in zip(starts, ends, strict=True)]
        return RecordColumns([*self.keys()], [*values], timestamps, [None] * len(values))


Columns = RecordColumns | PackedColumns


class ConsumerRecord(NamedTuple):
    """A record read from a log."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the Unix epoch."""
    key: bytes | None
    value: bytes | None
    given_headers: Headers | None = None
    """As produced; None stands for the headers of the event in `value` (see `headers`)."""

    @property
    def headers(self) -> Headers:
        return headers_of(self.value) if self.given_headers is None else self.given_headers

    @property
    def event(self) -> Event:
        """The event in `value`, decoded at each access.

        Raises:
            InvalidEvent: the value is not an event.
        """
        return Event.from_bytes(self.value or b"")


class RecordMetadata(NamedTuple):
    """Where a published record is in the log."""

    topic: str
    partition: int
    offset: int


def record_of(event: Event, topic: str) -> ProducerRecord:
    """The record of an event."""
    return ProducerRecord(topic, event.key, event.to_bytes(), microseconds(event.timestamp) // 1000)


def columns_by_topic(records: Iterable[ProducerRecord]) -> dict[str, RecordColumns]:
    """The columns of each topic's records, in order."""
    by_topic: defaultdict[str, list[ProducerRecord]] = defaultdict(list)
    for record in records:
        by_topic[record.topic].append(record)
    return {topic: RecordColumns.of(of_topic) for topic, of_topic in by_topic.items()}
