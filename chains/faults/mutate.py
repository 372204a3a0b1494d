"""What each kind of fault makes of events: the texts that come instead of them, and what the ledger says about them.

Texts are cut where the emitter is known to have put things, or at the names of the envelope's fields: no quote inside
a JSON string stands without a backslash, so these are found in the envelope only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, Literal, NamedTuple

import numpy as np
import orjson

from eventbus.catalog import EventType, PayloadField
from eventbus.chains.faults.kinds import Fault
from eventbus.chains.plan import EmitterInfo
from eventbus.chains.randomness import Integers, Words, purpose
from eventbus.chains.rendering.columns import TIMESTAMP_WIDTH, UUID_WIDTH, timestamps, uuid7

# The events that one fault strikes, as columns, and the texts that come of it.


class AffectedEvents(NamedTuple):
    """Events that one fault strikes, in the order of the stream."""

    fault: Fault
    run: int
    """The run's random key."""
    known: Sequence[tuple[EmitterInfo, EventType]]
    """By emitter."""
    lines: list[bytes]
    """With their newlines."""
    kind: Integers
    """Indices of their emitters in the plan."""
    chain: Integers
    """Indices."""
    time: Integers
    """Microseconds since the Unix epoch."""
    delay: Integers
    """Microseconds since the causes."""
    amount: Integers
    """Drawn between the fault's bounds."""
    word: Words
    """64 random bits each."""

    def part(self, first: int, last: int, fault: Fault) -> AffectedEvents:
        """Some of them, struck by a fault."""
        rows = slice(first, last)
        return AffectedEvents(fault, self.run, self.known, *(column[rows] for column in self[3:]))  # type: ignore[arg-type]

    @property
    def keys(self) -> list[bytes]:
        """Their correlation ids."""
        begins = [place.correlation_at for place in self.places]
        return [line[begin : begin + UUID_WIDTH] for line, begin in zip(self.lines, begins, strict=True)]

    @property
    def places(self) -> list[EmitterInfo]:
        return [self.known[kind][0] for kind in self.kind.tolist()]

    @property
    def types(self) -> list[EventType]:
        return [self.known[kind][1] for kind in self.kind.tolist()]


class Changes(NamedTuple):
    """What a fault makes of each event; where it comes from the same columns, nothing is a copy."""

    texts: Sequence[bytes]
    """With newlines."""
    details: Iterable[bytes]
    """For the ledger, further members of a JSON object, each behind a comma; worked out only when somebody looks."""
    times: Integers
    """In the texts."""


# Faults inside the payload: a field that the catalog does not allow, or another content under the same id.


Fields = dict[str, Any]

PAYLOAD = b',"payload":'
AFTER_SOURCE = b'","schema_version":"'


class Violation(NamedTuple):
    """An event that the catalog does not allow."""

    text: bytes
    """With its newline."""
    field: str
    """Of the payload."""
    way: str
    """`missing`, `unknown` or `type`."""


def violated(line: bytes, event_type: EventType, only: tuple[str, ...], word: int) -> Violation:
    """Takes a field away, gives it a wrong type, or adds one: what the type's model is sure to refuse.

    Args:
        only: may be touched, of which the type has some; none: all may.
        word: random bits.
    """
    fields = [one for one in event_type.payload if one.name in only] if only else event_type.payload
    way, place = ("type", "missing", "unknown")[word % 3], (word >> 8) % max(len(fields), 1)
    if not fields or (way == "unknown" and not only):
        return Violation(_with_unknown(line), "unexpected_field", "unknown")
    begin, payload = _payload(line)
    field = fields[place]
    if way == "missing" and field.required and field.name in payload:
        del payload[field.name]
    else:
        way = "type"
        payload[field.name] = 0 if field.type in ("string", "boolean", "object", "array") else "not a number"
    return Violation(_with(line, begin, payload), field.name, way)


def changed_content(line: bytes, event_type: EventType) -> tuple[bytes, str]:
    """The event with another value that the catalog allows, and the path of the field that has it."""
    begin, payload = _payload(line)
    name = _another(payload, event_type.payload)
    if name is None:
        end = line.index(AFTER_SOURCE)
        return b"%b-again%b" % (line[:end], line[end:]), "source"
    return _with(line, begin, payload), f"payload.{name}"


