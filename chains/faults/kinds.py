"""The kinds of faults, a class each; a new one needs an entry in `FAULT_KINDS` too (see `FaultKind`).

Lines are cut where the emitter is known to have put the fields, or at the names of the envelope's fields: inside a JSON
string every quote is escaped, so that these names are found in the envelope only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import orjson

from eventbus.catalog import EventType, PayloadField
from eventbus.catalog.model import FAULT_KINDS
from eventbus.chains.faults.kind import AffectedEvents, FaultKind, Mutation
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers, purpose
from eventbus.chains.rendering.columns import TIMESTAMP_WIDTH, UUID_WIDTH, timestamps, uuid7

AFTER_TENANT = b'","namespace":"'
AFTER_SOURCE = b'","schema_version":"'
PAYLOAD = b',"payload":'
HIGH_BITS = np.uint64(0x8080808080808080)


class Drop(FaultKind, name="drop"):
    """The event is left out."""

    delivery = "drop"


class MissingStarted(FaultKind, name="missing-started"):
    """An event whose action is `started` is left out."""

    delivery = "drop"

    def may_strike(self, emitter: EmitterInfo) -> bool:
        return emitter.event_type.split(".")[-2] == "started"


class Tombstone(FaultKind, name="tombstone"):
    """`null` replaces the event; in Kafka, a record without a value."""

    is_readable = False

    def mutate(self, events: AffectedEvents) -> Mutation:
        return Mutation([b"null\n"] * len(events.lines), repeat(b""), events.time)


class Poison(FaultKind, name="poison"):
    """Bytes that are not UTF-8 replace the event."""

    is_readable = False

    def mutate(self, events: AffectedEvents) -> Mutation:
        """Starts with a byte that never occurs in UTF-8; the others have their high bit set, so none is a newline."""
        tails = (events.words | HIGH_BITS).astype(">u8").view("V8").tolist()
        lines = [b"\xff%b\n" % tail for tail in tails]
        return Mutation(lines, (b',"bytes":"%b"' % line[:-1].hex().encode() for line in lines), events.time)

    def fingerprint(self, line: bytes) -> object:
        return line.hex()

    def recorded(self, record: Mapping[str, Any]) -> object:
        return record.get("bytes")


class Corrupt(FaultKind, name="corrupt"):
    """The event's JSON breaks off between two characters."""

    is_readable = False

    def mutate(self, events: AffectedEvents) -> Mutation:
        pairs = zip(events.lines, events.words.tolist(), strict=True)
        lines = [_whole_characters(line[: 1 + word % (len(line) - 3)]) + b"\n" for line, word in pairs]
        return Mutation(lines, (b',"kept_bytes":%d' % (len(line) - 1) for line in lines), events.time)

    def fingerprint(self, line: bytes) -> object:
        return len(line)

    def recorded(self, record: Mapping[str, Any]) -> object:
        return record.get("kept_bytes")


class Truncate(Corrupt, name="truncate"):
    """The event is cut off at any byte, possibly inside a character; at least one byte is kept, and one lost."""

    looks_like = "corrupt"

    def mutate(self, events: AffectedEvents) -> Mutation:
        sizes = [1 + word % (len(line) - 2) for line, word in zip(events.lines, events.words.tolist(), strict=True)]
        lines = [line[:end] + b"\n" for line, end in zip(events.lines, sizes, strict=True)]
        return Mutation(lines, map(b',"kept_bytes":%d'.__mod__, sizes), events.time)


def _whole_characters(text: bytes) -> bytes:
    """The text without a character that was cut: that would be `poison`."""
    return text if text.isascii() else text.decode(errors="ignore").encode()


class Schema(FaultKind, name="schema"):
    """One payload field is missing, unknown or of a wrong type."""

    breaks_schema = True

    def mutate(self, events: AffectedEvents) -> Mutation:
        violations = [
            _violation(line, event_type, events.fault.fields, word)
            for line, event_type, word in zip(events.lines, events.event_types, events.words.tolist(), strict=True)
        ]
        details = (
            b',"field":%b,"violation":"%b"' % (orjson.dumps(violation.field), violation.name.encode())
            for violation in violations
        )
        return Mutation([violation.line for violation in violations], details, events.time)


