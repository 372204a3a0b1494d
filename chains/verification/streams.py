"""Reads what the checks need of each event, from lines, topics or a store; what is not an event becomes a finding."""

from __future__ import annotations

from array import array
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from eventbus.catalog import Catalog
from eventbus.chains.verification.report import BY_LINE, Check, Finding
from eventbus.chains.verification.spool import EventSummary, SpooledEvents
from eventbus.errors import InvalidEvent
from eventbus.event import Event, microseconds
from eventbus.record import ConsumerRecord, TopicPartition

INCOMPLETE_UTF8 = getincrementaldecoder("utf-8")
"""Decodes text that may end inside a character."""
TOLERANCE = 1000
"""Microseconds by which a timestamp may differ from the time in the event's id, which is slightly less precise."""


class UnreadableLine(NamedTuple):
    """A line that is not an event."""

    number: int
    looks_like: str
    """The kind of fault."""
    text: bytes


@dataclass
class Reading:
    """What was read of a stream."""

    lines: int = 0
    events: SpooledEvents = field(default_factory=SpooledEvents)
    """Copies included."""
    unreadable: list[UnreadableLine] = field(default_factory=list)
    not_events: list[Finding] = field(default_factory=list)
    unfit: list[Finding] = field(default_factory=list)
    """About events that the catalog does not allow."""
    source_checks: list[Check] = field(default_factory=list)
    """Checks that only this kind of source allows."""
    is_ordered: bool = True
    """Whether the order of the events means anything."""
    repeated: int | None = None
    """Where every event is kept once: how many came again. None: all are in `events`."""
    place: Callable[[int], str | None] = BY_LINE
    """Describes where a line is. None: it has no name."""

    def checks(self) -> list[Check]:
        """The checks that need no more than a line at a time, and those of the source."""
        return [
            Check("readable", "every line is JSON of an event", self.lines, self.not_events),
            Check("schema", "envelopes and payloads are as the catalog says", self.lines, self.unfit),
            *self.source_checks,
        ]


def read(lines: Iterable[bytes], catalog: Catalog) -> Reading:
    """Read a stream of JSON lines, with or without line ends."""
    reader = LineReader(catalog)
    for line in lines:
        reader.add(line.rstrip(b"\r\n"))
    reader.reading.events.complete()
    return reader.reading


class LineReader:
    """Reads a stream line by line; lines that are not events become findings, not errors."""

    def __init__(self, catalog: Catalog) -> None:
        self.reading = Reading()
        self._catalog = catalog

    def add(self, text: bytes) -> EventSummary | None:
        """Read a line without its end; returns its event, or None if it is not one."""
        self.reading.lines += 1
        number = self.reading.lines
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError:
            self._add_unreadable(number, text, *_unparsable(text))
            return None
        try:
            event = Event.from_dict(fields)
        except InvalidEvent as error:
            self._add_invalid(number, text, fields, error)
            return None
        self._validate(number, event)
        summary = _summary(number, event, text)
        self.reading.events.add(summary)
        return summary

    def _add_unreadable(self, number: int, text: bytes, looks_like: str, sentence: str) -> None:
        self.reading.unreadable.append(UnreadableLine(number, looks_like, text))
        self.reading.not_events.append(Finding(looks_like, number, (), sentence))

    def _add_invalid(self, number: int, text: bytes, fields: object, error: InvalidEvent) -> None:
        if fields is None:
            self._add_unreadable(number, text, "tombstone", "null where an event was")
        elif not isinstance(fields, dict):
            self._add_unreadable(number, text, "corrupt", "JSON, but no object")
        else:
            event_id = fields.get("event_id")
            ids, sentence = ((str(event_id),), f"{event_id}: {error}") if event_id else ((), str(error))
            self.reading.unreadable.append(UnreadableLine(number, "schema", text))
            self.reading.unfit.append(Finding("schema", number, ids, sentence))

    def _validate(self, number: int, event: Event) -> None:
        if event.event_type not in self._catalog.events:
            problems = [f"no event type {event.event_type!r} in the catalog"]
        else:
            payload_problems = self._catalog.validate(event.event_type, event.payload)
            problems = [f"{problem.field}: {problem.message}" for problem in payload_problems]
        for problem in problems:
            sentence = f"{event.event_id}: {problem}"
            self.reading.unfit.append(Finding("schema", number, (event.event_id,), sentence))


def _unparsable(text: bytes) -> tuple[str, str]:
    """The kind of fault that text which is not JSON looks like, and a sentence about it."""
    try:
        INCOMPLETE_UTF8().decode(text)
    except UnicodeDecodeError:
        return "poison", "bytes that are no text"
    return "corrupt", "no complete JSON"


def _summary(number: int, event: Event, text: bytes) -> EventSummary:
    path = event.payload.get("path") if event.causation_id is None else None
    return EventSummary(
        number,
        event.event_id,
        event.event_type,
        microseconds(event.timestamp),
        event.correlation_id,
        event.causation_id,
        event.tenant_id,
        hash(text),
        path if isinstance(path, str) else None,
    )


def id_time(event_id: str) -> int:
    """The time in a UUID of version 7 (RFC 9562 §5.7), in microseconds since the Unix epoch."""
    ms, fraction = int(event_id[:8] + event_id[9:13], 16), int(event_id[15:18], 16)
    return ms * 1000 + fraction * 1000 // 4096


