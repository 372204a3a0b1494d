"""The errors of this package, and how messages word values, names and locations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

Location = tuple[str | int, ...]
"""A path inside a document: `("chains", "vault-read", "states", "requested", "next", 0)`."""
LocatedProblem = tuple[Location, str]
"""What breaks a rule: where, and what was expected there in one sentence."""
Problems = Iterator[LocatedProblem]


def format_value(value: Any) -> str:
    """A value as YAML or JSON would write it, cut at 60 characters; mappings and lists are not spelled out."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join_names(names: Iterable[str], limit: int = 12) -> str:
    """Names in the given order, joined by commas; those beyond the limit are counted."""
    listed = list(names)
    if len(listed) > limit:
        return f"{', '.join(listed[:limit])} and {len(listed) - limit} more"
    return ", ".join(listed) or "none"


def plural(number: int, noun: str, several: str = "") -> str:
    """`1 event`, `1,200 events`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {several or noun + 's'}"


def did_you_mean(name: str, candidates: Collection[str]) -> str:
    """` (did you mean 'x'?)` if a candidate is similar to the name, else an empty text."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only after a mistake, and slow to import

    matches = get_close_matches(name, candidates, n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def format_path(path: Location) -> str:
    """`chains.agent-execution.states.started.next[1].delay`; the whole document is `file`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".") or "file"


class CatalogError(Exception):
    """The catalog could not be used."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnknownName(CatalogError):
    """The catalog has no chain, event type or list of the requested name."""


class TooManyPaths(CatalogError):
    """A chain has more states to expand, or more sets of event types to list, than the limit allows."""


class Mistake(NamedTuple):
    """One mistake in a catalog file."""

    file: str
    line: int
    """Counted from 1; 0 where there are no lines, as in an option."""
    where: str
    """Path inside the document, e.g. `chains.agent-execution.states.started.next[1].delay`."""
    problem: str
    """What was found and what is allowed, in one sentence."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.where}: {self.problem}"


class Problem(NamedTuple):
    """One field of a payload that does not fit the catalog."""

    field: str
    """Path from the event: `payload.result.confidence`."""
    message: str
    """What was expected and what the payload has."""


class InvalidCatalog(CatalogError):
    """The catalog has mistakes: `mistakes` holds all of them, the message has one line for each."""

    document = "catalog"
    """What the message calls the document."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        super().__init__("\n".join([f"the {self.document} has {count}:", *map(str, self.mistakes)]))


class InvalidScenario(InvalidCatalog):
    """A scenario, or an override of it, has mistakes."""

    document = "scenario"
