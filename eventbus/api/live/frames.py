"""A frame of live events and its forms on the wire. Whatever many clients share is made once and kept here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import orjson

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Label(NamedTuple):
    """What of an event a client can filter by."""

    event_type: str
    tenant_id: str
    correlation_id: str


class Filter(NamedTuple):
    """What a client wants to see; None admits everything."""

    event_type: str | None = None
    tenant_id: str | None = None
    correlation_id: str | None = None

    def admits(self, label: Label) -> bool:
        return all(wanted is None or wanted == found for wanted, found in zip(self, label, strict=True))


EVERYTHING = Filter()


class Form(Protocol[T_co]):
    """How messages look on one kind of connection."""

    def frame(self, identity: str, body: bytes) -> T_co: ...
    def gap(self, identity: str, body: bytes) -> T_co: ...
    def heartbeat(self, identity: str) -> T_co | None: ...
    def end(self, body: bytes) -> T_co: ...


def label_of(value: bytes | None) -> Label | None:
    """The label of an event's JSON; None when the value is not an event."""
    try:
        fields = orjson.loads(value or b"")
        return Label(fields["event_type"], fields["tenant_id"], fields["correlation_id"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None


class Frame:
    """A run of consecutive events.

    Args:
        run: names the reader's life that numbered these events.
        first: sequence number of the first event.
        values: the events as JSON, as they stand in the log; at least one.
        labels: of the same events.
    """

    def __init__(self, run: str, first: int, values: Sequence[bytes], labels: Sequence[Label]) -> None:
        self.first = first
        self.last = first + len(values) - 1
        self.identity = f"{run}-{self.last}"
        self.size = sum(map(len, values))
        self._values = values
        self._labels = labels
        self._messages: dict[tuple[Filter, Form[Any]], Any] = {}

    def __repr__(self) -> str:
        return f"<Frame {self.first}-{self.last}, {self.size} bytes>"

    def message(self, wanted: Filter, form: Form[T], skipped: int = 0) -> T | None:
        """This frame for a client; None when it holds nothing for it.

        Args:
            wanted: clients with equal filters get the very same object.
            form: of the connection.
            skipped: events that this client, and perhaps no other, has missed before this frame.
        """
        if skipped:
            return self._made(wanted, form, skipped)
        key = (wanted, form)
        if key not in self._messages:
            self._messages[key] = self._made(wanted, form, 0)
        message: T | None = self._messages[key]
        return message

    def _made(self, wanted: Filter, form: Form[T], skipped: int) -> T | None:
        values = self._values if wanted == EVERYTHING else self._matching(wanted)
        if not values:
            return None
        # JSON has line ends between tokens only, and one would end an SSE field.
        events = b",".join(values).replace(b"\n", b" ").replace(b"\r", b" ")
        head = b'{"seq_from":%d,"seq_to":%d,"skipped":%d,"events":[' % (self.first, self.last, skipped)
        return form.frame(self.identity, b"%b%b]}" % (head, events))

    def _matching(self, wanted: Filter) -> Sequence[bytes]:
        return [value for value, label in zip(self._values, self._labels, strict=True) if wanted.admits(label)]


class ServerSentEvents:
    """The form of `text/event-stream` (WHATWG HTML, §9.2)."""

    def frame(self, identity: str, body: bytes) -> bytes:
        return b"id: %b\nevent: events\ndata: %b\n\n" % (identity.encode(), body)

    def gap(self, identity: str, body: bytes) -> bytes:
        return b"id: %b\nevent: gap\ndata: %b\n\n" % (identity.encode(), body)

    def heartbeat(self, identity: str) -> bytes:
        # An id without data moves the client's Last-Event-ID on, past frames that its filter left out.
        return b": heartbeat\nid: %b\n\n" % identity.encode()

    def end(self, body: bytes) -> bytes:
        return b"event: end\ndata: %b\n\n" % body


class WebSocketText:
    """JSON texts: a frame as it is, `{"gap": …}`, `{"end": …}`. Heartbeats are the protocol's own pings."""

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