class RecordReader:
    """Reads records from topics: those of a partition in order, partitions in any order.

    Partitions have no order among each other, so their events are merged by the latest time that each partition had
    reached: what is in order within its partition is then in order.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._lines = LineReader(catalog)
        self._names: dict[TopicPartition, int] = {}
        """The number of each partition."""
        self._positions = array("H"), array("q")
        """The number of the partition, and the offset, of each record."""
        self._reached: dict[TopicPartition, int] = {}
        self._sent = array("q")
        """The earliest time at which the event of each record can have been sent."""
        self._partitions: dict[int, int] = {}
        """The first partition that each key of a topic was seen in, by a hash of the two."""
        self._misplaced: list[Finding] = []
        self._mismatched: list[Finding] = []

    def add(self, records: Iterable[ConsumerRecord]) -> None:
        """Read further records."""
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            for column, value in zip(self._positions, (self._number(partition), record.offset), strict=True):
                column.append(value)
            event = self._lines.add(b"null" if record.value is None else record.value)
            if event is not None:
                self._reached[partition] = max(self._reached.get(partition, 0), _creation_time(event))
            self._sent.append(self._reached.get(partition, 0))
            self._check_key(record, event)
            self._check_partition(record, event)

    def reading(self) -> Reading:
        """Everything that was read, with the checks of keys and partitions."""
        reading = self._lines.reading
        reading.events.complete(self._sent)
        reading.place = self._place
        reading.source_checks = [
            Check("keys", "a record's key is its chain", reading.lines, self._mismatched),
            Check("partitions", "a chain is in one partition of a topic", len(self._partitions), self._misplaced),
        ]
        return reading

    def _check_key(self, record: ConsumerRecord, event: EventSummary | None) -> None:
        if event is not None and record.key != event.correlation_id.encode():
            key = (record.key or b"").decode(errors="backslashreplace") or "no key"
            sentence = f"{event.event_id} of chain {event.correlation_id} has the key {key}"
            self._mismatched.append(Finding(None, event.line, (event.event_id,), sentence))

    def _check_partition(self, record: ConsumerRecord, event: EventSummary | None) -> None:
        key = event.correlation_id.encode() if event else record.key
        if key is None:
            return
        first = self._partitions.setdefault(hash((record.topic, key)), record.partition)
        if first != record.partition:
            sentence = f"chain {key.decode(errors='backslashreplace')} is in partition {first} as well"
            events = (event.event_id,) if event else ()
            self._misplaced.append(Finding(None, len(self._sent), events, sentence))

    def _number(self, partition: TopicPartition) -> int:
        return self._names.setdefault(partition, len(self._names))

    def _place(self, line: int) -> str:
        numbers, offsets = self._positions
        topic, partition = list(self._names)[numbers[line - 1]]
        return f"{topic}[{partition}]@{offsets[line - 1]}"


def _creation_time(event: EventSummary) -> int:
    """The event's timestamp, or the time in its id where the two differ."""
    if event.event_id[14] != "7":
        return event.time
    created = id_time(event.event_id)
    return event.time if abs(event.time - created) <= TOLERANCE else created


class PartitionCounts(NamedTuple):
    """What became of the records of a partition, as the store counted them."""

    name: str
    read: int
    new: int
    duplicates: int
    dead: int


class StoreReader:
    """Reads a store, which keeps every event once, in no order, and what is not an event as a dead letter."""

    def __init__(self, catalog: Catalog) -> None:
        self._lines = LineReader(catalog)

    def add(self, events: Iterable[Event]) -> None:
        """Read stored events."""
        for event in events:
            self._lines.add(event.to_bytes())

    def reading(self, dead: Iterable[tuple[str, bytes | None]], counts: Iterable[PartitionCounts]) -> Reading:
        """Everything that was read, with the checks of the store's counts.

        Args:
            dead: place and value of each dead letter.
            counts: of all partitions.
        """
        reading, counts = self._lines.reading, list(counts)
        stored, places = reading.lines, list[str]()
        for place, value in dead:
            places.append(place)
            self._lines.add(b"null" if value is None else value)
        reading.source_checks = [_check_counts(counts, stored, reading.lines - stored), _check_repeats(counts)]
        reading.events.complete()
        reading.repeated = sum(partition.duplicates for partition in counts)
        reading.lines += reading.repeated
        reading.is_ordered = False
        reading.place = lambda line: places[line - stored - 1] if line > stored else None
        return reading


def _check_counts(counts: list[PartitionCounts], stored: int, dead: int) -> Check:
    sentences = [
        f"{name}: {read:,} read, but {new:,} new + {duplicates:,} duplicates + {lost:,} dead"
        for name, read, new, duplicates, lost in counts
        if read != new + duplicates + lost
    ]
    for label, count, counted in (
        ("events", stored, sum(partition.new for partition in counts)),
        ("dead letters", dead, sum(partition.dead for partition in counts)),
    ):
        if count != counted:
            sentences.append(f"{count:,} {label} are stored, and {counted:,} were counted")
    rule = "what was read is stored, was stored already, or is a dead letter"
    return Check("counts", rule, len(counts), [Finding(None, None, (), sentence) for sentence in sentences])


def _check_repeats(counts: list[PartitionCounts]) -> Check:
    read, repeated = sum(partition.read for partition in counts), sum(partition.duplicates for partition in counts)
    sentence = f"{repeated:,} of {read:,} records had an event that was stored already"
    findings = [Finding("duplicate", None, (), sentence)] if repeated else []
    return Check("repeats", "no event came again", read, findings)
