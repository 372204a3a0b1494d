"""Records: the bytes that a log stores, with topic, partition and offset. The names are Kafka's."""

from __future__ import annotations

from typing import NamedTuple

from eventbus.event import Event, Headers, headers_of, microseconds


class TopicPartition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class ProducerRecord(NamedTuple):
    """A record to be published."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int
    """Milliseconds since the Unix epoch."""
    headers: Headers | None = None
    """None stands for the headers of the event in `value`, which are computed when read."""


class ConsumerRecord(NamedTuple):
    """A record read from a log."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the Unix epoch."""
    key: bytes | None
    value: bytes | None
    given_headers: Headers | None = None
    """As produced; None stands for the headers of the event in `value` (see `headers`)."""

    @property
    def headers(self) -> Headers:
        return headers_of(self.value) if self.given_headers is None else self.given_headers

    @property
    def event(self) -> Event:
        """The event in `value`, decoded at each access.

        Raises:
            InvalidEvent: the value is not an event.
        """
        return Event.from_bytes(self.value or b"")


class RecordMetadata(NamedTuple):
    """Where a published record is in the log."""

    topic: str
    partition: int
    offset: int


def record_of(event: Event, topic: str) -> ProducerRecord:
    """The record of an event."""
    return ProducerRecord(topic, event.key, event.to_bytes(), microseconds(event.timestamp) // 1000)
