"""OpenPanel's track API: events of simulated visitors, in the form that it really stores.

Source: Openpanel-dev/openpanel, `packages/validation/src/track.validation.ts` and `apps/api/src`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import orjson

from eventbus.catalog.model import short_name
from eventbus.chains.errors import SinkUnusable
from eventbus.event import Event, format_timestamp
from eventbus.record import ProducerRecord

# How servers want events, and how they say what became of them.


UNAUTHORIZED = 401
SHOWN = 200
"""Characters of an answer that are worth repeating."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What is sent for some records."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What came back; without an answer, `problem` says why."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        text = " ".join(self.body[: 4 * SHOWN].decode(errors="replace").split())[:SHOWN]
        return self.problem or f"{self.status} {text}".rstrip()


class Rejection(NamedTuple):
    """A record that the server did not take, and why."""

    record: ProducerRecord
    reason: str


class Dialect(Protocol):
    """One server's way of speaking."""

    @property
    def batch(self) -> int:
        """Records in a request at most."""
        ...

    def lane(self, record: ProducerRecord) -> bytes:
        """Records with the same are sent one after the other."""
        ...

    def fits(self, record: ProducerRecord) -> bool | str:
        """Whether the server has a form for a record; a text says what is wrong with it."""
        ...

    def request(self, records: Sequence[ProducerRecord]) -> HttpRequest: ...

    def refused(self, answer: HttpResponse, records: Sequence[ProducerRecord], attempt: int) -> list[Rejection]:
        """Which records a server did not take that answered with success."""
        ...

    def locks_out(self, answer: HttpResponse) -> bool:
        """Whether the server would refuse everything else as well."""
        ...


Body = Callable[[ProducerRecord], bytes]


class JsonDialect:
    """JSON: the event or what `body` makes of it, one in a request or several as a list.

    Args:
        body: the JSON of one record. None: its value.
        batch: 1: an object; more: always a list.
        headers: sent with every request.
        cloudevents: the records are CloudEvents in their JSON form, and the content type says so.
    """

    def __init__(
        self,
        body: Body | None = None,
        *,
        batch: int = 1,
        headers: Mapping[str, str] | None = None,
        cloudevents: bool = False,
    ) -> None:
        self.batch = batch
        self._body = body or _value
        kind = ("cloudevents-batch+json" if batch > 1 else "cloudevents+json") if cloudevents else "json"
        self._headers = {"content-type": f"application/{kind}", **(headers or {})}

    def lane(self, record: ProducerRecord) -> bytes:
        return record.key or b""

    def fits(self, record: ProducerRecord) -> bool | str:
        """Alone, a record may be anything; in a list it must be JSON, or it would spoil the others.

        Raises:
            InvalidEvent: the body needs an event.
        """
        item = self._body(record)
        if self.batch > 1:
            try:
                orjson.loads(item)
            except orjson.JSONDecodeError as error:
                return f"not JSON: {error}"
        return True

    def request(self, records: Sequence[ProducerRecord]) -> HttpRequest:
        bodies = list(map(self._body, records))
        return HttpRequest(b"[" + b",".join(bodies) + b"]" if self.batch > 1 else bodies[0], self._headers)

    def refused(self, answer: HttpResponse, records: Sequence[ProducerRecord], attempt: int) -> list[Rejection]:
        """Reads a verdict per item, where the answer has a list of them: `{"results": [{"verdict": …}, …]}`."""
        if b'"results"' not in answer.body:
            return []
        try:
            results = orjson.loads(answer.body)["results"]
            verdicts = [(result["verdict"], result) for result in results]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return []
        if len(verdicts) != len(records):
            return []
        return [
            Rejection(record, orjson.dumps(result).decode()[:SHOWN])
            for record, (verdict, result) in zip(records, verdicts, strict=True)
            if verdict in ("invalid", "dropped")
        ]

    def locks_out(self, answer: HttpResponse) -> bool:
        return answer.status == UNAUTHORIZED


def _value(record: ProducerRecord) -> bytes:
    return record.value or b"null"


# The short body of web analytics, made from an event.


OWN_FIELDS = ("site_id", "path", "user_id", "session_id")


def analytics_body(record: ProducerRecord) -> bytes:
    """`{"site_id", "event_type", "path", "user_id", "timestamp", "session_id", "properties"}`.

    What the payload does not say comes from the envelope: the site is the tenant, and a session is a chain.

    Raises:
        InvalidEvent: the record is no event.
    """
    event = Event.from_bytes(record.value or b"")
    payload = event.payload
    fields = event.to_dict()
    return orjson.dumps(
        {
            "site_id": payload.get("site_id", event.tenant_id),
            "event_type": short_name(event.event_type),
            "path": payload.get("path"),
            "user_id": payload.get("user_id"),
            "timestamp": fields["timestamp"],
            "session_id": payload.get("session_id", event.correlation_id),
            "properties": {name: value for name, value in payload.items() if name not in OWN_FIELDS},
        }
    )


SESSIONS = frozenset({"session_created", "session_ended", "session_start", "session_end"})
"""Not sent: the last two are reserved, and OpenPanel finds out by itself where sessions begin and end."""

SCREEN_VIEW = "screen_view"
LONGEST_NAME, LONGEST_DEVICE_ID = 80, 64
ACCEPTED = 202

CLIENT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

