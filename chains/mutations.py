"""What each kind of fault makes of one event: the texts that come instead of it, and what the ledger says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from catalog import EventType, PayloadField
from chains.block import EPOCH
from chains.faults import Fault
from chains.randomness import purpose
from eventbus.event import format_timestamp, uuid7

Fields = dict[str, Any]


@dataclass
class Victim:
    """An event that a fault strikes."""

    line: bytes
    """With its newline."""
    event_type: EventType
    time: int
    """Microseconds since the Unix epoch."""
    delay: int
    """Microseconds since its cause."""
    amount: int
    """Drawn between the fault's bounds."""
    word: int
    """64 random bits."""
    fault: Fault
    run: int
    """The run's random key."""

    @cached_property
    def fields(self) -> Fields:
        """The line, decoded; may be changed."""
        fields: Fields = orjson.loads(self.line)
        return fields


class Emission(NamedTuple):
    """A text that comes instead of the event: in its place, from a time on, or after so many further events."""

    text: bytes
    time: int | None = None
    places: int | None = None


class Change(NamedTuple):
    """What comes instead of an event."""

    emissions: tuple[Emission, ...]
    details: Mapping[str, Any]
    """For the ledger."""


def change(victim: Victim) -> Change | None:
    """What its fault makes of an event; None: it cannot strike it."""
    return CHANGES[victim.fault.kind](victim)


def _dropped(victim: Victim) -> Change:
    return Change((), {})


def _tombstone(victim: Victim) -> Change:
    return Change((Emission(b"null\n"),), {})


def _poison(victim: Victim) -> Change:
    """Begins with a byte that no UTF-8 text has; none of the others ends the line."""
    rest = bytes(0x80 | byte for byte in victim.word.to_bytes(8, "big"))
    return Change((Emission(b"\xff" + rest + b"\n"),), {"bytes": (b"\xff" + rest).hex()})


def _corrupt(victim: Victim) -> Change:
    kept = 1 + victim.word % (len(victim.line) - 3)
    text = victim.line[:kept].decode(errors="ignore").encode()  # a cut inside a character would be poison
    return Change((Emission(text + b"\n"),), {"kept_bytes": len(text)})


def _schema(victim: Victim) -> Change | None:
    """Takes a field away, gives it a wrong type, or adds one; what the type's model is sure to refuse."""
    payload = victim.fields["payload"]
    known = {one.name: one for one in victim.event_type.payload if one.name in payload}
    only = victim.fault.fields
    names = [name for name in known if not only or name in only]
    if not names and only:
        return None
    way, place = ("type", "missing", "unknown")[victim.word % 3], (victim.word >> 8) % max(len(names), 1)
    if not names or (way == "unknown" and not only):
        payload["unexpected_field"] = True
        return _rewritten(victim, {"field": "unexpected_field", "violation": "unknown"})
    field = known[names[place]]
    if way == "missing" and field.required:
        del payload[field.name]
        return _rewritten(victim, {"field": field.name, "violation": "missing"})
    payload[field.name] = 0 if field.type in ("string", "boolean", "object", "array") else "not a number"
    return _rewritten(victim, {"field": field.name, "violation": "type"})


def _wrong_tenant(victim: Victim) -> Change:
    victim.fields["tenant_id"] += f"-other-{victim.word % 100}"
    return _rewritten(victim, {"tenant_id": victim.fields["tenant_id"]})


def _orphan(victim: Victim) -> Change:
    victim.fields["causation_id"] = uuid7(victim.time - victim.delay, victim.word >> 2)
    return _rewritten(victim, {"causation_id": victim.fields["causation_id"]})


def _before_cause(victim: Victim) -> Change:
    return _timed(victim, victim.time - victim.delay - max(victim.amount, 1), {})


def _skewed(victim: Victim) -> Change:
    """The clock of a source is off by the same amount throughout a run."""
    (low, high), source = victim.fault.span, victim.event_type.source
    word = purpose(f"{victim.run}/fault/clock-skew/{source}")
    amount = low + (word >> 1) % (high - low + 1)
    skew = amount if word & 1 else -amount
    return _timed(victim, victim.time + skew, {"source": source, "skew_ms": skew / 1000})


def _timed(victim: Victim, time: int, details: Fields) -> Change:
    victim.fields["timestamp"] = format_timestamp(EPOCH + timedelta(microseconds=time))
    return _rewritten(victim, {"timestamp": victim.fields["timestamp"], **details})


def _duplicate(victim: Victim) -> Change:
    return _twice(victim, victim.line, {})


def _changed_duplicate(victim: Victim) -> Change:
    field = _another(victim.fields["payload"], victim.event_type.payload)
    if field is None:
        victim.fields["source"] += "-again"
    details = {"field": f"payload.{field}" if field else "source"}
    return _twice(victim, orjson.dumps(victim.fields) + b"\n", details)


def _twice(victim: Victim, again: bytes, details: Fields) -> Change:
    second = Emission(again, time=victim.time + victim.amount)
    return Change((Emission(victim.line), second), {"after_ms": victim.amount / 1000, **details})


def _late(victim: Victim) -> Change:
    return Change((Emission(victim.line, time=victim.time + victim.amount),), {"late_ms": victim.amount / 1000})


def _reordered(victim: Victim) -> Change:
    return Change((Emission(victim.line, places=victim.amount),), {"places": victim.amount})


def _rewritten(victim: Victim, details: Fields) -> Change:
    return Change((Emission(orjson.dumps(victim.fields) + b"\n"),), details)


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


CHANGES: dict[str, Callable[[Victim], Change | None]] = {
    "drop": _dropped,
    "missing-started": _dropped,
    "tombstone": _tombstone,
    "poison": _poison,
    "corrupt": _corrupt,
    "schema": _schema,
    "wrong-tenant": _wrong_tenant,
    "orphan-causation": _orphan,
    "completed-before-started": _before_cause,
    "clock-skew": _skewed,
    "changed-duplicate": _changed_duplicate,
    "duplicate": _duplicate,
    "late": _late,
    "reorder": _reordered,
}
