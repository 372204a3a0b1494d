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
