"""A catalog's document as YAML text for people: short values on one line, and comments where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventbus.catalog.bootstrap.flow import flow, text
from eventbus.catalog.words import Place

WIDTH = 120
ENTRIES = 2
"""Sections and what they define (`chains.payment`) are never written on one line."""

Notes = Mapping[Place, Sequence[str]]
"""Comments, by the place of the value that they are about."""


def yaml_text(document: Mapping[str, Any], notes: Notes, head: Sequence[str] = ()) -> str:
    """The text of a file.

    Args:
        document: what the file says, as JSON has it.
        notes: a note about a value that stands on one line with others is put at the end of that line.
        head: comments at the top.
    """
    layout = _Layout(notes)
    lines = [f"# {line}".rstrip() for line in head]
    for name, value in document.items():
        section = list(layout.member(name, value, (name,), ""))
        lines += ["", *section] if isinstance(value, dict) and lines else section
    return "\n".join(lines) + "\n"


class _Layout:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def member(self, name: str, value: Any, place: Place, indent: str) -> Iterator[str]:
        """The lines of `name: value`."""
        key = f"{indent}{text(name)}:"
        line = f"{key} {flow(value)}"
        if _is_short(value, len(place)) and len(line) <= WIDTH:
            yield from self._noted(line, self._below(place), indent)
            return
        yield from self._noted(key, self._notes.get(place, ()), indent)
        yield from self._block(value, place, f"{indent}  ")

    def _block(self, value: Any, place: Place, indent: str) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                if len(place) < ENTRIES and len(value) > 1 and name != next(iter(value)) and _is_entry(value):
                    yield ""
                yield from self.member(name, inner, (*place, name), indent)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from self._noted(f"{indent}- {flow(item)}", self._below((*place, index)), indent)
        else:
            yield indent + flow(value)

    def _noted(self, line: str, notes: Sequence[str], indent: str) -> Iterator[str]:
        comment = "; ".join(notes)
        if comment and len(line) + len(comment) + 4 > WIDTH:
            yield f"{indent}# {comment}"
        yield f"{line}  # {comment}" if comment and len(line) + len(comment) + 4 <= WIDTH else line

    def _below(self, place: Place) -> list[str]:
        """The notes about a value and all that is inside it."""
        inside = (notes for at, notes in self._notes.items() if at[: len(place)] == place)
        return [note for notes in inside for note in notes]


def _is_short(value: Any, depth: int) -> bool:
    """Whether a value may stand on one line: it is no entry, and no more than one level deep."""
    if not isinstance(value, dict | list | tuple) or not value:
        return True
    if isinstance(value, dict):
        return depth > ENTRIES and _height(value) == 1
    return len(value) == 1 or not isinstance(value[0], dict)


def _is_entry(value: Mapping[str, Any]) -> bool:
    """Whether the members of a section are so long that an empty line between them helps."""
    return any(isinstance(inner, dict) for inner in value.values())


def _height(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_height, value.values()), default=0)
    return max(map(_height, value), default=0) if isinstance(value, list | tuple) else 0
