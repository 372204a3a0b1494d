"""Encodes the JSON of an event as a row of PostgreSQL's binary COPY format.

There are two paths to the same row. The fast path splits a value as `Event.to_bytes` writes it (fields in order, no
white space, no escapes before the payload) with one regular expression. All other values take the slow path, through
`Event.from_bytes`, which defines what an event is; the fast path accepts no value that it refuses (tested by
tests/unit/processors/test_decode.py). On both, the bytes of the payload are kept, so that numbers lose no digits.

Format: PostgreSQL documentation, COPY, "Binary Format". Timestamps are microseconds since 2000-01-01 UTC; `jsonb` is a
version byte followed by text.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import TYPE_CHECKING, Any

import orjson

from eventbus.errors import InvalidEvent
from eventbus.event import Event, type_pattern

if TYPE_CHECKING:
    from eventbus.processors.store.connect import Connection

COLUMNS = (  # of the table `events`
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
"""The bytes of a row that hold the event id."""

MAX_TEXT = 1_000
"""Bytes of a type, tenant, namespace, source or version; an index entry of PostgreSQL is limited to about 2,700."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EARLIEST, LATEST = ((edge.replace(tzinfo=UTC) - EPOCH) // MICROSECOND for edge in (datetime.min, datetime.max))

_uuid = rb".{8}-.{4}-.{4}-.{4}-.{12}"  # unhexlify checks the digits
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


class RowEncoder:
    """Encodes events as rows; caches the encoded texts (type, tenant, namespace, source, version)."""

    def __init__(self) -> None:
        self._texts: dict[tuple[bytes, bytes], bytes] = {}

    def encode(self, value: bytes | None) -> bytes:
        """The row of an event.

        Raises:
            InvalidEvent: the value is not an event, or PostgreSQL cannot store it.
        """
        match = canonical.fullmatch(value) if value is not None else None
        if match is not None:
            try:
                return self._encode_canonical(match)
            except (ValueError, TypeError, InvalidEvent):
                pass  # left to the slow path
        return _encode_any(value)

    def _encode_canonical(self, match: re.Match[bytes]) -> bytes:
        event_id, event_type, time, correlation, cause, texts_json, payload = match.groups()
        if b"\\" in payload and b"\\u0000" in payload:
            raise ValueError("the payload may hold U+0000")
        [_] = orjson.loads(b"[%b]" % payload)  # nested as deeply as in the value: orjson limits the depth
        instant = (datetime.fromisoformat(time.decode()) - EPOCH) // MICROSECOND
        digits = (event_id + correlation + (cause or b"")).replace(b"-", b"")
        if not digits.islower() or len(digits) != (96 if cause else 64):
            raise ValueError("upper case letters, misplaced dashes, or (rarely) no letters in the ids")
        texts = self._texts.get((event_type, texts_json)) or self._cache_texts(event_type, texts_json)
        return _row(unhexlify(digits), instant, texts, payload)

    def _cache_texts(self, event_type: bytes, texts_json: bytes) -> bytes:
        if b"\\" in event_type or b"\\" in texts_json:
            raise ValueError("escapes")  # the regular expression may have ended a text at an escaped quote
        fields = orjson.loads(b'{"event_type":%b,%b}' % (event_type, texts_json))
        if len(self._texts) >= 10_000:
            self._texts.clear()
        self._texts[event_type, texts_json] = texts = _checked_texts(fields)
        return texts


def _encode_any(value: bytes | None) -> bytes:
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
    """The bytes of the member `payload` of a valid JSON object; of several, the last.

    Decoding and encoding it instead would turn integers of more than 64 bits into floats.
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
    """A row; `ids` has 16 bytes for each of event, correlation and, unless the event is a root, causation id."""
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
    if len(encoded) > MAX_TEXT:
        raise InvalidEvent(f"expected at most {MAX_TEXT} bytes, got {len(encoded)}", field=name)
    return _length(len(encoded)) + encoded


async def copy_rows(connection: Connection, rows: list[bytes], table: str, *, schema: str) -> None:
    """COPY rows into a table with the columns `COLUMNS`."""
    # a memoryview, because asyncpg takes bytes for a file name, and hangs on an iterable if the connection dies
    source: Any = memoryview(b"".join((COPY_HEADER, *rows, COPY_TRAILER)))
    await connection.copy_to_table(table, schema_name=schema, source=source, columns=COLUMNS, format="binary")
