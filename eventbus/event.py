"""The event: ten fields in a fixed order, and its JSON form.

`Event` is a frozen value. `from_bytes`, `from_dict` and `new` validate it; other code trusts it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from eventbus.errors import InvalidEvent

type_pattern = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+\.v[1-9][0-9]*")
uuid_pattern = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_TENANT = "default-tenant"
DEFAULT_NAMESPACE = "development"

FIELDS = (
    "event_id",
    "event_type",
    "timestamp",
    "correlation_id",
    "causation_id",
    "tenant_id",
    "namespace",
    "source",
    "schema_version",
    "payload",
)

Header = tuple[str, bytes]
"""Name and value."""
Headers = Sequence[Header]
"""Kafka record headers, in order; a name may repeat."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a chain.

    The constructor does not validate, for speed; `from_bytes`, `from_dict` and `new` do.
    """

    event_id: str
    """UUID in lower-case text form; version 7 if created here."""
    event_type: str
    """`<organisation>.<domain>.<entity…>.<action>.v<major>`."""
    timestamp: datetime
    """Event time in UTC, timezone-aware."""
    correlation_id: str
    """Shared by the whole chain: the `event_id` of its root."""
    causation_id: str | None
    """`event_id` of the event that caused this one; None on the root."""
    tenant_id: str
    namespace: str
    source: str
    """The service that emits it."""
    schema_version: str
    payload: dict[str, Any]

    @classmethod
    def new(
        cls,
        event_type: str,
        payload: dict[str, Any],
        *,
        cause: Event | None = None,
        source: str = "application",
        schema_version: str = "1.0.0",
        tenant_id: str | None = None,
        namespace: str | None = None,
        timestamp: datetime | None = None,
        event_id: str | None = None,
    ) -> Event:
        """Create an event: a root, or an effect of `cause` in the same chain, tenant and namespace.

        Raises:
            InvalidEvent: a field is invalid.
        """
        instant = _instant(timestamp or datetime.now(UTC))
        event_id = event_id or new_id(microseconds(instant))
        return cls._checked(
            {
                "event_id": event_id,
                "event_type": event_type,
                "timestamp": instant,
                "correlation_id": cause.correlation_id if cause else event_id,
                "causation_id": cause.event_id if cause else None,
                "tenant_id": tenant_id or (cause.tenant_id if cause else DEFAULT_TENANT),
                "namespace": namespace or (cause.namespace if cause else DEFAULT_NAMESPACE),
                "source": source,
                "schema_version": schema_version,
                "payload": payload,
            }
        )

    @classmethod
    def from_bytes(cls, value: bytes | bytearray | memoryview | str) -> Event:
        """Decode and validate one JSON event.

        Raises:
            InvalidEvent: not a JSON object, or a field is missing, unknown or invalid.
        """
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise InvalidEvent(f"expected a JSON object, got {_shown(value)}: {error}") from error
        return cls.from_dict(fields)

    @classmethod
    def from_dict(cls, fields: Any) -> Event:
        """Validate an event given as a dictionary in its JSON form, with `timestamp` as text or datetime.

        Raises:
            InvalidEvent: the first invalid field is named.
        """
        if not isinstance(fields, dict):
            raise InvalidEvent(f"expected a JSON object, got {_shown(fields)}")
        return cls._checked(fields)

    @classmethod
    def _checked(cls, fields: dict[str, Any]) -> Event:
        for name in FIELDS:
            if name not in fields:
                raise InvalidEvent("required, but missing", field=name)
        for name in fields:
            if name not in FIELDS:
                raise InvalidEvent(f"unknown field; an event has {', '.join(FIELDS)}", field=name)
        for name in ("event_id", "correlation_id"):
            _check_uuid(name, fields[name])
        if fields["causation_id"] is not None:
            _check_uuid("causation_id", fields["causation_id"])
        if not isinstance(fields["event_type"], str) or not type_pattern.fullmatch(fields["event_type"]):
            raise InvalidEvent(
                f"expected lower-case words joined by dots and ending in .v<major>, got {_shown(fields['event_type'])}",
                field="event_type",
            )
        for name in ("tenant_id", "namespace", "source", "schema_version"):
            if not isinstance(fields[name], str) or not fields[name]:
                raise InvalidEvent(f"expected a text of at least one character, got {_shown(fields[name])}", field=name)
        if not isinstance(fields["payload"], dict):
            raise InvalidEvent(f"expected an object, got {_shown(fields['payload'])}", field="payload")
        return cls(**{**fields, "timestamp": _instant(fields["timestamp"])})

    def to_dict(self) -> dict[str, Any]:
        """The event as a dictionary in its JSON form, in the order of `FIELDS`."""
        return {
            "event_id": self.event_id,
            "event_type": self.event_type,
            "timestamp": format_timestamp(self.timestamp),
            "correlation_id": self.correlation_id,
            "causation_id": self.causation_id,
            "tenant_id": self.tenant_id,
            "namespace": self.namespace,
            "source": self.source,
            "schema_version": self.schema_version,
            "payload": self.payload,
        }

    def to_bytes(self) -> bytes:
        """The event as compact JSON in UTF-8, without a trailing newline.

        Raises:
            InvalidEvent: the payload contains a value that JSON cannot represent.
        """
        timestamp = self.timestamp
        try:
            if timestamp.tzinfo is UTC and timestamp.microsecond:  # orjson then writes the same as `format_timestamp`
                return orjson.dumps(self, option=orjson.OPT_UTC_Z)
            return orjson.dumps(self.to_dict(), option=orjson.OPT_UTC_Z)
        except orjson.JSONEncodeError as error:
            raise InvalidEvent(f"expected values that JSON can represent: {error}", field="payload") from error

    def evolve(self, **changes: Any) -> Event:
        """A copy with changed fields, not validated."""
        return replace(self, **changes)

    @property
    def key(self) -> bytes:
        """The Kafka record key: the correlation id, which keeps a chain in order in one partition."""
        return self.correlation_id.encode()

    @property
    def headers(self) -> Headers:
        """The Kafka record headers, with a W3C `traceparent` whose trace id is the correlation id."""
        return event_headers(self.event_id, self.event_type, self.correlation_id, self.causation_id)


CONTENT_TYPE = ("content-type", b"application/json")


def event_headers(event_id: str, event_type: str, correlation_id: str, causation_id: str | None) -> Headers:
    """The headers of an event's Kafka record; a root has no `causation_id`."""
    span = event_id[19:23] + event_id[24:]
    trace = ("traceparent", f"00-{correlation_id.replace('-', '')}-{span}-01".encode())
    type_header = ("event_type", event_type.encode())
    correlation = ("correlation_id", correlation_id.encode())
    if causation_id is None:
        return (CONTENT_TYPE, type_header, correlation, trace)
    return (CONTENT_TYPE, type_header, correlation, ("causation_id", causation_id.encode()), trace)


