"""From lines to what the checks need of each event; what is no event is noted by what it looks like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from eventbus.catalog import Catalog
from eventbus.chains.verification.report import BY_LINE, Check, Finding
from eventbus.errors import InvalidEvent
from eventbus.event import Event, microseconds
from eventbus.record import ConsumerRecord, TopicPartition


class EventSummary(NamedTuple):
    """An event of the stream, without its payload."""

    line: int
    event_id: str
    event_type: str
    time: int
    """Microseconds since the Unix epoch."""
    correlation_id: str
    causation_id: str | None
    tenant_id: str
    digest: int
    """Of the whole line."""
    landing: str | None = None
    """The page on which a session of a visitor begins, by its path."""


@dataclass
class Reading:
    """A stream, read."""

    lines: int = 0
    events: list[EventSummary] = field(default_factory=list)
    """In the order of the stream, copies included."""
    unreadable: list[tuple[str, bytes]] = field(default_factory=list)
    """Lines that are no events: the kind of fault that looks like this, and the text."""
    not_events: list[Finding] = field(default_factory=list)
    unfit: list[Finding] = field(default_factory=list)
    """Events that the catalog does not allow."""
    others: list[Check] = field(default_factory=list)
    """What only a source of its kind can be tested for."""
    is_ordered: bool = True
    """Whether the order of the events says anything."""
    repeated: int | None = None
    """Where every event is kept once: how many came again. None: all are in `events`."""
    place: Callable[[int], str | None] = BY_LINE
    """Where a line is; None: nowhere that has a name."""

    def checks(self) -> list[Check]:
        return [
            Check("readable", "every line is JSON of an event", self.lines, self.not_events),
            Check("schema", "envelopes and payloads are as the catalog says", self.lines, self.unfit),
            *self.others,
        ]


class Reader:
    """Reads a stream line by line; nothing in it is an error."""

    def __init__(self, catalog: Catalog) -> None:
        self.reading = Reading()
        self._catalog = catalog

    def add(self, text: bytes) -> EventSummary | None:
        """Take note of a line without its end; returns the event in it."""
        reading = self.reading
        reading.lines += 1
        number = reading.lines
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError:
            _note_unreadable(reading, number, text, *_broken(text))
            return None
        try:
            event = Event.from_dict(fields)
        except InvalidEvent as error:
            _note_invalid(reading, number, text, fields, error)
            return None
        _note_problems(reading, number, event, self._catalog)
        reading.events.append(_seen(number, event, text))
        return reading.events[-1]


def read(lines: Iterable[bytes], catalog: Catalog) -> Reading:
    """Read a stream of JSON lines, with or without line ends."""
    reader = Reader(catalog)
    for line in lines:
        reader.add(line.rstrip(b"\r\n"))
    return reader.reading


def _seen(number: int, event: Event, text: bytes) -> EventSummary:
    return EventSummary(
        number,
        event.event_id,
        event.event_type,
        microseconds(event.timestamp),
        event.correlation_id,
        event.causation_id,
        event.tenant_id,
        hash(text),
        _text(event.payload.get("path")) if event.causation_id is None else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def id_time(event_id: str) -> int:
    """Microseconds since the Unix epoch in a UUID of version 7 (RFC 9562 §5.7), as far as it has them."""
    ms, fraction = int(event_id[:8] + event_id[9:13], 16), int(event_id[15:18], 16)
    return ms * 1000 + fraction * 1000 // 4096


def _broken(text: bytes) -> tuple[str, str]:
    try:
        text.decode()
    except UnicodeDecodeError:
        return "poison", "bytes that are no text"
    return "corrupt", "no complete JSON"


def _note_unreadable(reading: Reading, number: int, text: bytes, fault: str, sentence: str) -> None:
    reading.unreadable.append((fault, text))
    reading.not_events.append(Finding(fault, number, (), sentence))


def _note_invalid(reading: Reading, number: int, text: bytes, fields: object, error: InvalidEvent) -> None:
    if fields is None:
        _note_unreadable(reading, number, text, "tombstone", "null where an event was")
    elif not isinstance(fields, dict):
        _note_unreadable(reading, number, text, "corrupt", "JSON, but no object")
    else:
        known = str(fields.get("event_id"))
        reading.unreadable.append(("schema", text))
        reading.unfit.append(Finding("schema", number, (known,), f"{known}: {error}"))


def _note_problems(reading: Reading, number: int, event: Event, catalog: Catalog) -> None:
    if event.event_type not in catalog.events:
        problems = [f"no event type {event.event_type!r} in the catalog"]
    else:
        problems = [f"{one.field}: {one.message}" for one in catalog.validate(event.event_type, event.payload)]
    for problem in problems:
        reading.unfit.append(Finding("schema", number, (event.event_id,), f"{event.event_id}: {problem}"))


TOLERANCE = 1000
"""Microseconds that an event's time may differ from the one in its id, which has a little less precision."""


# From the records of topics to what the checks need, and what only a topic can be tested for: keys and partitions.