def _payload(line: bytes) -> tuple[int, Fields]:
    """Where it begins, and what it is."""
    begin = line.index(PAYLOAD) + len(PAYLOAD)
    return begin, orjson.loads(line[begin:-2])


def _with(line: bytes, begin: int, payload: Fields) -> bytes:
    return b"%b%b}\n" % (line[:begin], orjson.dumps(payload))


def _with_unknown(line: bytes) -> bytes:
    """The line ends as all do: with the payload, the event and a newline."""
    comma = b"" if line[-4:-3] == b"{" else b","
    return b'%b%b"unexpected_field":true}}\n' % (line[:-3], comma)


def _another(payload: Fields, known: tuple[PayloadField, ...]) -> str | None:
    """Gives a field another value that fits; returns its name, or None where every field has one value only."""
    for field in known:
        if field.name in payload and field.value is None and field.fields is None:
            other = _other_value(field, payload[field.name])
            if other is not None and other != payload[field.name]:  # a very large number plus one is itself
                payload[field.name] = other
                return field.name
    return None


def _other_value(field: PayloadField, value: Any) -> Any:
    """Another value that the field may have; None if there is none."""
    if field.choices is not None:
        return next((choice for choice in field.choices if choice != value), None)
    if isinstance(value, str):
        return f"{value} (again)"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return not value if isinstance(value, bool) else None
    within = (field.minimum is None or value - 1 >= field.minimum, field.maximum is None or value + 1 <= field.maximum)
    return value + 1 if within[1] else value - 1 if within[0] else None


When = Literal["never", "instead", "again", "later", "behind"]
"""When a text comes: never, in the event's place, after it and at a later time, only then, or behind other events."""

HIGH_BITS = np.uint64(0x8080808080808080)
AFTER_TENANT = b'","namespace":"'


class Mutation(NamedTuple):
    """What a kind of fault does."""

    when: When
    change: Callable[[AffectedEvents], Changes]


def _unchanged(victims: AffectedEvents) -> Changes:
    return Changes(victims.lines, repeat(b""), victims.time)


def _tombstone(victims: AffectedEvents) -> Changes:
    return Changes([b"null\n"] * len(victims.lines), repeat(b""), victims.time)


def _poison(victims: AffectedEvents) -> Changes:
    """Begins with a byte that no UTF-8 text has; none of the others ends the line."""
    rest = (victims.word | HIGH_BITS).astype(">u8").view("V8").tolist()
    texts = [b"\xff%b\n" % eight for eight in rest]
    return Changes(texts, (b',"bytes":"%b"' % text[:-1].hex().encode() for text in texts), victims.time)


def _corrupt(victims: AffectedEvents) -> Changes:
    lines = zip(victims.lines, victims.word.tolist(), strict=True)
    texts = [_whole_characters(line[: 1 + word % (len(line) - 3)]) + b"\n" for line, word in lines]
    return Changes(texts, (b',"kept_bytes":%d' % (len(text) - 1) for text in texts), victims.time)


def _whole_characters(text: bytes) -> bytes:
    """A cut inside a character would be poison."""
    return text if text.isascii() else text.decode(errors="ignore").encode()


def _wrong_tenant(victims: AffectedEvents) -> Changes:
    texts = []
    for line, word in zip(victims.lines, victims.word.tolist(), strict=True):
        end = line.index(AFTER_TENANT)
        texts.append(b"%b-other-%d%b" % (line[:end], word % 100, line[end:]))
    return Changes(texts, map(_tenant, texts), victims.time)


def _tenant(text: bytes) -> bytes:
    begin = text.index(b',"tenant_id":"')
    return text[begin : text.index(AFTER_TENANT, begin) + 1]


def _orphan(victims: AffectedEvents) -> Changes:
    causes = uuid7(victims.time - victims.delay, victims.word).tolist()
    begins = [place.causation_at or 0 for place in victims.places]
    texts = _overwritten(victims.lines, begins, causes, UUID_WIDTH)
    return Changes(texts, (b',"causation_id":"%b"' % cause for cause in causes), victims.time)


