"""OpenPanel's track API: events of simulated visitors, in the form that it really stores.

Source: Openpanel-dev/openpanel, `packages/validation/src/track.validation.ts` and `apps/api/src`.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from typing import Any

import orjson

from eventbus.catalog.model.visitors import short_name
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks.dialect import Answer, Refusal, Request
from eventbus.event import Event, format_timestamp
from eventbus.record import ProducerRecord

SESSIONS = frozenset({"session_created", "session_ended", "session_start", "session_end"})
"""Not sent: the last two are reserved, and OpenPanel finds out by itself where sessions begin and end."""

SCREEN_VIEW = "screen_view"
LONGEST_NAME, LONGEST_DEVICE_ID = 80, 64
UNAUTHORIZED = 401
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

    def request(self, records: Sequence[ProducerRecord]) -> Request:
        [record] = records
        event = _event(record)
        headers = {**self._headers, "user-agent": user_agent(event.payload)}
        if address := public_address(event.payload.get("ip")):
            headers["x-client-ip"] = address
        return Request(orjson.dumps({"type": "track", "payload": self._payload(event)}), headers)

    def refused(self, answer: Answer, records: Sequence[ProducerRecord], attempt: int) -> list[Refusal]:
        """Two successes are none: an event taken for a bot's, and a duplicate (of a first attempt; a later one meets
        its own predecessor)."""
        bot = answer.status == ACCEPTED and b'"bot"' in answer.body
        duplicate = answer.body.startswith(b"Duplicate event") and attempt == 1
        return [Refusal(record, f"not stored: {answer}") for record in records] if bot or duplicate else []

    def locks_out(self, answer: Answer) -> bool:
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