class WrongTenant(FaultKind, name="wrong-tenant"):
    """The event names another tenant than its chain."""

    def mutate(self, events: AffectedEvents) -> Mutation:
        lines = []
        for line, word in zip(events.lines, events.words.tolist(), strict=True):
            end = line.index(AFTER_TENANT)
            lines.append(b"%b-other-%d%b" % (line[:end], word % 100, line[end:]))
        return Mutation(lines, map(_tenant_member, lines), events.time)


def _tenant_member(line: bytes) -> bytes:
    start = line.index(b',"tenant_id":"')
    return line[start : line.index(AFTER_TENANT, start) + 1]


class OrphanCausation(FaultKind, name="orphan-causation"):
    """The event's cause is an event that does not exist."""

    def may_strike(self, emitter: EmitterInfo) -> bool:
        return not emitter.is_root

    def mutate(self, events: AffectedEvents) -> Mutation:
        causes = uuid7(events.time - events.delay, events.words).tolist()
        starts = [info.causation_at or 0 for info in events.infos]
        lines = _overwritten(events.lines, starts, causes, UUID_WIDTH)
        return Mutation(lines, (b',"causation_id":"%b"' % cause for cause in causes), events.time)


class CompletedBeforeStarted(FaultKind, name="completed-before-started"):
    """The last event of a chain has a timestamp before its cause's."""

    def may_strike(self, emitter: EmitterInfo) -> bool:
        return emitter.ends_chain and not emitter.is_root

    def mutate(self, events: AffectedEvents) -> Mutation:
        return _retimed(events, events.time - events.delay - np.maximum(events.amount, 1), repeat(b""))


class ClockSkew(FaultKind, name="clock-skew"):
    """The event's timestamp is off by its source's clock error, which is constant throughout a run."""

    def mutate(self, events: AffectedEvents) -> Mutation:
        sources = [event_type.source for event_type in events.event_types]
        skews = [_skew(events.run, source, *events.fault.effective_bounds) for source in sources]
        details = (
            b',"source":%b,"skew_ms":%b' % (orjson.dumps(source), _milliseconds(skew))
            for source, skew in zip(sources, skews, strict=True)
        )
        return _retimed(events, events.time + np.array(skews), details)


@lru_cache
def _skew(run: int, source: str, low: int, high: int) -> int:
    word = purpose("clock-skew", str(run), source)
    amount = low + (word >> 1) % (high - low + 1)
    return amount if word & 1 else -amount


class ChangedDuplicate(FaultKind, name="changed-duplicate"):
    """The event comes again later, with the same id and different content, which the catalog allows."""

    delivery = "duplicate"
    changes_copy = True

    def mutate(self, events: AffectedEvents) -> Mutation:
        pairs = [
            _changed_content(line, event_type)
            for line, event_type in zip(events.lines, events.event_types, strict=True)
        ]
        details = (
            b'%b,"field":%b' % (after, orjson.dumps(field))
            for after, (_, field) in zip(_after(events), pairs, strict=True)
        )
        return Mutation([line for line, _ in pairs], details, events.time)


class Duplicate(FaultKind, name="duplicate"):
    """The event comes again later, byte for byte."""

    delivery = "duplicate"

    def mutate(self, events: AffectedEvents) -> Mutation:
        return Mutation(events.lines, _after(events), events.time)


class Late(FaultKind, name="late"):
    """The event comes later than its timestamp says."""

    delivery = "delay"

    def mutate(self, events: AffectedEvents) -> Mutation:
        details = map(b',"late_ms":%b'.__mod__, map(_milliseconds, events.amount.tolist()))
        return Mutation(events.lines, details, events.time)


class Reorder(FaultKind, name="reorder"):
    """The event comes behind some of those that follow it."""

    delivery = "displace"

    def mutate(self, events: AffectedEvents) -> Mutation:
        return Mutation(events.lines, map(b',"places":%d'.__mod__, events.amount.tolist()), events.time)


KINDS = {name: FaultKind.registered[name]() for name in FAULT_KINDS}
"""Every kind by name, in order of precedence."""