VISITOR = ("device_id", "visitor_id", "user_id", "session_id")
"""Where a payload says who visits: the first of these that is there."""

ENVELOPED = frozenset({"path", "url", "title", "referrer", "user_id", "device_id", "user_agent", "ip"})
"""Fields of a payload that have a place of their own."""

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
AGENTS = {
    "firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 "
    "Safari/605.1.15",
    "edge": f"{BROWSER} Edg/142.0.0.0",
}


class OpenPanelDialect:
    """One event in a request; what belongs to one visitor is sent in order.

    Args:
        client_id: of a client that may write, a UUID of version 4.
        client_secret: without it OpenPanel takes a program for a bot, answers 202 and stores nothing.
        site: put before paths, so that a page has an address.

    Raises:
        SinkUnusable: the client id is not one, or there is no secret.
    """

    batch = 1

    def __init__(self, client_id: str, client_secret: str, *, site: str = "https://demo.example") -> None:
        if not CLIENT_ID.fullmatch(client_id):
            raise SinkUnusable(f"expected OpenPanel's client id, a lower-case UUID of version 4, got {client_id!r}")
        if not client_secret:
            raise SinkUnusable("expected OpenPanel's client secret: without it events are taken for a bot's")
        self._site = site.rstrip("/")
        self._headers = {
            "content-type": "application/json",
            "openpanel-client-id": client_id,
            "openpanel-client-secret": client_secret,
            "openpanel-sdk-name": "event-bus-mock",
            "openpanel-sdk-version": "0.1.0",
        }

    def lane(self, record: ProducerRecord) -> bytes:
        return device_id(_event(record)).encode()

    def fits(self, record: ProducerRecord) -> bool | str:
        """Sessions have no form of their own.

        Raises:
            InvalidEvent: the record is no event.
        """
        name = short_name(_event(record).event_type)
        if len(name) > LONGEST_NAME:
            return f"expected a name of at most {LONGEST_NAME} characters, got {name!r}"
        return name not in SESSIONS

    def request(self, records: Sequence[ProducerRecord]) -> HttpRequest:
        [record] = records
        event = _event(record)
        headers = {**self._headers, "user-agent": user_agent(event.payload)}
        if address := public_address(event.payload.get("ip")):
            headers["x-client-ip"] = address
        return HttpRequest(orjson.dumps({"type": "track", "payload": self._payload(event)}), headers)

    def refused(self, answer: HttpResponse, records: Sequence[ProducerRecord], attempt: int) -> list[Rejection]:
        """Two successes are none: an event taken for a bot's, and a duplicate (of a first attempt; a later one meets
        its own predecessor)."""
        bot = answer.status == ACCEPTED and b'"bot"' in answer.body
        duplicate = answer.body.startswith(b"Duplicate event") and attempt == 1
        return [Rejection(record, f"not stored: {answer}") for record in records] if bot or duplicate else []

    def locks_out(self, answer: HttpResponse) -> bool:
        """A 401 may also be about one profile or address."""
        text = answer.body.lower()
        return answer.status == UNAUTHORIZED and (b"client id" in text or b"cors or secret" in text)

    def _payload(self, event: Event) -> dict[str, Any]:
        """Fields that have no value are left out: `null` is refused."""
        name = short_name(event.event_type)
        payload: dict[str, Any] = {
            "name": SCREEN_VIEW if name == "page_visited" else name,
            "properties": self._properties(event),
        }
        profile = event.payload.get("user_id")
        if isinstance(profile, str | int) and profile not in ("", True, False):
            payload["profileId"] = profile
        return payload

    def _properties(self, event: Event) -> dict[str, Any]:
        given = event.payload
        reserved = {
            "__path": given.get("url") or (f"{self._site}{given['path']}" if given.get("path") else None),
            "__title": given.get("title"),
            "__referrer": given.get("referrer"),
            "__timestamp": format_timestamp(event.timestamp)[:23] + "Z",
            "__deviceId": device_id(event),
        }
        own = {name: value for name, value in given.items() if name not in ENVELOPED and not name.startswith("__")}
        properties = {**own, "event_id": event.event_id, "correlation_id": event.correlation_id, **reserved}
        return {name: value for name, value in properties.items() if value is not None}


def track_url(api_url: str) -> str:
    """Where events go: `{api_url}/track`."""
    return api_url.rstrip("/").removesuffix("/track") + "/track"


def device_id(event: Event) -> str:
    """Tells visitors apart; without one, all behind one address and browser would be one visitor."""
    found = next((value for name in VISITOR if (value := event.payload.get(name))), event.correlation_id)
    text = str(found)
    return text if len(text) <= LONGEST_DEVICE_ID else hashlib.sha256(text.encode()).hexdigest()


def user_agent(payload: dict[str, Any]) -> str:
    """The simulated visitor's browser: never a program's, which would count as a bot or a server."""
    given = payload.get("user_agent")
    if isinstance(given, str) and given.isascii() and given.isprintable() and given:
        return given
    return AGENTS.get(str(payload.get("browser", "")).lower(), BROWSER)


def public_address(text: Any) -> str | None:
    """An address that has a place on the map; OpenPanel ignores private ones."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(address) if isinstance(text, str) and address.is_global else None


def _event(record: ProducerRecord) -> Event:
    return Event.from_bytes(record.value or b"")
