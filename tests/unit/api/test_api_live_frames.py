"""A frame is encoded once for all clients with the same filter."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.api.live.frames import SSE, TEXT, Filter, FilterKey, Frame, filter_key_of
from eventbus.event import Event

payloads = st.dictionaries(st.text(), st.one_of(st.text(), st.integers(-(2**53), 2**53), st.none()), max_size=4)


def event(tenant: str = "t", payload: dict[str, Any] | None = None) -> Event:
    return Event.new("omninode.agent.execution.started.v1", payload or {}, tenant_id=tenant)


def frame_of(*events: Event, first: int = 1) -> Frame:
    values = [event.to_bytes() for event in events]
    labels = [FilterKey(event.event_type, event.tenant_id, event.correlation_id) for event in events]
    return Frame("run", first, values, labels)


def data_of(message: bytes | None) -> dict[str, Any]:
    assert message is not None
    (line,) = [line for line in message.split(b"\n") if line.startswith(b"data: ")]
    frame: dict[str, Any] = orjson.loads(line.removeprefix(b"data: "))
    return frame


@given(st.lists(payloads, min_size=1, max_size=5), st.integers(1, 10**12), st.integers(0, 10**9))
def test_a_frame_is_its_events_and_their_numbers(contents: list[dict[str, Any]], first: int, skipped: int) -> None:
    """Decoding either encoding gives the events, their range, and the number skipped."""
    events = [event(payload=content) for content in contents]
    frame = frame_of(*events, first=first)
    expected = {
        "seq_from": first,
        "seq_to": first + len(events) - 1,
        "skipped": skipped,
        "events": [event.to_dict() for event in events],
    }
    text = frame.message(Filter(), TEXT, skipped)
    assert text is not None
    assert orjson.loads(text) == expected
    assert data_of(frame.message(Filter(), SSE, skipped)) == expected


def test_clients_with_equal_filters_share_a_message() -> None:
    """Repeated requests return the same object, with or without a filter."""
    frame = frame_of(event("a"), event("b"))
    for wanted in (Filter(), Filter(tenant_id="a")):
        assert frame.message(wanted, SSE) is frame.message(Filter(*wanted), SSE)
        assert frame.message(wanted, TEXT) is frame.message(Filter(*wanted), TEXT)


def test_a_filter_picks_events_and_leaves_the_numbers() -> None:
    """The range covers all events of the frame, the list only those that match."""
    a, b = event("a"), event("b")
    frame = data_of(frame_of(a, b, first=7).message(Filter(tenant_id="b"), SSE))
    assert frame == {"seq_from": 7, "seq_to": 8, "skipped": 0, "events": [b.to_dict()]}


@pytest.mark.parametrize("skipped", [0, 3])
def test_a_frame_without_matches_is_no_message(skipped: int) -> None:
    """A client whose filter matches nothing gets no message."""
    assert frame_of(event()).message(Filter(event_type="omninode.other.v1"), SSE, skipped) is None


def test_line_ends_between_tokens_do_not_break_an_sse_field() -> None:
    """JSON of several lines is sent in one line."""
    made = event(payload={"text": "one\ntwo"})
    value = orjson.dumps(made.to_dict(), option=orjson.OPT_INDENT_2).replace(b"\n", b"\r\n")
    label = filter_key_of(value)
    assert label is not None
    message = Frame("run", 1, [value], [label]).message(Filter(), SSE)
    assert data_of(message)["events"] == [made.to_dict()]
    assert message is not None
    assert b"\r" not in message


@pytest.mark.parametrize("value", [None, b"", b"nope", b"[]", b'"x"', b"1", b'{"event_type":"x"}', b'{"a":1},{"a":2}'])
def test_a_value_that_is_not_an_event_has_no_filter_key(value: bytes | None) -> None:
    """A value that is not a JSON object with the fields of an event has no filter key."""
    assert filter_key_of(value) is None


def test_the_repr_tells_the_range() -> None:
    """`repr` shows range and size."""
    made = event()
    assert repr(frame_of(made, first=3)) == f"<Frame 3-3, {len(made.to_bytes())} bytes>"
