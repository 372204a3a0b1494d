"""Made-up values for texts of which only a format or a name is known."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Mapping

from eventbus.catalog.bootstrap.names import words

PEOPLE = ("ada.lovelace", "grace.hopper", "alan.turing", "mary.jackson", "donald.knuth", "barbara.liskov")
FEW = 6


def _numbered(text: str) -> Callable[[str], list[str]]:
    return lambda _: [text.format(number=number) for number in range(1, FEW + 1)]


def _uuids(name: str) -> list[str]:
    return [str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:{name}:{number}")) for number in range(1, 21)]


FORMATS: Mapping[str, Callable[[str], list[str]]] = {
    "uuid": _uuids,
    "email": lambda _: [f"{person}@example.com" for person in PEOPLE],
    "idn-email": lambda _: [f"{person}@example.com" for person in PEOPLE],
    "date-time": lambda _: [f"2026-01-{day:02d}T{day + 7:02d}:30:00Z" for day in range(1, FEW + 1)],
    "date": lambda _: [f"2026-01-{day:02d}" for day in range(1, FEW + 1)],
    "time": lambda _: [f"{hour:02d}:30:00Z" for hour in range(8, 8 + FEW)],
    "duration": lambda _: ["PT30S", "PT5M", "PT1H", "P1D"],
    "uri": _numbered("https://example.com/item/{number}"),
    "url": _numbered("https://example.com/item/{number}"),
    "iri": _numbered("https://example.com/item/{number}"),
    "uri-reference": _numbered("/item/{number}"),
    "hostname": _numbered("host-{number}.example.com"),
    "idn-hostname": _numbered("host-{number}.example.com"),
    "ipv4": _numbered("192.0.2.{number}"),
    "ipv6": _numbered("2001:db8::{number}"),
    "byte": lambda name: [base64.b64encode(f"{name}-{number}".encode()).decode() for number in range(1, FEW + 1)],
}
"""By the `format` of a schema."""

NAMES: Mapping[str, str | tuple[str, ...]] = {
    "email": "email",
    "mail": "email",
    "uuid": "uuid",
    "guid": "uuid",
    "url": "url",
    "uri": "uri",
    "link": "url",
    "host": "hostname",
    "hostname": "hostname",
    "ip": "ipv4",
    "timestamp": "date-time",
    "datetime": "date-time",
    "at": "date-time",
    "date": "date",
    "currency": ("EUR", "USD", "GBP", "JPY", "CHF"),
    "country": ("DE", "FR", "GB", "JP", "US", "BR"),
    "language": ("de", "en", "es", "fr", "ja"),
    "locale": ("de-DE", "en-GB", "en-US", "fr-FR", "ja-JP"),
    "timezone": ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "UTC"),
    "city": ("Berlin", "Lyon", "Leeds", "Osaka", "Austin"),
    "firstname": ("Ada", "Grace", "Alan", "Mary", "Donald", "Barbara"),
    "lastname": ("Lovelace", "Hopper", "Turing", "Jackson", "Knuth", "Liskov"),
    "username": PEOPLE,
    "user": PEOPLE,
    "phone": ("+49 30 0000001", "+44 20 0000002", "+81 3 0000003", "+1 512 0000004"),
    "colour": ("red", "green", "blue"),
    "color": ("red", "green", "blue"),
    "status": ("ok", "pending", "error"),
    "method": ("GET", "POST", "PUT", "DELETE"),
    "version": ("1.0.0", "1.1.0", "2.0.0"),
    "reason": ("timeout", "unavailable", "invalid input"),
    "error": ("TimeoutError", "ConnectionError", "ValidationError"),
}
"""By the last word of a field's name, or its last two: a format, or values."""


def by_name(name: str) -> list[str] | None:
    """Values for a field that is called so; None if the name says nothing."""
    parts = words(name)
    for key in ("".join(parts[-2:]), parts[-1] if parts else ""):
        known = NAMES.get(key)
        if known is not None:
            return FORMATS[known](name) if isinstance(known, str) else list(known)
    return None


def numbered(name: str) -> list[str]:
    """`order-1`, `order-2`, …, for names that say nothing."""
    stem = "-".join(part for part in words(name) if part not in {"id", "key", "ref", "number", "code"}) or "value"
    return [f"{stem}-{number}" for number in range(1, FEW + 1)]
