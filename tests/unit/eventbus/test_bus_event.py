"""The fields of an event, its bytes, and what is invalid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus import Event, EventBusError, InvalidEvent
from eventbus.event import FIELDS, domain_of, headers_of, microseconds, uuid7

TYPE = "omninode.agent.execution.started.v1"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

VALID: dict[str, Any] = {
    "event_id": "019b7951-0c00-7000-8000-000000000001",
    "event_type": TYPE,
    "timestamp": "2026-01-01T12:00:00.000000Z",
    "correlation_id": "019b7951-0c00-7000-8000-000000000001",
    "causation_id": None,
    "tenant_id": "default-tenant",
    "namespace": "development",
    "source": "agent-runtime",
    "schema_version": "1.0.0",
    "payload": {"a": 1},
}

instants = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
offsets = st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes)))
payloads = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), max_size=4)


@given(instants, offsets, payloads)
def test_bytes_are_the_documented_form_in_any_zone(when: datetime, zone: timezone, payload: dict[str, Any]) -> None:
    """For any time and zone, the bytes have the fields in order, and the time in UTC with six decimals and Z."""
    event = Event.from_dict(VALID).evolve(timestamp=when.astimezone(zone), payload=payload)
    fields = orjson.loads(event.to_bytes())
    assert tuple(fields) == FIELDS
    assert fields["timestamp"] == when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond:06d}Z"
    assert event.to_bytes() == orjson.dumps(event.to_dict())
    assert Event.from_bytes(event.to_bytes()) == event


def test_the_valid_example_comes_back_unchanged() -> None:
    """Decoding and encoding gives the same bytes."""
    value = orjson.dumps(VALID)
    assert Event.from_bytes(value).to_bytes() == value
    assert Event.from_bytes(memoryview(value)) == Event.from_bytes(value.decode())


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(field: str) -> None:
    """Every field is required."""
    with pytest.raises(InvalidEvent, match=f"^{field}: required") as caught:
        Event.from_dict({name: value for name, value in VALID.items() if name != field})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("event_id", "019B7951-0C00-7000-8000-000000000001"),
        ("event_id", 7),
        ("correlation_id", "019b7951"),
        ("causation_id", ""),
        ("event_type", "omninode.agent"),
        ("event_type", "Omninode.agent.x.v1"),
        ("event_type", "omninode.agent.x.v0"),
        ("timestamp", "2026-01-01T12:00:00"),
        ("timestamp", "yesterday"),
        ("timestamp", 1767268800),
        ("tenant_id", ""),
        ("namespace", None),
        ("source", 1),
        ("schema_version", ""),
        ("payload", []),
        ("extra", 1),
    ],
)
def test_an_invalid_field_is_named_with_its_value(field: str, value: Any) -> None:
    """The error names the field and shows the value, or the known fields."""
    with pytest.raises(InvalidEvent, match=f"^{field}: ") as caught:
        Event.from_dict(VALID | {field: value})
    assert caught.value.field == field
    assert repr(value) in str(caught.value) or "unknown field" in str(caught.value)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b"7", b"\xff", b'"text"'])
def test_other_json_than_an_object_is_refused(value: bytes) -> None:
    """Bytes that are not a JSON object raise InvalidEvent without a field, and no other exception."""
    with pytest.raises(InvalidEvent, match="expected a JSON object") as caught:
        Event.from_bytes(value)
    assert caught.value.field is None
    assert isinstance(caught.value, EventBusError)


def test_a_root_is_its_own_correlation() -> None:
    """An event without a cause starts a chain whose id is its own."""
    root = Event.new(TYPE, {})
    assert root.correlation_id == root.event_id
    assert root.causation_id is None
    assert root.timestamp.tzinfo is UTC


def test_an_effect_belongs_to_its_cause() -> None:
    """An effect has the chain, tenant and namespace of its cause, and its id as causation id."""
    root = Event.new(TYPE, {}, tenant_id="acme", namespace="live")
    effect = Event.new(TYPE, {}, cause=root)
    assert (effect.correlation_id, effect.causation_id) == (root.event_id, root.event_id)
    assert (effect.tenant_id, effect.namespace) == ("acme", "live")
    assert Event.new(TYPE, {}, cause=effect).correlation_id == root.event_id


def test_new_validates_its_fields() -> None:
    """`Event.new` validates as `from_dict` does."""
    with pytest.raises(InvalidEvent, match="event_type"):
        Event.new("nonsense", {})


def test_a_time_without_zone_is_refused() -> None:
    """A time without a zone is ambiguous and refused."""
    with pytest.raises(InvalidEvent, match="timestamp: expected ISO 8601 with a zone"):
        Event.new(TYPE, {}, timestamp=datetime(2026, 1, 1))


@pytest.mark.parametrize("when", [NOON, NOON + timedelta(microseconds=1)])
@pytest.mark.parametrize("value", [2**70, {1, 2}, object(), {1: 2}])
def test_a_payload_beyond_json_is_refused(value: object, when: datetime) -> None:
    """A value that JSON cannot represent is reported as an error of the payload."""
    with pytest.raises(InvalidEvent, match=r"^payload: expected values that JSON can represent"):
        Event.new(TYPE, {"value": value}, timestamp=when).to_bytes()


def test_headers_are_those_of_the_envelope() -> None:
    """Headers repeat what routers need; the trace id is the correlation id without dashes; a root has no cause."""
    root = Event.from_dict(VALID)
    effect = root.evolve(event_id="019b7951-0c00-7000-8123-456789abcdef", causation_id=root.event_id)
    names = ["content-type", "event_type", "correlation_id", "causation_id", "traceparent"]
    assert [name for name, _ in effect.headers] == names
    assert dict(effect.headers)["traceparent"] == b"00-019b79510c0070008000000000000001-8123456789abcdef-01"
    assert "causation_id" not in dict(root.headers)
    assert headers_of(effect.to_bytes()) == effect.headers


@pytest.mark.parametrize("value", [None, b"", b"{", b"[1]", b"{}", b'{"event_id": 1}', b'"x"'])
def test_other_values_have_no_headers(value: bytes | None) -> None:
    """A value that is not an event has no headers, and raises no error."""
    assert headers_of(value) == ()


@given(st.integers(0, 2**47 * 1000), st.integers(0, 2**62 - 1))
def test_uuid7_keeps_time_and_bits(time_us: int, bits: int) -> None:
    """Version 7, variant 10, milliseconds first, then their fraction, then the given bits (RFC 9562)."""
    text = uuid7(time_us, bits)
    number = int(text.replace("-", ""), 16)
    assert [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]
    assert number >> 80 == time_us // 1000
    assert (number >> 76) & 0xF == 7
    assert (number >> 62) & 0b11 == 0b10
    assert number & (2**62 - 1) == bits


@given(st.lists(st.integers(0, 2**45), min_size=2))
def test_uuid7_sorts_by_time(times: list[int]) -> None:
    """Ids of later microseconds do not sort before those of earlier ones."""
    times.sort()
    ids = [uuid7(time_us, 0) for time_us in times]
    assert ids == sorted(ids)


@given(instants)
def test_microseconds_are_exact(when: datetime) -> None:
    """The conversion is exact, so that the time can be restored."""
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds(when)) == when


def test_the_domain_is_the_first_two_words() -> None:
    """The domain is the first two words of the type."""
    assert domain_of("omninode.agent.execution.started.v1") == "omninode.agent"
