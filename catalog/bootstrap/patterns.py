"""A few texts that match a regular expression."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from itertools import count

LONGEST = 4
"""Repetitions beyond the fewest."""
ANY = string.ascii_lowercase + string.digits
CLASSES = {"d": string.digits, "w": ANY, "s": " ", "D": string.ascii_lowercase, "W": "-", "S": ANY}


def matching(pattern: str, wanted: int = 5) -> list[str]:
    """Different texts that match; none if the pattern is more than this understands.

    Understood are characters, classes, groups, alternatives and repetitions, which is what patterns of names and
    numbers are made of.
    """
    found: dict[str, None] = {}
    try:
        expression = re.compile(pattern)
        for seed in range(40 * wanted):
            text = _Writer(pattern, seed).whole()
            if expression.search(text):
                found[text] = None
            if len(found) == wanted:
                break
    except (re.error, ValueError, IndexError, KeyError):
        return []
    return list(found)


class _Writer:
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
            return self._one(ANY)
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
        return "".join(character for character in ANY + string.ascii_uppercase + "-_" if character not in found)

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
        return CLASSES.get(character) or {"t": "\t", "n": "\n"}.get(character, character)

    def _times(self) -> tuple[int, int]:
        bounds = {"*": (0, LONGEST), "+": (1, 1 + LONGEST), "?": (0, 1)}.get(self._peek())
        if bounds:
            self._at += 1
        elif found := re.compile(r"\{(\d+)(,(\d*))?\}").match(self._pattern, self._at):
            self._at = found.end()
            fewest = int(found[1])
            most = fewest if found[2] is None else int(found[3]) if found[3] else fewest + LONGEST
            bounds = (fewest, min(most, fewest + LONGEST))
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
