"""Records and their events."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from eventbus import ConsumerRecord, Event, InvalidEvent
from eventbus.record import record_of

WHEN = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
EVENT = Event.new("omninode.agent.execution.started.v1", {}, timestamp=WHEN)


def test_the_record_of_an_event() -> None:
    """The key is the correlation id, the timestamp is truncated to milliseconds, the headers are not computed."""
    record = record_of(EVENT, "omninode.agent")
    assert record.topic == "omninode.agent"
    assert record.key == EVENT.correlation_id.encode()
    assert record.value == EVENT.to_bytes()
    assert record.timestamp == 1767268800999
    assert record.headers is None


def test_a_consumer_record_has_event_and_headers() -> None:
    """Headers and event are computed from the value; headers given are kept, even an empty list."""
    record = ConsumerRecord("t", 0, 0, 0, EVENT.key, EVENT.to_bytes())
    assert record.event == EVENT
    assert record.headers == EVENT.headers
    assert record._replace(given_headers=()).headers == ()


def test_a_tombstone_is_no_event() -> None:
    """A record without a value raises InvalidEvent."""
    with pytest.raises(InvalidEvent):
        _ = ConsumerRecord("t", 0, 0, 0, None, None).event
