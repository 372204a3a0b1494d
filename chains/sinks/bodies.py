"""What HTTP servers receive: JSON, the short body of web analytics, and OpenPanel's track API.

Source of the last: Openpanel-dev/openpanel, `packages/validation/src/track.validation.ts` and `apps/api/src`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, NamedTuple, Protocol

import orjson

from eventbus.catalog.model import short_name
from eventbus.catalog.model.visitors import VISITOR_PREFIX
from eventbus.chains.errors import SinkUnusable
from eventbus.event import Event, format_timestamp
from eventbus.record import ProducerRecord
from eventbus.version import package_version

UNAUTHORIZED = 401
MAX_SHOWN = 200
"""Characters of a response that messages quote."""
MAX_QUOTED = 8192
"""Bytes of a response in which they are looked for."""
REDACTED = "…"
"""In place of what is secret."""
UNKNOWN = "unknown whether the server took this"
"""Begins the reason of a record whose arrival a response leaves open."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Body and headers of a request."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


NetworkFailure = Literal["no connection", "no response", "connection lost"]
"""Only at the first is it certain that the server has not seen the request."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response; if there was none, the status is 0, and `failure` and `problem` say why."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: NetworkFailure | None = None
    problem: str | None = None
    """The failure in detail."""
    incomplete: str | None = None
    """Why the rest of the body is missing; None: it is whole."""
    secrets: Collection[str] = ()
    """Texts that messages do not quote."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def kind(self) -> str:
        """The status with its name, or the failure: what statistics count by."""
        if self.failure:
            return self.failure
        with suppress(ValueError):
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        return str(self.status)

    def __str__(self) -> str:
        text = self.body[:MAX_QUOTED].decode(errors="replace")
        for secret in self.secrets:
            text = text.replace(secret, REDACTED)
        return _one_line(self.problem) if self.problem else f"{self.status} {_one_line(text)[:MAX_SHOWN]}".rstrip()


def _one_line(text: str) -> str:
    """A text with single spaces, and `�` in place of characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))


PUBLIC_HEADERS = frozenset({"content-type", "user-agent", "openpanel-sdk-name", "openpanel-sdk-version", "x-client-ip"})
MIN_SECRET = 6
"""Characters of a secret; less would be found in texts by chance."""


def secrets_of(headers: Mapping[str, str]) -> list[str]:
    """What the headers of a request may keep secret, such as API keys; the longest first."""
    values = [value for name, value in headers.items() if name.lower() not in PUBLIC_HEADERS]
    words = {word for value in values for word in (value, *value.split()) if len(word) >= MIN_SECRET}
    return sorted(words, key=len, reverse=True)


class Rejection(NamedTuple):
    """A record that a server did not take, and why."""

    record: ProducerRecord
    kind: str
    """A kind of reason, which statistics count by."""
    reason: str


class Unsendable(NamedTuple):
    """Why a record is not sent."""

    kind: str
    """Statistics count by it."""
    problem: str | None = None
    """What is wrong with the record; None: nothing, but the server is not to have records of this kind."""


class Dialect(Protocol):
    """What a kind of server expects in requests, and how to read its responses."""

    @property
    def batch(self) -> int:
        """Maximum number of records in a request."""
        ...

    def partition_key(self, record: ProducerRecord) -> bytes:
        """Records with the same key are sent in order."""
        ...

    def unsendable(self, record: ProducerRecord) -> Unsendable | None:
        """Why the server does not get such a record; None: it does."""
        ...

    def request(self, records: Sequence[ProducerRecord]) -> HttpRequest: ...

    def rejections(self, response: HttpResponse, records: Sequence[ProducerRecord], attempt: int) -> list[Rejection]:
        """The records that a successful response says were not taken, or says nothing readable about."""
        ...

    def is_auth_failure(self, response: HttpResponse) -> bool:
        """Whether the server refuses the credentials, and so everything else as well."""
        ...


Body = Callable[[ProducerRecord], bytes]


TakesType = Callable[[str], bool]
"""Whether a server is to have events of a type."""

BACK_END = Unsendable("back-end events")


def is_visitor_event(event_type: str) -> bool:
    """Whether an event is a visitor's own, and not one of the back end that a click has caused."""
    return event_type.startswith(VISITOR_PREFIX)


def all_types(event_type: str) -> bool:
    return True