def _retimed(events: AffectedEvents, times: Integers, details: Iterable[bytes]) -> Mutation:
    """The events with other timestamps, which the ledger has before the details."""
    texts = timestamps(times).tolist()
    lines = _overwritten(events.lines, [info.timestamp_at for info in events.infos], texts, TIMESTAMP_WIDTH)
    return Mutation(lines, (b',"timestamp":"%b"%b' % pair for pair in zip(texts, details, strict=False)), times)


def _overwritten(lines: list[bytes], starts: list[int], texts: list[bytes], width: int) -> list[bytes]:
    """Lines with `width` bytes of each overwritten, from its start on."""
    triples = zip(lines, starts, texts, strict=True)
    return [b"%b%b%b" % (line[:start], text, line[start + width :]) for line, start, text in triples]


def _after(events: AffectedEvents) -> map[bytes]:
    return map(b',"after_ms":%b'.__mod__, map(_milliseconds, events.amount.tolist()))


def _milliseconds(microseconds: int) -> bytes:
    return orjson.dumps(microseconds / 1000)


# Changes inside the payload: a field that the catalog refuses, or other content that it allows.

Payload = dict[str, Any]


class _Violation(NamedTuple):
    """An event that the catalog refuses."""

    line: bytes
    """With its newline."""
    field: str
    """Of the payload."""
    name: str
    """`missing`, `unknown` or `type`."""


def _violation(line: bytes, event_type: EventType, only: tuple[str, ...], word: int) -> _Violation:
    """Remove a field, give it a wrong type, or add one.

    Args:
        only: names of the fields that may be changed, of which the type has some; none: all.
        word: random bits.
    """
    fields = [field for field in event_type.payload if field.name in only] if only else event_type.payload
    name, number = ("type", "missing", "unknown")[word % 3], (word >> 8) % max(len(fields), 1)
    if not fields or (name == "unknown" and not only):
        return _Violation(_with_unknown_field(line), "unexpected_field", "unknown")
    start, payload = _payload(line)
    field = fields[number]
    if name == "missing" and field.required and field.name in payload:
        del payload[field.name]
    else:
        name = "type"
        payload[field.name] = 0 if field.type in ("string", "boolean", "object", "array") else "not a number"
    return _Violation(_with_payload(line, start, payload), field.name, name)


def _changed_content(line: bytes, event_type: EventType) -> tuple[bytes, str]:
    """The event with another value that the catalog allows, and the path of the field that has it."""
    start, payload = _payload(line)
    name = _change_value(payload, event_type.payload)
    if name is None:
        end = line.index(AFTER_SOURCE)
        return b"%b-again%b" % (line[:end], line[end:]), "source"
    return _with_payload(line, start, payload), f"payload.{name}"


def _payload(line: bytes) -> tuple[int, Payload]:
    """Where the payload starts, and its members."""
    start = line.index(PAYLOAD) + len(PAYLOAD)
    return start, orjson.loads(line[start:-2])


def _with_payload(line: bytes, start: int, payload: Payload) -> bytes:
    return b"%b%b}\n" % (line[:start], orjson.dumps(payload))


def _with_unknown_field(line: bytes) -> bytes:
    """The line, which ends with the payload's brace, the event's and a newline, with one more field in the payload."""
    comma = b"" if line[-4:-3] == b"{" else b","
    return b'%b%b"unexpected_field":true}}\n' % (line[:-3], comma)


def _change_value(payload: Payload, fields: tuple[PayloadField, ...]) -> str | None:
    """Give one field another value that the catalog allows; returns its name, or None if no field has another value."""
    for field in fields:
        if field.name in payload and field.fields is None:
            value = _other_value(field, payload[field.name])
            if value is not None and value != payload[field.name]:  # a very large float plus 1 is itself
                payload[field.name] = value
                return field.name
    return None


def _other_value(field: PayloadField, value: Any) -> Any:
    """Another value that the field may have; None if there is none."""
    if field.source.accepted is not None:
        return next((accepted for accepted in field.source.accepted if accepted != value), None)
    if isinstance(value, str):
        return f"{value} (again)"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return not value if isinstance(value, bool) else None
    low, high = field.source.bounds
    if high is None or value + 1 <= high:
        return value + 1
    return value - 1 if low is None or value - 1 >= low else None