class RecordReader:
    """Reads records: those of a partition in its order, partitions in any.

    There is no order between partitions, so the events of all are merged by the latest time that each partition had
    reached: what is in order in its partition is in order then.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._reader = Reader(catalog)
        self._places: list[tuple[TopicPartition, int]] = []
        self._reached: dict[TopicPartition, int] = {}
        #: When each event must have been sent, at the earliest.
        self._sent: list[int] = []
        self._homes: dict[tuple[str, bytes], int] = {}
        self._misplaced: list[Finding] = []
        self._mismatched: list[Finding] = []

    def add(self, records: Iterable[ConsumerRecord]) -> None:
        """Take note of further records."""
        for record in records:
            home = TopicPartition(record.topic, record.partition)
            self._places.append((home, record.offset))
            event = self._reader.add(b"null" if record.value is None else record.value)
            if event is not None:
                self._reached[home] = max(self._reached.get(home, 0), _time(event))
                self._sent.append(self._reached[home])
            self._check_key(record, event)
            self._check_home(record, event)

    def reading(self) -> Reading:
        """All that was read."""
        reading = self._reader.reading
        order = sorted(range(len(self._sent)), key=self._sent.__getitem__)
        reading.events = [reading.events[number] for number in order]
        reading.place = self._place
        reading.others = [
            Check("keys", "a record's key is its chain", reading.lines, self._mismatched),
            Check("partitions", "a chain is in one partition of a topic", len(self._homes), self._misplaced),
        ]
        return reading

    def _check_key(self, record: ConsumerRecord, event: EventSummary | None) -> None:
        if event is not None and record.key != event.correlation_id.encode():
            key = (record.key or b"").decode(errors="backslashreplace") or "no key"
            sentence = f"{event.event_id} of chain {event.correlation_id} has the key {key}"
            self._mismatched.append(Finding(None, event.line, (event.event_id,), sentence))

    def _check_home(self, record: ConsumerRecord, event: EventSummary | None) -> None:
        key = event.correlation_id.encode() if event else record.key
        if key is None:
            return
        home = self._homes.setdefault((record.topic, key), record.partition)
        if home != record.partition:
            sentence = f"chain {key.decode(errors='backslashreplace')} is in partition {home} as well"
            self._misplaced.append(Finding(None, len(self._places), (event.event_id,) if event else (), sentence))

    def _place(self, line: int) -> str:
        (topic, partition), offset = self._places[line - 1]
        return f"{topic}[{partition}]@{offset}"


def _time(event: EventSummary) -> int:
    """When it was made: its time, unless that is another one than in its id."""
    if event.event_id[14] != "7":
        return event.time
    made = id_time(event.event_id)
    return event.time if abs(event.time - made) <= TOLERANCE else made


# From what a store kept to what the checks need, and what only a store can be tested for: that its counts agree.


class PartitionCounts(NamedTuple):
    """Where the records of a partition went, by the store's own count."""

    name: str
    read: int
    new: int
    duplicates: int
    dead: int


class StoreReader:
    """Reads a store, where each event is once, in no order, and what was no event is apart."""

    def __init__(self, catalog: Catalog) -> None:
        self._reader = Reader(catalog)

    def add(self, events: Iterable[Event]) -> None:
        """Take note of stored events."""
        for event in events:
            self._reader.add(event.to_bytes())

    def reading(self, dead: Iterable[tuple[str, bytes | None]], accounts: Iterable[PartitionCounts]) -> Reading:
        """All that was read.

        Args:
            dead: the records that were no events, and where they were.
            accounts: of all partitions.
        """
        reading, accounts = self._reader.reading, list(accounts)
        stored, places = reading.lines, list[str]()
        for place, value in dead:
            places.append(place)
            self._reader.add(b"null" if value is None else value)
        reading.others = [_counts(accounts, stored, reading.lines - stored), _repeats(accounts)]
        reading.repeated = sum(account.duplicates for account in accounts)
        reading.lines += reading.repeated
        reading.is_ordered = False
        reading.place = lambda line: places[line - stored - 1] if line > stored else None
        return reading


def _counts(accounts: list[PartitionCounts], stored: int, dead: int) -> Check:
    sums = [
        f"{name}: {read:,} read, but {new:,} new + {duplicates:,} duplicates + {lost:,} dead"
        for name, read, new, duplicates, lost in accounts
        if read != new + duplicates + lost
    ]
    for what, kept, counted in (
        ("events", stored, sum(account.new for account in accounts)),
        ("dead letters", dead, sum(account.dead for account in accounts)),
    ):
        if kept != counted:
            sums.append(f"{kept:,} {what} are stored, and {counted:,} were counted")
    rule = "what was read is stored, was stored already, or is a dead letter"
    return Check("counts", rule, len(accounts), [Finding(None, None, (), sentence) for sentence in sums])


def _repeats(accounts: list[PartitionCounts]) -> Check:
    read, again = sum(account.read for account in accounts), sum(account.duplicates for account in accounts)
    sentence = f"{again:,} of {read:,} records had an event that was stored already"
    return Check("repeats", "no event came again", read, [Finding("duplicate", None, (), sentence)] if again else [])