class JsonDialect:
    """JSON: the event, or what `body` makes of it; one in a request, or several as a list.

    Args:
        body: the JSON of one record. None: its value.
        takes: the event types to send; with it, every record must be an event. None: all records.
        batch: maximum number in a request. 1: an object; more: always a list.
        headers: sent with every request.
        cloudevents: whether the records are structured CloudEvents, which have a content type of their own.
    """

    def __init__(
        self,
        body: Body | None = None,
        *,
        takes: TakesType | None = None,
        batch: int = 1,
        headers: Mapping[str, str] | None = None,
        cloudevents: bool = False,
    ) -> None:
        self.batch = batch
        self._takes = takes
        self._body = body or _value
        kind = ("cloudevents-batch+json" if batch > 1 else "cloudevents+json") if cloudevents else "json"
        self._headers = {"content-type": f"application/{kind}", **(headers or {})}

    def partition_key(self, record: ProducerRecord) -> bytes:
        return record.key or b""

    def unsendable(self, record: ProducerRecord) -> Unsendable | None:
        """A single record may be anything; in a list it must be JSON, or the whole list would be invalid.

        Raises:
            InvalidEvent: the body needs an event.
        """
        if self._takes and not self._takes(_event(record).event_type):
            return BACK_END
        item = self._body(record)
        if self.batch > 1:
            try:
                orjson.loads(item)
            except orjson.JSONDecodeError as error:
                return Unsendable("not JSON", f"not JSON: {error}")
        return None

    def request(self, records: Sequence[ProducerRecord]) -> HttpRequest:
        bodies = list(map(self._body, records))
        return HttpRequest(b"[" + b",".join(bodies) + b"]" if self.batch > 1 else bodies[0], self._headers)

    def rejections(self, response: HttpResponse, records: Sequence[ProducerRecord], attempt: int) -> list[Rejection]:
        """Reads the verdict on each item, if the response has them: `{"results": [{"verdict": …}, …]}`.

        Where the verdicts cannot be read, what became of the records is unknown.
        """
        try:
            verdicts = _verdicts(response, len(records))
        except ValueError as error:
            return unknown(records, str(error))
        return [
            Rejection(record, f"verdict {verdict['verdict']}", _excerpt(verdict))
            for record, verdict in zip(records, verdicts, strict=False)
            if verdict["verdict"] in REFUSING_VERDICTS
        ]

    def is_auth_failure(self, response: HttpResponse) -> bool:
        return response.status == UNAUTHORIZED


def _value(record: ProducerRecord) -> bytes:
    return record.value or b"null"


REFUSING_VERDICTS = frozenset({"invalid", "dropped"})
VERDICTS = REFUSING_VERDICTS | {"accepted"}
"""What a server may say of an item."""


def unknown(records: Sequence[ProducerRecord], problem: str) -> list[Rejection]:
    """Records that the server may have taken, but its response does not tell."""
    return [Rejection(record, UNKNOWN, f"{UNKNOWN}: {problem}") for record in records]


def _verdicts(response: HttpResponse, items: int) -> list[dict[str, Any]]:
    """The verdicts of a response; none if it is not about single items.

    Raises:
        ValueError: there are verdicts, or may be, that cannot be read, or that do not belong to this many items.
    """
    text = response.body.lstrip()
    if response.incomplete:
        if text and not text.startswith(b"{"):  # no JSON object: whatever is missing, it has no verdicts
            return []
        raise ValueError(f"the response is cut off: {response.incomplete}")
    if b'"results"' not in text:
        return []
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the response has results that are not JSON: {error}") from error
    if not isinstance(document, dict) or "results" not in document:
        return []
    results = document["results"]
    if not isinstance(results, list):
        raise ValueError(f"expected a list of results, got {_excerpt(results)}")
    if len(results) != items:
        raise ValueError(f"expected a result for each of {items:,} events, got {len(results):,}")
    for result in results:
        if not isinstance(result, dict) or str(result.get("verdict")) not in VERDICTS:
            raise ValueError(f"expected a verdict ({', '.join(sorted(VERDICTS))}), got {_excerpt(result)}")
    return results


def _excerpt(value: Any) -> str:
    return orjson.dumps(value).decode()[:MAX_SHOWN]


OWN_FIELDS = ("site_id", "path", "user_id", "session_id")


