"""Record values are decoded into rows of a COPY, or into dead letters with a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.errors import InvalidEvent
from eventbus.event import Event
from eventbus.processors.ingest.batch import RowBatch
from eventbus.processors.ingest.decode import Decoder
from eventbus.processors.ingest.dedup import DedupCache
from eventbus.processors.ingest.rows import RowEncoder, canonical, raw_payload
from eventbus.processors.store.dead_letters import DeadLetter
from eventbus.record import TopicPartition

PARTITION = TopicPartition("omninode.agent", 0)
ID = "0199a0b0-0000-7000-8000-00000000000a"
OTHER_ID = "0199a0b0-0000-7000-8000-00000000000b"

FIELDS: dict[str, Any] = {
    "event_id": ID,
    "event_type": "omninode.agent.routing.requested.v1",
    "timestamp": "2026-01-01T00:00:00.123456Z",
    "correlation_id": ID,
    "causation_id": None,
    "tenant_id": "default-tenant",
    "namespace": "development",
    "source": "router",
    "schema_version": "1.0.0",
    "payload": {"query": "optimize database"},
}


def value(**changes: Any) -> bytes:
    return orjson.dumps({**FIELDS, **changes})


def with_payload(raw: bytes) -> bytes:
    return value()[: -len(b'{"query":"optimize database"}}')] + raw + b"}"


def decode(*values: bytes | None) -> RowBatch:
    batch = RowBatch()
    Decoder().add(batch, PARTITION, list(enumerate(values)), len(values))
    return batch


def is_event(value: bytes) -> bool:
    try:
        Event.from_bytes(value)
    except InvalidEvent:
        return False
    return True


def test_canonical_event_takes_the_fast_path() -> None:
    """The regular expression matches the output of `Event.to_bytes`, with and without a cause."""
    root = Event.new("omninode.agent.routing.requested.v1", {"a": 1})
    effect = Event.new("omninode.agent.routing.completed.v1", {}, cause=root)
    assert canonical.fullmatch(root.to_bytes())
    assert canonical.fullmatch(effect.to_bytes())


@pytest.mark.parametrize("fields", [FIELDS, {**FIELDS, "causation_id": OTHER_ID, "correlation_id": OTHER_ID}])
def test_both_paths_give_the_same_row(fields: dict[str, Any]) -> None:
    """White space and the order of fields do not change the row, except for the text of the payload."""
    fast = RowEncoder().encode(orjson.dumps(fields))
    slow = orjson.dumps(dict(sorted(fields.items(), reverse=True))).replace(b',"', b' ,\n "')
    assert not canonical.fullmatch(slow)
    assert RowEncoder().encode(slow) == fast


NOT_EVENTS = {
    "empty": b"",
    "cut off": value()[:-1],
    "list": b"[]",
    "null": b"null",
    "not UTF-8": b"\xff\xfe",
    "lone surrogate": with_payload(b'{"a":"\\ud800"}'),
    "surrogate in UTF-8": with_payload(b'{"a":"\xed\xa0\x80"}'),
    "NaN": with_payload(b'{"a":NaN}'),
    "infinite number": with_payload(b'{"a":1e400}'),
    "control character": with_payload(b'{"a":"\x01"}'),
    "trailing newline in an id": value(event_id=ID + "\n"),
    "upper-case id": value(event_id=ID.upper()),
    "id without dashes": value(event_id=ID.replace("-", "")),
    "id in braces": value(event_id="{" + ID + "}"),
    "id with white space": value(event_id=ID[:-2] + "  "),
    "no id": value(event_id=None),
    "dashes for a cause": value(causation_id="-" * 36),
    "dashes for digits": value(event_id="-" * 36, causation_id=OTHER_ID),
    "dash for a digit": value(causation_id=OTHER_ID[:-1] + "-"),
    "letter that is no digit": value(event_id=ID[:-1] + "g"),
    "other alphabet's digits": value(event_id=ID[:-2] + "é"),
    "correlation missing": orjson.dumps({k: v for k, v in FIELDS.items() if k != "correlation_id"}),
    "unknown field": value(surplus=1),
    "payload is a list": value(payload=[]),
    "payload is a text": value(payload="{}"),
    "time without zone": value(timestamp="2026-01-01T00:00:00"),
    "time is a word": value(timestamp="yesterday"),
    "time is a number": value(timestamp=1767225600),
    "year 10000": value(timestamp="10000-01-01T00:00:00Z"),
    "before the year 1": value(timestamp="0001-01-01T00:00:00+01:00"),
    "after the year 9999": value(timestamp="9999-12-31T23:59:59-01:00"),
    "type is a number": value(event_type=7),
    "type without version": value(event_type="omninode.agent.routing"),
    "type in upper case": value(event_type="Omninode.agent.v1"),
    "empty tenant": value(tenant_id=""),
    "tenant is null": value(tenant_id=None),
    "escaped quote that looks like the next field": value().replace(
        b'"tenant_id":"default-tenant","namespace":"development"', b'"tenant_id":"a\\","namespace":"development"'
    ),
    "payload twice, then more": value()[:-1] + b',"payload":1}',
    "something after the payload": value()[:-1] + b',"surplus":{}}',
    "an object without a name after the payload": value()[:-1] + b',{"surplus":1}}',
    "two values": value() + value(),
    "nested too deeply": with_payload(b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}"),
}


@pytest.mark.parametrize("poison", NOT_EVENTS.values(), ids=NOT_EVENTS.keys())
def test_poison_is_a_dead_letter(poison: bytes) -> None:
    """A value that `Event.from_bytes` refuses becomes a dead letter with its position, value and reason."""
    assert not is_event(poison)
    batch = decode(poison)
    assert batch.rows == []
    (letter,) = batch.dead_letters
    assert letter == DeadLetter(PARTITION, 0, poison, letter.error)
    assert any(word in letter.error for word in ("expected", "required", "unknown"))


BEYOND_POSTGRESQL = {
    "NUL in a text": value(source="a\0b"),
    "NUL in the payload": value(payload={"a": "x\0y"}),
    "NUL in a name of the payload": value(payload={"x\0y": 1}),
    "long text": value(tenant_id="x" * 1001),
}


@pytest.mark.parametrize("poison", BEYOND_POSTGRESQL.values(), ids=BEYOND_POSTGRESQL.keys())
def test_events_that_postgresql_cannot_store_are_dead_letters(poison: bytes) -> None:
    """Valid events with U+0000, or with texts too long for an index, do not become rows."""
    assert is_event(poison)
    assert decode(poison).rows == []


STRANGE_EVENTS = {
    "ids without letters": value(
        event_id="0" * 8 + "-0000-0000-0000-" + "1" * 12, correlation_id="1" * 8 + ID[8:-1] + "1"
    ),
    "backslash before u0000": value(payload={"a": "\\u0000"}),
    "escapes": value(payload={"a": 'quote " and \\ backslash \n'}),
    "integer of 30 digits": with_payload(b'{"n":123456789012345678901234567890}'),
    "long integer in an odd order": b'{"payload":{"n":123456789012345678901234567890},'
    + orjson.dumps({k: v for k, v in FIELDS.items() if k != "payload"})[1:],
    "payload twice": value()[:-1] + b',"payload":{"a":[1,{"payload":2}]}}',
    "escaped name of a field": value().replace(b'"payload"', b'"p\\u0061yload"'),
    "escaped text": value().replace(b'"router"', b'"\\u0072outer"'),
    "other alphabets": value(source="ルーター", payload={"naïve": "😀"}),
    "time with an offset": value(timestamp="2026-01-01T01:00:00.123456+01:00"),
    "time without a fraction": value(timestamp="2026-01-01T00:00:00Z"),
    "first instant": value(timestamp="0001-01-01T00:00:00Z"),
    "last instant": value(timestamp="9999-12-31T23:59:59.999999Z"),
    "empty payload": value(payload={}),
    "brackets in texts": value(payload={"a": "]}", "b": "{[", "c": '"}'}),
}


@pytest.mark.parametrize("strange", STRANGE_EVENTS.values(), ids=STRANGE_EVENTS.keys())
def test_every_valid_event_is_a_row(strange: bytes) -> None:
    """A value that `Event.from_bytes` accepts becomes a row with the unchanged text of the payload."""
    assert is_event(strange)
    batch = decode(strange)
    assert len(batch.rows) == 1
    assert batch.rows[0].endswith(b"\1" + raw_payload(strange))
    assert orjson.loads(raw_payload(strange)) == orjson.loads(strange)["payload"]


@pytest.mark.parametrize("spaced", [False, True])
def test_depth_has_one_limit(spaced: bool) -> None:
    """Both paths accept the same depth of nesting as `Event.from_bytes`."""
    for depth in range(1018, 1028):
        deep = with_payload(b'{"a":' + b"[" * depth + b"]" * depth + b"}")
        raw = deep.replace(b',"source', b', "source') if spaced else deep
        assert len(decode(raw).rows) == is_event(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
odd_changes = st.fixed_dictionaries(
    {},
    optional={
        "event_id": st.sampled_from([ID, OTHER_ID, ID.upper(), "", None]),
        "timestamp": st.datetimes().map(lambda t: t.isoformat() + "Z") | st.text(max_size=3),
        "causation_id": st.sampled_from([None, OTHER_ID, "x"]),
        "tenant_id": st.text(max_size=5) | st.integers(),
        "event_type": st.sampled_from(["a.b.v1", "a.v1", "A.v1", "a.b", 'a".v1', "a.v1\n"]),
        "payload": st.dictionaries(st.text(), json_values, max_size=4) | json_values,
        "surplus": json_values,
    },
)


@given(
    changes=odd_changes,
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
    cut=st.integers(min_value=0, max_value=3),
    order=st.randoms(use_true_random=False),
    shuffled=st.booleans(),
)
def test_rows_are_exactly_the_valid_events(
    *, changes: dict[str, Any], indent: int | None, ascii_only: bool, cut: int, order: Any, shuffled: bool
) -> None:
    """Decoding accepts the values that `Event.from_bytes` accepts and PostgreSQL can store, in any JSON formatting."""
    items = list({**FIELDS, **changes}.items())
    if shuffled:
        order.shuffle(items)
    separators = (",", ":") if indent is None else None
    text = json.dumps(dict(items), indent=indent, ensure_ascii=ascii_only, separators=separators)
    raw = text.encode("utf-8", "surrogatepass")
    raw = raw[: len(raw) - cut]
    storable = is_event(raw) and "\0" not in str(json.loads(raw).values())
    assert len(decode(raw).rows) == storable


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_raw_payload_is_what_a_json_parser_sees(payload: dict[str, Any]) -> None:
    """The slice is the payload, wherever it is in the value."""
    text = json.dumps({"a": {"payload": 1}, "payload": payload, "z": ["}", {"payload": [2]}]})
    assert json.loads(raw_payload(text.encode())) == payload


def test_duplicates_nearby_are_dropped_and_counted() -> None:
    """The first event of an id is kept; law: read = new + duplicates + dead."""
    batch = decode(value(), value(), b"{", value(event_id=OTHER_ID), value(source="another"))
    progress = batch.progress[PARTITION]
    assert (progress.read, progress.new, progress.duplicates, progress.dead) == (5, 2, 2, 1)
    assert len(batch.rows) == 2


def test_dedup_cache_drops_the_oldest_first() -> None:
    """The cache holds at least the last `size` ids."""
    cache = DedupCache(size=10)
    ids = [bytes([n]) for n in range(35)]
    for event_id in ids:
        assert not cache.check_and_add(event_id)
    assert all(cache.check_and_add(event_id) for event_id in ids[-10:])


def test_row_has_the_documented_binary_form() -> None:
    """Ten fields with their lengths; the timestamp in microseconds since 2000; the payload as jsonb version 1."""
    row = RowEncoder().encode(value())
    assert row[:2] == (10).to_bytes(2, "big")
    assert row[6:22].hex() == ID.replace("-", "")
    instant = datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC) - datetime(2000, 1, 1, tzinfo=UTC)
    assert int.from_bytes(row[26:34], "big") == instant.days * 86_400_000_000 + instant.microseconds
    assert row.endswith(b'\1{"query":"optimize database"}')


def test_rejected_row_becomes_a_dead_letter() -> None:
    """A rejected row is traced back to its record, among invalid records, duplicates and valid rows."""
    batch = decode(b"{", value(), value(), value(event_id=OTHER_ID))
    batch.dead_letter({1: "too odd"})
    assert batch.dead_letters[-1] == DeadLetter(PARTITION, 3, value(event_id=OTHER_ID), "too odd")
    assert [event_id.hex() for _, event_id in batch.event_ids()] == [ID.replace("-", "")]
    progress = batch.progress[PARTITION]
    assert (progress.read, progress.new, progress.duplicates, progress.dead) == (4, 1, 1, 2)


def test_reason_can_be_stored() -> None:
    """The reason of a dead letter quotes the value without U+0000, in at most 500 characters."""
    batch = decode(value(**{"\0" + "x" * 10_000: 1}))
    assert "\0" not in batch.dead_letters[0].error
    assert len(batch.dead_letters[0].error) <= 500
