"""Every error of this package."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

# How values and names are worded in messages.


Location = tuple[str | int, ...]
"""A path inside a document: `("chains", "vault-read", "states", "requested", "next", 0)`."""


def format_value(value: Any) -> str:
    """A value as it would be written in YAML or JSON, cut at 60 characters."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def join_names(names: Iterable[str], limit: int = 12) -> str:
    """Names in the given order, joined by commas; long lists are cut."""
    every = list(names)
    if len(every) > limit:
        return f"{', '.join(every[:limit])} and {len(every) - limit} more"
    return ", ".join(every) or "none"


def did_you_mean(name: str, known: Collection[str]) -> str:
    """` (did you mean 'x'?)` when a known name is near, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - needed only after a mistake, and slow to import

    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def format_path(path: Location) -> str:
    """`chains.agent-execution.states.started.next[1].delay`; the whole document is `file`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".") or "file"


class CatalogError(Exception):
    """The catalog could not be used."""


class UnknownName(CatalogError):
    """A chain, event type or list was asked for that the catalog does not have."""


class TooManyPaths(CatalogError):
    """The walks of a chain leave more sets of event types behind than can be listed."""


class Mistake(NamedTuple):
    """One thing wrong in a catalog file."""

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
    """What was expected and what came."""


class InvalidCatalog(CatalogError):
    """The catalog has mistakes; all of them are in `mistakes`, and in the text, one a line."""

    document = "catalog"
    """What the text calls it."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        super().__init__("\n".join([f"the {self.document} has {count}:", *map(str, self.mistakes)]))


class InvalidScenario(InvalidCatalog):
    """A scenario, or what changes it, has mistakes."""

    document = "scenario"