def analytics_body(record: ProducerRecord) -> bytes:
    """`{"site_id", "event_type", "path", "user_id", "timestamp", "session_id", "properties"}`.

    What the payload does not have comes from the envelope: the site is the tenant, and a session is a chain.

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
"""Not sent: the last two names are reserved, and OpenPanel derives sessions itself."""

SCREEN_VIEW = "screen_view"
MAX_NAME, MAX_DEVICE_ID = 80, 64
ACCEPTED = 202

CLIENT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

VISITOR = ("device_id", "visitor_id", "user_id", "session_id")
"""Payload fields that identify a visitor; the first that is present is used."""

ENVELOPED = frozenset({"path", "url", "title", "referrer", "user_id", "device_id", "user_agent", "ip"})
"""Payload fields that are sent elsewhere than among the properties."""

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
AGENTS = {
    "firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 "
    "Safari/605.1.15",
    "edge": f"{BROWSER} Edg/142.0.0.0",
}


class OpenPanelDialect:
    """OpenPanel's track API: one event in a request; the events of a visitor are sent in order.

    Args:
        client_id: of a client with write access, a UUID of version 4.
        client_secret: without it OpenPanel takes the sink for a bot, answers 202 and stores nothing.
        site: prefix of paths, which makes them addresses.
        takes: the event types to send; those of the back end would count as visitors with devices of their own.

    Raises:
        SinkUnusable: the client id is not one, or there is no secret.
    """

    batch = 1

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        site: str = "https://demo.example",
        takes: TakesType = is_visitor_event,
    ) -> None:
        if not CLIENT_ID.fullmatch(client_id):
            raise SinkUnusable(f"expected OpenPanel's client id, a lower-case UUID of version 4, got {client_id!r}")
        if not client_secret:
            raise SinkUnusable("expected OpenPanel's client secret: without it events are taken for a bot's")
        self._site = site.rstrip("/")
        self._takes = takes
        self._headers = {
            "content-type": "application/json",
            "openpanel-client-id": client_id,
            "openpanel-client-secret": client_secret,
            "openpanel-sdk-name": "event-bus-mock",
            "openpanel-sdk-version": package_version(),
        }

    def partition_key(self, record: ProducerRecord) -> bytes:
        return device_id(_event(record)).encode()

    def unsendable(self, record: ProducerRecord) -> Unsendable | None:
        """Leaves out the events of the back end, and the starts and ends of sessions.

        Raises:
            InvalidEvent: the record is no event.
        """
        event_type = _event(record).event_type
        name = short_name(event_type)
        if not self._takes(event_type):
            return BACK_END
        if len(name) > MAX_NAME:
            return Unsendable("name too long", f"expected a name of at most {MAX_NAME} characters, got {name!r}")
        return Unsendable("starts and ends of sessions") if name in SESSIONS else None

    def request(self, records: Sequence[ProducerRecord]) -> HttpRequest:
        [record] = records
        event = _event(record)
        headers = {**self._headers, "user-agent": user_agent(event.payload)}
        if address := public_address(event.payload.get("ip")):
            headers["x-client-ip"] = address
        return HttpRequest(orjson.dumps({"type": "track", "payload": self._payload(event)}), headers)

    def rejections(self, response: HttpResponse, records: Sequence[ProducerRecord], attempt: int) -> list[Rejection]:
        """Two successful responses mean that nothing was stored: to an event taken for a bot's, and to a duplicate at
        the first attempt (a later one may meet its own predecessor)."""
        if response.incomplete:
            return unknown(records, f"the response is cut off: {response.incomplete}")
        bot = response.status == ACCEPTED and b'"bot"' in response.body
        duplicate = response.body.startswith(b"Duplicate event") and attempt == 1
        return (
            [Rejection(record, "not stored", f"not stored: {response}") for record in records]
            if bot or duplicate
            else []
        )

    def is_auth_failure(self, response: HttpResponse) -> bool:
        """Not every 401: some are about one profile or address."""
        text = response.body.lower()
        return response.status == UNAUTHORIZED and (b"client id" in text or b"cors or secret" in text)

    def _payload(self, event: Event) -> dict[str, Any]:
        """Without fields that have no value: OpenPanel refuses `null`."""
        name = short_name(event.event_type)
        payload: dict[str, Any] = {
            "name": SCREEN_VIEW if name == "page_visited" else name,
            "properties": self._properties(event),
        }
        if _is_identity(profile := event.payload.get("user_id")):
            payload["profileId"] = profile
        return payload

    def _properties(self, event: Event) -> dict[str, Any]:
        payload = event.payload
        reserved = {
            "__path": payload.get("url") or (f"{self._site}{payload['path']}" if payload.get("path") else None),
            "__title": payload.get("title"),
            "__referrer": payload.get("referrer"),
            "__timestamp": format_timestamp(event.timestamp)[:23] + "Z",
            "__deviceId": device_id(event),
        }
        own = {name: value for name, value in payload.items() if name not in ENVELOPED and not name.startswith("__")}
        properties = {**own, "event_id": event.event_id, "correlation_id": event.correlation_id, **reserved}
        return {name: value for name, value in properties.items() if value is not None}


def track_url(api_url: str) -> str:
    """The address that events are posted to: `{api_url}/track`."""
    return api_url.rstrip("/").removesuffix("/track") + "/track"


def device_id(event: Event) -> str:
    """The visitor's id; without one, OpenPanel takes all events from one address and browser for one visitor."""
    given = (event.payload.get(name) for name in VISITOR)
    visitor = next(filter(_is_identity, given), event.correlation_id)
    text = str(visitor)
    return text if len(text) <= MAX_DEVICE_ID else hashlib.sha256(text.encode()).hexdigest()


def _is_identity(value: Any) -> bool:
    """Whether a value names somebody: a number, also 0 and 1, or a text that is not empty."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def user_agent(payload: dict[str, Any]) -> str:
    """The simulated visitor's browser; a program's user agent would count as a bot or a server."""
    agent = payload.get("user_agent")
    if isinstance(agent, str) and agent.isascii() and agent.isprintable() and agent:
        return agent
    return AGENTS.get(str(payload.get("browser", "")).lower(), BROWSER)


def public_address(text: Any) -> str | None:
    """The text if it is a globally routable address; OpenPanel ignores private ones."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(address) if isinstance(text, str) and address.is_global else None


def _event(record: ProducerRecord) -> Event:
    return Event.from_bytes(record.value or b"")
