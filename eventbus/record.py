"""What a log stores. An `Event` is meaning; a record is bytes with a place. Names are Kafka's."""

from __future__ import annotations

from typing import NamedTuple

from eventbus.event import Event, Headers, headers_of, microseconds


class TopicPartition(NamedTuple):
    """One log."""

    topic: str
    partition: int


class ProducerRecord(NamedTuple):
    """A record on its way into a topic."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    """Milliseconds since the Unix epoch."""
    headers: Headers | None = None
    """None: those that belong to the event in `value`, worked out only when somebody looks."""


class ConsumerRecord(NamedTuple):
    """A record as a consumer sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the Unix epoch."""
    key: bytes | None
    value: bytes | None
    given_headers: Headers | None = None
    """As produced; None stands for those of the event in `value` (see `headers`)."""

    @property
    def headers(self) -> Headers:
        return headers_of(self.value) if self.given_headers is None else self.given_headers

    @property
    def event(self) -> Event:
        """The event in `value`, decoded on each call.

        Raises:
            InvalidEvent: the value is not an event.
        """
        return Event.from_bytes(self.value or b"")


class RecordMetadata(NamedTuple):
    """Where a published record went."""

    topic: str
    partition: int
    offset: int


def record_of(event: Event, topic: str) -> ProducerRecord:
    """The record that carries an event."""
    return ProducerRecord(topic, event.key, event.to_bytes(), microseconds(event.timestamp) // 1000)
