"""Frames of live events and their encodings, each of which is built once for all clients with the same filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import orjson

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class FilterKey(NamedTuple):
    """The fields of an event that clients can filter by."""

    event_type: str
    tenant_id: str
    correlation_id: str


class Filter(NamedTuple):
    """The values that a client filters by; None matches any value."""

    event_type: str | None = None
    tenant_id: str | None = None
    correlation_id: str | None = None

    def matches(self, key: FilterKey) -> bool:
        return all(expected is None or expected == value for expected, value in zip(self, key, strict=True))


EVERYTHING = Filter()


class Encoder(Protocol[T_co]):
    """Encodes messages for one kind of connection."""

    def frame(self, identity: str, body: bytes) -> T_co: ...
    def gap(self, identity: str, body: bytes) -> T_co: ...
    def heartbeat(self, identity: str) -> T_co | None: ...
    def end(self, body: bytes) -> T_co: ...


def filter_key_of(value: bytes | None) -> FilterKey | None:
    """The filter key of an event's JSON; None if the value is not an event."""
    try:
        fields = orjson.loads(value or b"")
        return FilterKey(fields["event_type"], fields["tenant_id"], fields["correlation_id"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


class Frame:
    """A run of consecutive events.

    Args:
        ring_id: of the ring that numbered these events.
        first: sequence number of the first event.
        values: the events as JSON, as in the log; at least one.
        keys: of the same events.
    """

    def __init__(self, ring_id: str, first: int, values: Sequence[bytes], keys: Sequence[FilterKey]) -> None:
        self.first = first
        self.last = first + len(values) - 1
        self.identity = f"{ring_id}-{self.last}"
        self.size = sum(map(len, values))
        self._values = values
        self._keys = keys
        self._messages: dict[tuple[Filter, Encoder[Any]], Any] = {}

    def __repr__(self) -> str:
        return f"<Frame {self.first}-{self.last}, {self.size} bytes>"

    def message(self, event_filter: Filter, encoder: Encoder[T], skipped: int = 0) -> T | None:
        """The encoded frame for a client; None if no event matches its filter.

        Args:
            event_filter: of the client. Clients with equal filters share one object.
            encoder: of the connection.
            skipped: number of events that the client missed before this frame.
        """
        if skipped:
            return self._encode(event_filter, encoder, skipped)
        shared = (event_filter, encoder)
        if shared not in self._messages:
            self._messages[shared] = self._encode(event_filter, encoder, 0)
        message: T | None = self._messages[shared]
        return message

    def _encode(self, event_filter: Filter, encoder: Encoder[T], skipped: int) -> T | None:
        values = self._values if event_filter == EVERYTHING else self._matching(event_filter)
        if not values:
            return None
        # In JSON, line ends occur between tokens only; in SSE, one would end the field.
        events = b",".join(values).replace(b"\n", b" ").replace(b"\r", b" ")
        head = b'{"seq_from":%d,"seq_to":%d,"skipped":%d,"events":[' % (self.first, self.last, skipped)
        return encoder.frame(self.identity, b"%b%b]}" % (head, events))

    def _matching(self, event_filter: Filter) -> Sequence[bytes]:
        return [value for value, key in zip(self._values, self._keys, strict=True) if event_filter.matches(key)]


class ServerSentEvents:
    """The encoder of `text/event-stream` (WHATWG HTML, §9.2)."""

    def frame(self, identity: str, body: bytes) -> bytes:
        return b"id: %b\nevent: events\ndata: %b\n\n" % (identity.encode(), body)

    def gap(self, identity: str, body: bytes) -> bytes:
        return b"id: %b\nevent: gap\ndata: %b\n\n" % (identity.encode(), body)

    def heartbeat(self, identity: str) -> bytes:
        # An id without data advances the client's Last-Event-ID past frames that its filter left out.
        return b": heartbeat\nid: %b\n\n" % identity.encode()

    def end(self, body: bytes) -> bytes:
        return b"event: end\ndata: %b\n\n" % body


class WebSocketText:
    """The encoding of WebSocket texts: a frame, `{"gap": …}` or `{"end": …}`. Pings serve as heartbeats."""

    def frame(self, identity: str, body: bytes) -> str:
        return body.decode()

    def gap(self, identity: str, body: bytes) -> str:
        return f'{{"gap":{body.decode()}}}'

    def heartbeat(self, identity: str) -> None:
        return None

    def end(self, body: bytes) -> str:
        return f'{{"end":{body.decode()}}}'


SSE = ServerSentEvents()
TEXT = WebSocketText()
