"""Every error of this package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


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
    """Counted from 1."""
    where: str
    """Path inside the document, e.g. `chains.agent-execution.states.started.next[1].delay`."""
    problem: str
    """What was found and what is allowed, in one sentence."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.where}: {self.problem}"


class Problem(NamedTuple):
    """One field of a payload that does not fit the catalog."""

    field: str
    """Path from the event: `payload.result.confidence`."""
    message: str
    """What was expected and what came."""


class InvalidCatalog(CatalogError):
    """The catalog has mistakes; all of them are in `mistakes`, and in the text, one a line."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        super().__init__("\n".join([f"the catalog has {count}:", *map(str, self.mistakes)]))