def _before_cause(victims: AffectedEvents) -> Changes:
    return _timed(victims, victims.time - victims.delay - np.maximum(victims.amount, 1), repeat(b""))


def _skewed(victims: AffectedEvents) -> Changes:
    """The clock of a source is off by the same amount throughout a run."""
    offs = [_skew(victims.run, one.source, *victims.fault.span) for one in victims.types]
    details = (
        b',"source":%b,"skew_ms":%b' % (orjson.dumps(one.source), _ms(off))
        for one, off in zip(victims.types, offs, strict=True)
    )
    return _timed(victims, victims.time + np.array(offs), details)


@lru_cache
def _skew(run: int, source: str, low: int, high: int) -> int:
    word = purpose(f"{run}/fault/clock-skew/{source}")
    amount = low + (word >> 1) % (high - low + 1)
    return amount if word & 1 else -amount


def _timed(victims: AffectedEvents, times: Integers, details: Iterable[bytes]) -> Changes:
    stamps = timestamps(times).tolist()
    texts = _overwritten(victims.lines, [place.timestamp_at for place in victims.places], stamps, TIMESTAMP_WIDTH)
    shown = (b',"timestamp":"%b"%b' % pair for pair in zip(stamps, details, strict=False))
    return Changes(texts, shown, times)


def _overwritten(lines: list[bytes], begins: list[int], new: list[bytes], width: int) -> list[bytes]:
    """Lines with another text at a place of each."""
    places = zip(lines, begins, new, strict=True)
    return [b"%b%b%b" % (line[:begin], text, line[begin + width :]) for line, begin, text in places]


def _again(victims: AffectedEvents) -> Changes:
    return Changes(victims.lines, _after(victims), victims.time)


def _changed_again(victims: AffectedEvents) -> Changes:
    pairs = [changed_content(line, one) for line, one in zip(victims.lines, victims.types, strict=True)]
    details = (
        b'%b,"field":%b' % (after, orjson.dumps(name)) for after, (_, name) in zip(_after(victims), pairs, strict=True)
    )
    return Changes([text for text, _ in pairs], details, victims.time)


def _after(victims: AffectedEvents) -> map[bytes]:
    return map(b',"after_ms":%b'.__mod__, map(_ms, victims.amount.tolist()))


def _schema(victims: AffectedEvents) -> Changes:
    found = [
        violated(line, one, victims.fault.fields, word)
        for line, one, word in zip(victims.lines, victims.types, victims.word.tolist(), strict=True)
    ]
    details = (b',"field":%b,"violation":"%b"' % (orjson.dumps(one.field), one.way.encode()) for one in found)
    return Changes([one.text for one in found], details, victims.time)


def _late(victims: AffectedEvents) -> Changes:
    return Changes(victims.lines, map(b',"late_ms":%b'.__mod__, map(_ms, victims.amount.tolist())), victims.time)


def _reordered(victims: AffectedEvents) -> Changes:
    return Changes(victims.lines, map(b',"places":%d'.__mod__, victims.amount.tolist()), victims.time)


def _ms(time: int) -> bytes:
    return orjson.dumps(time / 1000)


MUTATIONS = {
    "drop": Mutation("never", _unchanged),
    "missing-started": Mutation("never", _unchanged),
    "tombstone": Mutation("instead", _tombstone),
    "poison": Mutation("instead", _poison),
    "corrupt": Mutation("instead", _corrupt),
    "schema": Mutation("instead", _schema),
    "wrong-tenant": Mutation("instead", _wrong_tenant),
    "orphan-causation": Mutation("instead", _orphan),
    "completed-before-started": Mutation("instead", _before_cause),
    "clock-skew": Mutation("instead", _skewed),
    "changed-duplicate": Mutation("again", _changed_again),
    "duplicate": Mutation("again", _again),
    "late": Mutation("later", _late),
    "reorder": Mutation("behind", _reordered),
}
