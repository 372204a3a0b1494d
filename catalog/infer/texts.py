"""Made-up texts: by the format of a schema, by the name of a field, or matching a regular expression."""

from __future__ import annotations

import base64
import re
import string
import uuid
from collections.abc import Callable, Iterator, Mapping
from itertools import count

from eventbus.catalog.infer.chains import words

# Made-up values for texts of which only a format or a name is known.


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
"""By the last word of a field's name, or its last two: a format, or values."""


def values_by_name(name: str) -> list[str] | None:
    """Values for a field that is called so; None if the name says nothing."""
    parts = words(name)
    for key in ("".join(parts[-2:]), parts[-1] if parts else ""):
        known = VALUES_BY_NAME.get(key)
        if known is not None:
            return FORMATS[known](name) if isinstance(known, str) else list(known)
    return None


def numbered_values(name: str) -> list[str]:
    """`order-1`, `order-2`, …, for names that say nothing."""
    stem = "-".join(part for part in words(name) if part not in {"id", "key", "ref", "number", "code"}) or "value"
    return [f"{stem}-{number}" for number in range(1, SAMPLE_COUNT + 1)]


MAX_EXTRA_REPEATS = 4
"""Repetitions beyond the fewest."""


WORD_CHARACTERS = string.ascii_lowercase + string.digits


CHARACTER_CLASSES = {
    "d": string.digits,
    "w": WORD_CHARACTERS,
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-",
    "S": WORD_CHARACTERS,
}


def matching_texts(pattern: str, wanted: int = 5) -> list[str]:
    """Different texts that match; none if the pattern is more than this understands.

    Understood are characters, classes, groups, alternatives and repetitions, which is what patterns of names and
    numbers are made of.
    """
    found: dict[str, None] = {}
    try:
        expression = re.compile(pattern)
        for seed in range(40 * wanted):
            text = _PatternSampler(pattern, seed).whole()
            if expression.search(text):
                found[text] = None
            if len(found) == wanted:
                break
    except (re.error, ValueError, IndexError, KeyError):
        return []
    return list(found)


class _PatternSampler:
    """Reads a pattern and writes a text for it at the same time."""

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
        ways = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            ways.append(self._sequence())
        return self._one(ways)

    def _sequence(self) -> str:
        parts = []
        while self._peek() not in {"", "|", ")"}:
            begin = self._at
            text = self._atom()
            fewest, most = self._times()
            wanted = fewest + next(self._numbers) % (most - fewest + 1)
            end = self._at
            parts += [text] if wanted else []
            for _ in range(wanted - 1):  # the same part of the pattern again, for another text
                self._at = begin
                parts.append(self._atom())
            self._at = end
        return "".join(parts)

    def _atom(self) -> str:
        character = self._next()
        if character in "^$":
            return ""
        if character == ".":
            return self._one(WORD_CHARACTERS)
        if character == "[":
            return self._one(self._class())
        if character == "(":
            return self._group()
        return self._one(self._escaped()) if character == "\\" else character

    def _group(self) -> str:
        if self._peek() == "?":
            if self._pattern[self._at : self._at + 2] != "?:":
                raise ValueError(self._pattern)  # looks around, or has a name
            self._at += 2
        text = self._alternatives()
        if self._next() != ")":
            raise ValueError(self._pattern)
        return text

    def _class(self) -> str:
        negated = self._peek() == "^"
        self._at += negated
        found = "".join(self._members())
        if not negated:
            return found
        return "".join(
            character for character in WORD_CHARACTERS + string.ascii_uppercase + "-_" if character not in found
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

    def _times(self) -> tuple[int, int]:
        bounds = {"*": (0, MAX_EXTRA_REPEATS), "+": (1, 1 + MAX_EXTRA_REPEATS), "?": (0, 1)}.get(self._peek())
        if bounds:
            self._at += 1
        elif found := re.compile(r"\{(\d+)(,(\d*))?\}").match(self._pattern, self._at):
            self._at = found.end()
            fewest = int(found[1])
            most = fewest if found[2] is None else int(found[3]) if found[3] else fewest + MAX_EXTRA_REPEATS
            bounds = (fewest, min(most, fewest + MAX_EXTRA_REPEATS))
        if self._peek() == "?" and bounds:  # a lazy repetition
            self._at += 1
        return bounds or (1, 1)

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _one(self, choices: str | list[str]) -> str:
        return choices[next(self._numbers) % len(choices)]
