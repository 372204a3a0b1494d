"""Sample texts: by the `format` of a schema, by the name of a field, or matching a regular expression."""

from __future__ import annotations

import base64
import re
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import count

from eventbus.catalog.infer.chains import words

PEOPLE = ("ada.lovelace", "grace.hopper", "alan.turing", "mary.jackson", "donald.knuth", "barbara.liskov")


SAMPLE_COUNT = 6


def _numbered_format(text: str) -> Callable[[str], list[str]]:
    return lambda _: [text.format(number=number) for number in range(1, SAMPLE_COUNT + 1)]


def _uuids(name: str) -> list[str]:
    return [str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:{name}:{number}")) for number in range(1, 21)]


FORMATS: Mapping[str, Callable[[str], list[str]]] = {
    "uuid": _uuids,
    "email": lambda _: [f"{person}@example.com" for person in PEOPLE],
    "idn-email": lambda _: [f"{person}@example.com" for person in PEOPLE],
    "date-time": lambda _: [f"2026-01-{day:02d}T{day + 7:02d}:30:00Z" for day in range(1, SAMPLE_COUNT + 1)],
    "date": lambda _: [f"2026-01-{day:02d}" for day in range(1, SAMPLE_COUNT + 1)],
    "time": lambda _: [f"{hour:02d}:30:00Z" for hour in range(8, 8 + SAMPLE_COUNT)],
    "duration": lambda _: ["PT30S", "PT5M", "PT1H", "P1D"],
    "uri": _numbered_format("https://example.com/item/{number}"),
    "url": _numbered_format("https://example.com/item/{number}"),
    "iri": _numbered_format("https://example.com/item/{number}"),
    "uri-reference": _numbered_format("/item/{number}"),
    "hostname": _numbered_format("host-{number}.example.com"),
    "idn-hostname": _numbered_format("host-{number}.example.com"),
    "ipv4": _numbered_format("192.0.2.{number}"),
    "ipv6": _numbered_format("2001:db8::{number}"),
    "byte": lambda name: [
        base64.b64encode(f"{name}-{number}".encode()).decode() for number in range(1, SAMPLE_COUNT + 1)
    ],
}
"""By the `format` of a schema."""


VALUES_BY_NAME: Mapping[str, str | tuple[str, ...]] = {
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
"""Values, or the name of a format, by the last word or the last two words of a field's name."""


def values_by_name(name: str) -> list[str] | None:
    """Sample values for a field with this name; None if the name suggests none."""
    parts = words(name)
    for key in ("".join(parts[-2:]), parts[-1] if parts else ""):
        values = VALUES_BY_NAME.get(key)
        if values is not None:
            return FORMATS[values](name) if isinstance(values, str) else list(values)
    return None


def numbered_values(name: str) -> list[str]:
    """Numbered values made of a name: `order-1`, `order-2`, …"""
    stem = "-".join(part for part in words(name) if part not in {"id", "key", "ref", "number", "code"}) or "value"
    return [f"{stem}-{number}" for number in range(1, SAMPLE_COUNT + 1)]


MAX_EXTRA_REPEATS = 4
"""Repetitions beyond the minimum of a quantifier."""


WORD_CHARACTERS = string.ascii_lowercase + string.digits


CHARACTER_CLASSES = {
    "d": string.digits,
    "w": WORD_CHARACTERS,
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-",
    "S": WORD_CHARACTERS,
}


def matching_texts(pattern: str, size: int = 5) -> list[str]:
    """Short, distinct texts that match a regular expression; none if it uses unsupported syntax.

    Supports literals, character classes, groups, alternatives and quantifiers, but no look-arounds, back-references or
    named groups. Quantifiers stay close to their minimum, so that the texts look like real names and numbers.
    """
    texts: dict[str, None] = {}
    try:
        expression = re.compile(pattern)
        for seed in range(40 * size):
            text = _PatternSampler(pattern, seed).whole()
            if expression.search(text):
                texts[text] = None
            if len(texts) == size:
                break
    except (re.error, ValueError, IndexError, KeyError):
        return []
    return list(texts)


class _PatternSampler:
    """Parses a pattern and samples a matching text in one pass."""

    def __init__(self, pattern: str, seed: int) -> None:
        self._pattern = pattern
        self._at = 0
        self._numbers = (seed * 7919 + step * 104_729 + (seed * step) % 31 for step in count(1))

    def whole(self) -> str:
        text = self._alternatives()
        if self._at < len(self._pattern):
            raise ValueError(self._pattern)
        return text

    def _alternatives(self) -> str:
        alternatives = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            alternatives.append(self._sequence())
        return self._choose(alternatives)

    def _sequence(self) -> str:
        parts = []
        while self._peek() not in {"", "|", ")"}:
            begin = self._at
            text = self._atom()
            low, high = self._quantifier()
            repeats = low + next(self._numbers) % (high - low + 1)
            end = self._at
            parts += [text] if repeats else []
            for _ in range(repeats - 1):  # the same part of the pattern again, for another text
                self._at = begin
                parts.append(self._atom())
            self._at = end
        return "".join(parts)

    def _atom(self) -> str:
        character = self._next()
        if character in "^$":
            return ""
        if character == ".":
            return self._choose(WORD_CHARACTERS)
        if character == "[":
            return self._choose(self._class())
        if character == "(":
            return self._group()
        return self._choose(self._escaped()) if character == "\\" else character

    def _group(self) -> str:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise ValueError(self._pattern)  # a look-around or a named group
            self._at += 2
        text = self._alternatives()
        if self._next() != ")":
            raise ValueError(self._pattern)
        return text

    def _class(self) -> str:
        negated = self._peek() == "^"
        self._at += negated
        members = "".join(self._members())
        if not negated:
            return members
        return "".join(
            character for character in WORD_CHARACTERS + string.ascii_uppercase + "-_" if character not in members
        )

    def _members(self) -> Iterator[str]:
        first = True
        while (character := self._next()) != "]" or first:
            first = False
            members = self._escaped() if character == "\\" else character
            if self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] != "]" and len(members) == 1:
                self._at += 1
                last = self._next()
                last = self._escaped() if last == "\\" else last
                members = "".join(map(chr, range(ord(members), ord(last) + 1)))
            yield members

    def _escaped(self) -> str:
        character = self._next()
        if character in "bBAZ" or character.isdecimal():
            raise ValueError(self._pattern)
        return CHARACTER_CLASSES.get(character) or {"t": "\t", "n": "\n"}.get(character, character)

    def _quantifier(self) -> tuple[int, int]:
        """Minimum and maximum of the quantifier at this position; (1, 1) if there is none."""
        bounds = {"*": (0, MAX_EXTRA_REPEATS), "+": (1, 1 + MAX_EXTRA_REPEATS), "?": (0, 1)}.get(self._peek())
        if bounds:
            self._at += 1
        elif match := re.compile(r"\{(\d+)(,(\d*))?\}").match(self._pattern, self._at):
            self._at = match.end()
            low = int(match[1])
            high = low if match[2] is None else int(match[3]) if match[3] else low + MAX_EXTRA_REPEATS
            bounds = (low, min(high, low + MAX_EXTRA_REPEATS))
        if self._peek() == "?" and bounds:  # a lazy quantifier
            self._at += 1
        return bounds or (1, 1)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _choose(self, choices: str | list[str]) -> str:
        return choices[next(self._numbers) % len(choices)]
