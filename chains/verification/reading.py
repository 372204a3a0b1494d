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


class Seen(NamedTuple):
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
    events: list[Seen] = field(default_factory=list)
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

    def add(self, text: bytes) -> Seen | None:
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


def _seen(number: int, event: Event, text: bytes) -> Seen:
    return Seen(
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
