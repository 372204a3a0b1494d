"""The sources of payload values. A new one is a class here and an entry in `SOURCES`.

A source says how it is read and written, what is wrong with it, which values it gives, and how the generator draws
them (see `model.sources`). Draws are made of the few kinds in `model.draws`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from eventbus.catalog.errors import Location, UnknownName, did_you_mean, format_value, join_names
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import (
    ColumnDraw,
    EventColumn,
    FallbackDraw,
    KeyedDraw,
    NoDraw,
    Placeholder,
    Purpose,
    UniformDraw,
    VariableDraw,
    ZipfDraw,
)
from eventbus.catalog.model.events import EventType, PayloadField
from eventbus.catalog.model.json_types import SAFE, FieldType, fits, is_integer, is_number, with_article
from eventbus.catalog.model.sections import Sections, emitters
from eventbus.catalog.model.sources import DrawScope, FieldEntry, Lists, Source, split_reference
from eventbus.catalog.model.visitors import INTEGER_ATTRIBUTES, SESSION_ATTRIBUTES, SESSION_STATES, Visitors

Problems = Iterator[tuple[Location, str]]


@dataclass(frozen=True, slots=True)
class FixedValue(Source):
    """The same value in all events."""

    value: Any

    name = "value"
    keys = ("value",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        value = entry.plain("value")
        return None if value is None else cls(value)

    def document(self) -> dict[str, Any]:
        return {"value": self.value}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        for _, problem in misfits(type, (self.value,)):
            yield ("value",), problem

    @property
    def accepted(self) -> tuple[Any, ...]:
        return (self.value,)

    def schema(self) -> dict[str, Any]:
        return {"const": self.value}

    def describe(self) -> str:
        return f"always {self.value!r}"

    def draw(self, scope: DrawScope) -> Placeholder:
        return Placeholder.constant(self.value)


@dataclass(frozen=True, slots=True)
class Choices(Source):
    """One of some values, drawn anew for each event; a value listed twice is drawn twice as often."""

    choices: tuple[Any, ...]

    name = "choices"
    keys = ("choices",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        choices = entry.values("choices")
        return None if choices is None else cls(choices)

    def document(self) -> dict[str, Any]:
        return {"choices": list(self.choices)}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        for index, problem in misfits(type, self.choices):
            yield ("choices", index), problem
        if not self.choices:
            yield ("choices",), "expected at least one choice"

    @property
    def accepted(self) -> tuple[Any, ...]:
        return self.choices

    def schema(self) -> dict[str, Any]:
        return {"enum": distinct(self.choices)}

    def describe(self) -> str:
        return f"one of {join_names(dict.fromkeys(map(str, self.choices)), 6)}"

    def draw(self, scope: DrawScope) -> Placeholder:
        return Placeholder(UniformDraw(scope.purpose, len(self.choices), each_step=True), self.choices)


@dataclass(frozen=True, slots=True)
class ListPick(Source):
    """An item of a list, or an attribute of one, drawn anew for each event.

    All picks of one list in one event are of the same item.
    """

    reference: str
    """`list` or `list.attribute`."""

    name = "pick"
    keys = ("pick",)

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        reference = entry.text("pick")
        return cls(reference) if reference else None

    def document(self) -> dict[str, Any]:
        return {"pick": self.reference}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        for problem in _reference_problems(type, *split_reference(self.reference), lists, ""):
            yield ("pick",), problem

    def allowed(self, lists: Lists, chains: list[Chain]) -> tuple[Any, ...]:
        return list_values(lists, self.reference)

    def describe(self) -> str:
        return f"from list {self.reference}"

    def draw(self, scope: DrawScope) -> Placeholder:
        values = list_values(scope.lists, self.reference)
        purpose = Purpose("pick", (scope.chain.name, scope.state, split_reference(self.reference)[0]))
        return Placeholder(UniformDraw(purpose, len(values), each_step=True), values)


@dataclass(frozen=True, slots=True)
class VariableValue(Source):
    """A variable of the chain, or an attribute of one: the same in all its events."""

    reference: str
    """`variable` or `variable.attribute`."""
    template: str | None = None
    """Text around a variable that is a whole number: `user-{}`."""

    name = "var"
    keys = ("var", "template")

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        reference, template = entry.text("var"), entry.text("template")
        return cls(reference, template or None) if reference else None

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        if entry.plain("template") is not None:
            yield "template", "a template belongs to a `var` that is a whole number"

    def document(self) -> dict[str, Any]:
        return {"var": self.reference} | ({} if self.template is None else {"template": self.template})

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        for problem in self._variable_problems(type, lists, chains):
            yield ("var",), problem
        if self.template is not None:
            for problem in self._template_problems(self.template, type, chains):
                yield ("template",), problem

    def _variable_problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Iterator[str]:
        """Problems of each list that the variable is drawn from in some chain, once."""
        name, attribute = split_reference(self.reference)
        reported = set()
        for chain in chains:
            variable = chain.variables.get(name)
            if variable is None or variable.list in reported:
                continue
            reported.add(variable.list)
            if variable.list is not None:
                if variable.list in lists:  # else reported at the variable
                    yield from _reference_problems(type, variable.list, attribute, lists, f", of chain {chain.name},")
            elif attribute is not None:
                yield f"variable {name!r} of chain {chain.name} is a whole number and has no attribute {attribute!r}"
            elif type not in {"integer", "number"} and self.template is None:
                yield f"expected {with_article(type)}, but variable {name!r} of chain {chain.name} is a whole number"

    def _template_problems(self, template: str, type: FieldType, chains: list[Chain]) -> Iterator[str]:
        name = split_reference(self.reference)[0]
        if type != "string":
            yield f"a template makes a text, got type {type}"
        if template.count("{}") != 1:
            yield f"expected a text with {{}} once in it, where the number shall stand, got {template!r}"
        if any(name in chain.variables and chain.variables[name].list for chain in chains):
            yield "a template belongs to a `var` that is a whole number"

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        name = split_reference(self.reference)[0]
        if name in chain.variables:
            return None
        return f"takes the variable {name!r}, which this chain does not define"

    def allowed(self, lists: Lists, chains: list[Chain]) -> tuple[Any, ...] | None:
        """The values of all chains together; None if a chain draws a number between bounds, or no chain emits it."""
        name, attribute = split_reference(self.reference)
        names = [chain.variables[name].list for chain in chains]
        if not names or None in names:
            return None
        return tuple(value for items in dict.fromkeys(names) if items for value in _items(lists[items], attribute))

    def describe(self) -> str:
        if self.template is None:
            return f"of the chain: {self.reference}"
        return f"of the chain: {self.template.replace('{}', f'{{{self.reference}}}')}"

    def draw(self, scope: DrawScope) -> Placeholder:
        return replace(_variable(scope, self.reference), template=self.template)


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
        if state in SESSION_STATES and state not in SESSION_ATTRIBUTES[self.attribute]:
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
        values = _variable(scope, visitors.referrer).values or ()
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

    def example(self, type: FieldType) -> Any:
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

    def example(self, type: FieldType) -> Any:
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
        yield from _bound("integer", "start", self.start)

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        is_branched = bool(chain.visitors or chain.caused or any(state.fork for state in chain.states.values()))
        if self.counts != "key" or not (is_branched or is_caused):
            return None
        return "numbers the events of a chain: that takes a chain without forks, visitors and caused chains"

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return self.start, None

    def example(self, type: FieldType) -> Any:
        return self.start

    def describe(self) -> str:
        counted = "chains of the run" if self.counts == "run" else "events of the chain"
        return f"{self.start}, {self.start + 1}, … for the {counted}"

    def draw(self, scope: DrawScope) -> Placeholder:
        count = MAX_CHAINS if self.counts == "run" else scope.chain.max_steps
        return Placeholder(ColumnDraw(SEQUENCES[self.counts], count), low=self.start)


@dataclass(frozen=True, slots=True)
class NumberRange(Source):
    """A number between two bounds, both included, drawn anew for each event; all are equally probable."""

    minimum: float | None
    maximum: float | None
    decimals: int = 0
    """Digits after the point of a `number`."""

    name = "min and max"
    keys = ("min", "max", "decimals")
    is_default = True

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        low, high, decimals = entry.number("min"), entry.number("max"), entry.integer("decimals")
        return None if low is None and high is None else cls(low, high, decimals or 0)

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        if entry.plain("decimals"):
            yield "decimals", "decimals belong to a number drawn between min and max"
        bounds = [key for key in ("min", "max") if entry.plain(key) is not None]
        if bounds:
            yield bounds[0], "min and max stand alone: the field has another source"

    def document(self) -> dict[str, Any]:
        bounds = {} if self.minimum is None else {"min": self.minimum}
        bounds |= {} if self.maximum is None else {"max": self.maximum}
        return bounds | ({"decimals": self.decimals} if self.decimals else {})

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        low, high = self.minimum, self.maximum
        if self.decimals and type != "number":
            yield ("decimals",), "decimals belong to a number drawn between min and max"
        elif not 0 <= self.decimals <= MAX_DECIMALS:
            yield ("decimals",), f"expected 0 to {MAX_DECIMALS} decimals, got {self.decimals}"
        if low is None or high is None:
            yield (), "min and max are both required"
        elif type not in {"integer", "number"}:
            yield ("min",), f"min and max belong to an integer or a number, got {type}"
        elif low > high:
            yield ("min",), f"min {low:g} is above max {high:g}"
        else:
            yield from (problem for key, bound in (("min", low), ("max", high)) for problem in _bound(type, key, bound))
            yield from self._unit_problems(type)

    def _unit_problems(self, type: FieldType) -> Problems:
        if not 0 <= self.decimals <= MAX_DECIMALS:
            return
        first, last = self._units(type)
        if first > last:
            yield ("min",), f"no number with {self.decimals} decimals is from {self.minimum!r} to {self.maximum!r}"
        elif max(abs(first), abs(last)) >= MAX_UNITS:
            yield ("decimals",), f"expected numbers of at most 18 digits, {self.decimals} decimals included"

    def _units(self, type: FieldType) -> tuple[int, int]:
        """The smallest and the largest number between the bounds, in units of the last decimal."""
        digits = self.decimals if type == "number" else 0
        low, high = (Decimal(repr(bound or 0)).scaleb(digits) for bound in (self.minimum, self.maximum))
        return int(low.to_integral_value(ROUND_CEILING)), int(high.to_integral_value(ROUND_FLOOR))

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return self.minimum, self.maximum

    def example(self, type: FieldType) -> Any:
        low, high = self.minimum or 0, self.maximum or 0
        middle = (low + high) / 2
        return int(middle) if type == "integer" else min(max(round(middle, self.decimals), low), high)

    def describe(self) -> str:
        return f"{self.minimum:g} to {self.maximum:g}"

    def draw(self, scope: DrawScope) -> Placeholder:
        decimals = self.decimals if scope.type == "number" else None
        low, high = self._units(scope.type)
        draw = UniformDraw(scope.purpose, high - low + 1, each_step=True)
        return Placeholder(draw, low=low, decimals=decimals)


MAX_DECIMALS, MAX_UNITS = 9, 1 << 62
"""The generator writes numbers of at most 62 bits."""

SOURCES: tuple[type[Source], ...] = (
    FixedValue,
    Choices,
    ListPick,
    VariableValue,
    VisitAttribute,
    ElapsedTime,
    AttemptNumber,
    SequenceNumber,
    NumberRange,
)
"""All sources, in the order in which messages list them; one that is the default comes last."""
KEYS = tuple(key for source in SOURCES for key in source.keys)
"""The keys of all sources in a catalog file."""


def named_sources(entry: FieldEntry) -> list[Source]:
    """The sources that an entry names; exactly one is right."""
    sources = [source for kind in SOURCES if (source := kind.read(entry)) is not None]
    return [source for source in sources if not source.is_default] or sources


class JsonEntry:
    """A payload field in a document that has been parsed; values of another type than expected count as absent."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def plain(self, key: str) -> Any:
        return self._members.get(key)

    def text(self, key: str) -> str | None:
        value = self.plain(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        value = self.plain(key)
        return value if is_number(value) else None

    def integer(self, key: str) -> int | None:
        value = self.plain(key)
        return value if is_integer(value) else None

    def flag(self, key: str) -> bool | None:
        value = self.plain(key)
        return value if isinstance(value, bool) else None

    def values(self, key: str) -> tuple[Any, ...] | None:
        value = self.plain(key)
        return tuple(value) if isinstance(value, list) else None


def with_allowed_values(sections: Sections) -> dict[str, EventType]:
    """The event types with `allowed` of all payload fields set, where the values are listed."""
    emitting = emitters(sections.chains)
    return {
        name: replace(
            event,
            payload=tuple(_resolved(field, sections.lists, emitting.get(name, [])) for field in event.payload),
        )
        for name, event in sections.events.items()
    }


def _resolved(field: PayloadField, lists: Lists, chains: list[Chain]) -> PayloadField:
    if field.fields is not None:
        return replace(field, fields=tuple(_resolved(member, lists, chains) for member in field.fields))
    return replace(field, allowed=field.source.allowed(lists, chains))


def list_values(lists: Lists, reference: str) -> tuple[Any, ...]:
    """The values of `list` or `list.attribute`.

    Raises:
        UnknownName: there is no such list.
    """
    name, attribute = split_reference(reference)
    if name not in lists:
        raise UnknownName(f"no list {name!r} in the catalog; there are: {', '.join(sorted(lists))}")
    return _items(lists[name], attribute)


def misfits(type: FieldType, values: Iterable[Any]) -> Iterator[tuple[int, str]]:
    """The values that are not of a type: their indices, and what is wrong."""
    for index, value in enumerate(values):
        if not fits[type](value):
            yield index, f"expected {with_article(type)}, got {format_value(value)}"


def distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once, in order; values may be lists or mappings."""
    unique: list[Any] = []
    for value in values:
        if value not in unique:
            unique.append(value)
    return unique


def _items(items: tuple[Any, ...], attribute: str | None) -> tuple[Any, ...]:
    return items if attribute is None else tuple(item[attribute] for item in items)


def _reference_problems(type: FieldType, name: str, attribute: str | None, lists: Lists, owner: str) -> Iterator[str]:
    """What is wrong with a reference to a list; `owner` says whose it is, if anybody's."""
    if name not in lists:
        yield f"unknown list {name!r}{did_you_mean(name, lists)}; there are {join_names(sorted(lists))}"
        return
    items = lists[name]
    if items and attribute is not None:
        attributes = items[0] if isinstance(items[0], dict) else {}
        if attribute not in attributes:
            near = did_you_mean(attribute, attributes)
            yield f"list {name!r}{owner} has no attribute {attribute!r}{near}; it has {join_names(attributes)}"
            return
        items = tuple(item[attribute] for item in items if isinstance(item, dict) and attribute in item)
    wrong = [value for value in items if value is not None and not fits[type](value)]
    if wrong:
        yield f"expected {with_article(type)}, but list {name!r}{owner} holds {format_value(wrong[0])}"


def _bound(type: FieldType, key: str, bound: float) -> Problems:
    if type == "integer" and bound != int(bound):
        yield (key,), f"expected a whole number for an integer, got {bound}"
    if abs(bound) > SAFE:
        yield (key,), f"expected a number between -2^53 and 2^53, got {bound}"


def _variable(scope: DrawScope, reference: str) -> Placeholder:
    """A variable of the chain, or an attribute of one."""
    name, attribute = split_reference(reference)
    draw, variable = variable_draw(scope.lists, scope.chain, name), scope.chain.variables[name]
    if variable.list is None:
        return Placeholder(draw, low=variable.minimum or 0)
    return Placeholder(draw, list_values(scope.lists, f"{variable.list}.{attribute}" if attribute else variable.list))


def variable_draw(lists: Lists, chain: Chain, name: str) -> VariableDraw:
    """How a variable of a chain is drawn: the number of an item of its list, or of its range.

    Raises:
        UnknownName: the chain has no such variable, or there is no such list.
    """
    if name not in chain.variables:
        raise UnknownName(f"no variable {name!r} in chain {chain.name!r}")
    variable = chain.variables[name]
    count = (variable.maximum or 0) - (variable.minimum or 0) + 1
    if variable.list is not None:
        count = len(list_values(lists, variable.list))
    if variable.per is not None:
        return KeyedDraw(variable_draw(lists, chain, variable.per), Purpose("per", (variable.per, name)), count)
    purpose = Purpose("variable", (chain.name, name))
    return ZipfDraw(purpose, count) if variable.zipf else UniformDraw(purpose, count, each_step=False)
