"""An event's JSON as a row of a binary COPY, without I/O.

There are two ways to the same row. A value exactly as `Event.to_bytes` writes it (fields in their order, no white
space, no escapes before the payload) is taken apart by one regular expression, and its payload goes to PostgreSQL as
the bytes that came: nothing is encoded again, and no number loses a digit. Everything else goes through
`Event.from_bytes`, which alone decides what an event is; the quick way accepts nothing that it would refuse.

Format: PostgreSQL documentation, COPY, "Binary Format"; timestamps are microseconds since 2000-01-01 UTC, `jsonb` is
its text after a version byte.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from datetime import UTC, datetime, timedelta
from struct import Struct

import orjson

from eventbus.errors import InvalidEvent
from eventbus.event import Event, type_pattern

COLUMNS = (
    "event_id",
    "timestamp",
    "correlation_id",
    "causation_id",
    "type",
    "tenant_id",
    "namespace",
    "source",
    "schema_version",
    "payload",
)
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER = b"\xff\xff"

EVENT_ID = slice(6, 22)
"""Where a row holds its event id."""

LONGEST_TEXT = 1_000
"""Bytes of a type, tenant, namespace, source or version: an index of PostgreSQL takes up to 2,700 of them together."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EARLIEST, LATEST = ((edge.replace(tzinfo=UTC) - EPOCH) // MICROSECOND for edge in (datetime.min, datetime.max))

_uuid = rb".{8}-.{4}-.{4}-.{4}-.{12}"  # that these are hexadecimal digits is seen when they are turned into bytes
_text = rb'"[^"]+"'
canonical = re.compile(
    rb'\{"event_id":"(' + _uuid + rb')","event_type":(' + _text + rb'),"timestamp":"([^"]+)","correlation_id":"('
    + _uuid + rb')","causation_id":(?:null|"(' + _uuid + rb')"),("tenant_id":' + _text + rb',"namespace":' + _text
    + rb',"source":' + _text + rb',"schema_version":' + _text + rb'),"payload":(\{.*\})\}',
    re.DOTALL,
)  # fmt: skip

json_token = re.compile(rb'"(?:[^"\\]|\\.)*"|[][{},:]', re.DOTALL)
json_nul = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_root_head = Struct(">hi16siqi16si").pack
_caused_head = Struct(">hi16siqi16si16s").pack
_length = Struct(">i").pack
_jsonb_head = Struct(">ib").pack


class RowMaker:
    """Makes rows; remembers the texts that come again and again: types, tenants, sources."""

    def __init__(self) -> None:
        self._texts: dict[tuple[bytes, bytes], bytes] = {}

    def row(self, value: bytes | None) -> bytes:
        """The row of an event.

        Raises:
            InvalidEvent: it is none, or PostgreSQL could not store it.
        """
        found = canonical.fullmatch(value) if value is not None else None
        if found is not None:
            try:
                return self._canonical_row(found)
            except (ValueError, TypeError, InvalidEvent):
                pass  # unusual in one way or another: decided below
        return _any_row(value)

    def _canonical_row(self, found: re.Match[bytes]) -> bytes:
        event_id, kind, time, correlation, cause, rest, payload = found.groups()
        if b"\\" in payload and b"\\u0000" in payload:
            raise ValueError("perhaps a NUL")
        [_] = orjson.loads(b"[%b]" % payload)  # one level deeper, as it was in the value: there is a limit to depth
        instant = (datetime.fromisoformat(time.decode()) - EPOCH) // MICROSECOND
        digits = (event_id + correlation + (cause or b"")).replace(b"-", b"")
        if not digits.islower() or len(digits) != (96 if cause else 64):
            raise ValueError("upper case, or a dash too many (or no letter at all, which is a rare coincidence)")
        texts = self._texts.get((kind, rest)) or self._learn_texts(kind, rest)
        return _row(unhexlify(digits), instant, texts, payload)

    def _learn_texts(self, kind: bytes, rest: bytes) -> bytes:
        if b"\\" in kind or b"\\" in rest:
            raise ValueError("escapes")  # a quote may be one of the text
        fields = orjson.loads(b'{"event_type":%b,%b}' % (kind, rest))
        if len(self._texts) >= 10_000:
            self._texts.clear()
        self._texts[kind, rest] = texts = _checked_texts(fields)
        return texts


def _any_row(value: bytes | None) -> bytes:
    if value is None:
        raise InvalidEvent("expected a JSON object, got no value (a tombstone)")
    event = Event.from_bytes(value)
    payload = raw_payload(value)
    if json_nul.search(payload):
        raise InvalidEvent("the character U+0000 cannot be stored by PostgreSQL", field="payload")
    ids = event.event_id + event.correlation_id + (event.causation_id or "")
    texts = {
        "event_type": event.event_type,
        "tenant_id": event.tenant_id,
        "namespace": event.namespace,
        "source": event.source,
        "schema_version": event.schema_version,
    }
    instant = (event.timestamp - EPOCH) // MICROSECOND
    return _row(unhexlify(ids.replace("-", "")), instant, _encoded_texts(texts), payload)


def raw_payload(value: bytes) -> bytes:
    """The bytes of the member `payload` of a JSON object that is known to be valid; of several, the last.

    It is not decoded and encoded again, because that turns an integer of more than 64 bits into a float.
    """
    depth = start = 0
    name = payload = b""
    member = False
    for token in json_token.finditer(value):
        mark = token[0]
        if mark in b"}]" or (depth == 1 and mark == b","):
            if member and depth == 1:
                payload = value[start : token.start()].strip()
                member = False
            depth -= mark != b","
        elif mark in b"{[":
            depth += 1
        elif depth == 1 and mark == b":":
            start, member = token.end(), orjson.loads(name) == "payload"
        elif not member:
            name = mark
    return payload


def _row(ids: bytes, instant: int, texts: bytes, payload: bytes) -> bytes:
    """A row; `ids` are 16 bytes each of the event, its correlation and, unless it is a root, its cause."""
    if not EARLIEST <= instant <= LATEST:
        raise InvalidEvent("expected a time within the years 1 to 9999 UTC", field="timestamp")
    if len(ids) == 48:
        head = _caused_head(10, 16, ids[:16], 8, instant, 16, ids[16:32], 16, ids[32:])
    else:
        head = _root_head(10, 16, ids[:16], 8, instant, 16, ids[16:], -1)
    return b"".join((head, texts, _jsonb_head(len(payload) + 1, 1), payload))


def _checked_texts(fields: dict[str, str]) -> bytes:
    if not type_pattern.fullmatch(fields["event_type"]):
        raise InvalidEvent("not a type", field="event_type")
    return _encoded_texts(fields)


def _encoded_texts(fields: dict[str, str]) -> bytes:
    return b"".join(_encoded_text(name, text) for name, text in fields.items())


def _encoded_text(name: str, text: str) -> bytes:
    encoded = text.encode()
    if b"\0" in encoded:
        raise InvalidEvent("the character U+0000 cannot be stored by PostgreSQL", field=name)
    if len(encoded) > LONGEST_TEXT:
        raise InvalidEvent(f"expected at most {LONGEST_TEXT} bytes, got {len(encoded)}", field=name)
    return _length(len(encoded)) + encoded