def headers_of(value: bytes | None) -> Headers:
    """The headers of the event in a record value; none if the value is not an event."""
    try:
        fields = orjson.loads(value or b"")
        return event_headers(fields["event_id"], fields["event_type"], fields["correlation_id"], fields["causation_id"])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return ()


def domain_of(event_type: str) -> str:
    """The first two words of a type: `omninode.agent.execution.started.v1` → `omninode.agent`."""
    return ".".join(event_type.split(".", 2)[:2])


def format_timestamp(instant: datetime) -> str:
    """ISO 8601 in UTC, with microseconds and `Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


def microseconds(instant: datetime) -> int:
    """Microseconds since the Unix epoch, without the rounding of floats."""
    delta = instant - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def uuid7(time_us: int, bits: int) -> str:
    """A UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, 12 bits of their fraction, and the 62 bits given.

    Args:
        time_us: microseconds since the Unix epoch.
        bits: 62 random or seeded bits; higher ones are ignored.
    """
    ms, us = divmod(time_us, 1000)
    high = (ms << 16) | 0x7000 | (us << 12) // 1000
    text = f"{high:016x}{1 << 63 | bits & (1 << 62) - 1:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_id(time_us: int) -> str:
    """A UUIDv7 for a time in microseconds since the Unix epoch, with random bits of the system."""
    return uuid7(time_us, int.from_bytes(os.urandom(8), "big"))


def now_us() -> int:
    """The wall time in microseconds since the Unix epoch."""
    return time.time_ns() // 1000


def _check_uuid(name: str, text: Any) -> None:
    if not isinstance(text, str) or not uuid_pattern.fullmatch(text):
        raise InvalidEvent(f"expected a lower-case UUID such as {uuid7(0, 0)}, got {_shown(text)}", field=name)


def _instant(value: Any) -> datetime:
    try:
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):  # OverflowError: the offset leaves the calendar
        pass
    raise InvalidEvent(
        f"expected ISO 8601 with a zone, such as 2026-01-01T00:00:00.000000Z, got {_shown(value)}", field="timestamp"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
