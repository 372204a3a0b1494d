"""What the simulation knows about an event: its visit, its delay, its attempt, its number and its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eventbus.catalog.errors import Problems, UnknownName, did_you_mean, join_names
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import ColumnDraw, EventColumn, FallbackDraw, NoDraw, Placeholder
from eventbus.catalog.model.json_types import FieldType
from eventbus.catalog.model.sources import DrawScope, FieldEntry, Lists, Source, split_reference
from eventbus.catalog.model.visitors import INTEGER_ATTRIBUTES, SESSION_ATTRIBUTES, SESSION_STATES, Visitors
from eventbus.catalog.sources.lists import variable_draw, variable_placeholder
from eventbus.catalog.sources.operands import bound_problems

VISIT_COLUMNS: Mapping[str, EventColumn] = {
    "page.path": "page",
    "page.title": "page",
    "referrer": "previous_page",
    "click.element": "click",
    "click.text": "click",
    "click.href": "click",
    "number": "page_number",
    "pages": "page_number",
    "clicks": "clicks",
    "duration_ms": "session_ms",
}
"""The column of each of `visitors.VISITS`."""
SESSION_MS = 1 << 24
"""No session is as long as so many milliseconds."""


@dataclass(frozen=True, slots=True)
class VisitAttribute(Source):
    """An attribute of the visit, in a chain of visitor sessions."""

    attribute: str
    """A name of `visitors.VISITS`."""

    name = "visit"
    keys = ("visit",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        attribute = entry.text("visit")
        return cls(attribute) if attribute else None

    def document(self) -> dict[str, Any]:
        return {"visit": self.attribute}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        name = self.attribute
        if name not in SESSION_ATTRIBUTES:
            near = did_you_mean(name, SESSION_ATTRIBUTES)
            yield ("visit",), f"expected one of {join_names(SESSION_ATTRIBUTES)}, got {name!r}{near}"
        elif type != ("integer" if name in INTEGER_ATTRIBUTES else "string"):
            yield (
                ("visit",),
                f"{name} is {'a whole number' if name in INTEGER_ATTRIBUTES else 'a text'}, got type {type}",
            )

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        if self.attribute not in SESSION_ATTRIBUTES:
            return None
        if chain.visitors is None:
            return f"is the session attribute {self.attribute}, but this chain has no `visitors`"
        known = state if state in SESSION_STATES or state not in chain.visitors.shares else "visited"
        if known in SESSION_STATES and known not in SESSION_ATTRIBUTES[self.attribute]:
            states = join_names(SESSION_ATTRIBUTES[self.attribute])
            return f"is the session attribute {self.attribute}, which exists only in {states}"
        return None

    def allowed(self, lists: Lists, chains: list[Chain]) -> tuple[Any, ...] | None:
        """The texts of the sites of all chains; None for whole numbers, and for referrers, which may lie elsewhere."""
        if self.attribute in INTEGER_ATTRIBUTES or self.attribute == "referrer":
            return None
        sites = [chain.visitors for chain in chains if chain.visitors]
        return tuple(text for site in sites for text in dict.fromkeys(site.texts(self.attribute)))

    def describe(self) -> str:
        return f"of the visit: {self.attribute}"

    def draw(self, scope: DrawScope) -> Placeholder:
        visitors = scope.chain.visitors
        if visitors is None:
            raise UnknownName(f"{scope.chain.name}/{scope.state}: {self.attribute} needs a chain with `visitors`")
        column = VISIT_COLUMNS[self.attribute]
        if self.attribute in INTEGER_ATTRIBUTES:
            return Placeholder(ColumnDraw(column, self._largest(visitors) + 1))
        texts = visitors.texts(self.attribute)
        if self.attribute != "referrer":
            return Placeholder(ColumnDraw(column, len(texts)), texts)
        before = ColumnDraw(column, len(texts) + 1)
        if not visitors.referrer:
            return Placeholder(FallbackDraw(before, NoDraw()), ("", *texts))
        outside = variable_draw(scope.lists, scope.chain, split_reference(visitors.referrer)[0])
        values = variable_placeholder(scope, visitors.referrer).values or ()
        return Placeholder(FallbackDraw(before, outside), (*values, *texts))

    def _largest(self, visitors: Visitors) -> int:
        match self.attribute:
            case "number" | "pages":
                return visitors.max_pages
            case "clicks":
                return visitors.max_pages * visitors.max_clicks
            case _:
                return SESSION_MS - 1


@dataclass(frozen=True, slots=True)
class ElapsedTime(Source):
    """Whole milliseconds since the causing event."""

    name = "elapsed"
    keys = ("elapsed",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        return cls() if entry.flag("elapsed") else None

    def document(self) -> dict[str, Any]:
        return {"elapsed": True}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        if type != "integer":
            yield ("type",), f"an elapsed time is an integer, got {type}"

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return 0, None

    def example(self, type: FieldType, example_of: Callable[[str], Any]) -> Any:
        return 125

    def describe(self) -> str:
        return "since the event that caused it"

    def draw(self, scope: DrawScope) -> Placeholder:
        return Placeholder(ColumnDraw("delay_ms", scope.longest // 1000 + 1))


@dataclass(frozen=True, slots=True)
class AttemptNumber(Source):
    """1, and 1 more for each retry in the chain so far."""

    name = "attempt"
    keys = ("attempt",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        return cls() if entry.flag("attempt") else None

    def document(self) -> dict[str, Any]:
        return {"attempt": True}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        if type != "integer":
            yield ("type",), f"the number of an attempt is an integer, got {type}"

    def example(self, type: FieldType, example_of: Callable[[str], Any]) -> Any:
        return 1

    def describe(self) -> str:
        return "1, and 1 more for each retry so far"

    def draw(self, scope: DrawScope) -> Placeholder:
        return Placeholder(ColumnDraw("retries", scope.chain.retries + 1), low=1)


SEQUENCES: Mapping[str, EventColumn] = {"run": "chain", "key": "step"}
"""What a sequence counts in: the chains of a run, or the events of a chain."""
MAX_CHAINS = 1 << 53
"""No run has more."""


@dataclass(frozen=True, slots=True)
class SequenceNumber(Source):
    """Consecutive numbers, which follow from the place of an event alone and so are the same in every part of a run.

    `run` numbers the chains of a run in the order in which they begin; all events of a chain, and of the chains that it
    causes, have its number. In a closed workload each user's chains have the numbers n, n + users, n + 2 · users, ….
    `key` numbers the events of a chain. It is left out where it would need to count events that branches and caused
    chains emit at the same time.
    """

    counts: str
    """`run` or `key`."""
    start: int = 1

    name = "sequence"
    keys = ("sequence", "start")

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        counts, start = entry.text("sequence"), entry.integer("start")
        return cls(counts, 1 if start is None else start) if counts else None

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        if entry.plain("start") is not None:
            yield "start", "start belongs to a sequence"

    def document(self) -> dict[str, Any]:
        return {"sequence": self.counts} | ({} if self.start == 1 else {"start": self.start})

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        if self.counts not in SEQUENCES:
            near = did_you_mean(self.counts, SEQUENCES)
            yield ("sequence",), f"expected one of {join_names(SEQUENCES)}, got {self.counts!r}{near}"
        if type != "integer":
            yield ("type",), f"a sequence has integers, got {type}"
        yield from bound_problems("integer", "start", self.start)

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        if self.counts != "key" or not (chain.is_branched or chain.caused or is_caused):
            return None
        return "numbers the events of a chain: that takes a chain without forks, visitors and caused chains"

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return self.start, None

    def example(self, type: FieldType, example_of: Callable[[str], Any]) -> Any:
        return self.start

    def describe(self) -> str:
        counted = "chains of the run" if self.counts == "run" else "events of the chain"
        return f"{self.start}, {self.start + 1}, … for the {counted}"

    def draw(self, scope: DrawScope) -> Placeholder:
        count = MAX_CHAINS if self.counts == "run" else scope.chain.max_steps
        return Placeholder(ColumnDraw(SEQUENCES[self.counts], count), low=self.start)
