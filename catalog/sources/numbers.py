"""Numbers: drawn between two bounds, computed from others, or counting periods of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import product
from typing import Any

from eventbus.catalog.errors import Problems
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import (
    CHOICES,
    MAX_NUMBER,
    CounterDraw,
    KeyedDraw,
    LinearDraw,
    Placeholder,
    Purpose,
    RangeDraw,
    UniformDraw,
)
from eventbus.catalog.model.json_types import FieldType
from eventbus.catalog.model.sources import DrawScope, FieldEntry, FieldUse, Lists, Source
from eventbus.catalog.sources.lists import variable_draw
from eventbus.catalog.sources.operands import (
    MAX_DECIMALS,
    Bound,
    Operand,
    Reference,
    bound_problems,
    decimals_of,
    known_values,
    operand_document,
    operand_problems,
    operand_text,
    operand_use,
    quantity,
    read_bound,
    read_operand,
    undefined_variable,
)
from eventbus.durations import parse_duration, parse_instant


@dataclass(frozen=True, slots=True)
class NumberRange(Source):
    """A number between two bounds, both included, drawn anew for each event; all are equally probable.

    A bound may be the value of a variable or of another field. Where the upper one is below the lower one, the number
    is the lower one.
    """

    minimum: Bound | None
    maximum: Bound | None
    decimals: int = 0
    """Digits after the point of a `number`."""

    name = "min and max"
    keys = ("min", "max", "decimals")
    is_default = True

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        low, high, decimals = read_bound(entry, "min"), read_bound(entry, "max"), entry.integer("decimals")
        return None if low is None and high is None else cls(low, high, decimals or 0)

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        if entry.plain("decimals") and entry.plain("of") is None:
            yield "decimals", "decimals belong to a number drawn between min and max"
        bounds = [key for key in ("min", "max") if entry.plain(key) is not None]
        if bounds:
            yield bounds[0], "min and max stand alone: the field has another source"

    def document(self) -> dict[str, Any]:
        bounds = {} if self.minimum is None else {"min": operand_document(self.minimum)}
        bounds |= {} if self.maximum is None else {"max": operand_document(self.maximum)}
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
        elif not isinstance(low, Reference) and not isinstance(high, Reference):
            yield from self._constant_problems(type, low, high)
        else:
            for key, bound in (("min", low), ("max", high)):
                if isinstance(bound, Reference):
                    yield from operand_problems(key, bound, type, lists, chains)
                else:
                    yield from bound_problems(type, key, bound)
            yield from ((("min",), problem) for problem in _inverted(low, high, lists, chains))

    def _constant_problems(self, type: FieldType, low: float, high: float) -> Problems:
        if low > high:
            yield ("min",), f"min {low:g} is above max {high:g}"
            return
        for key, bound in (("min", low), ("max", high)):
            yield from bound_problems(type, key, bound)
        if not 0 <= self.decimals <= MAX_DECIMALS:
            return
        first, last = _units(low, high, self.decimals if type == "number" else 0)
        if first > last:
            yield ("min",), f"no number with {self.decimals} decimals is from {low!r} to {high!r}"
        elif max(abs(first), abs(last)) >= MAX_NUMBER:
            yield ("decimals",), f"expected numbers of at most 18 digits, {self.decimals} decimals included"

    def uses(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Iterator[FieldUse]:
        types: tuple[FieldType, ...] = ("integer", "number") if type == "number" else ("integer",)
        yield from operand_use("min", self.minimum, types)
        yield from operand_use("max", self.maximum, types)

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        return undefined_variable(chain, self.minimum, self.maximum)

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        low, high = self.minimum, self.maximum
        may_exceed = (
            isinstance(low, Reference) and low.kind == "field"
        )  # the number is `low` where that is above `high`
        return None if isinstance(low, Reference) else low, None if may_exceed or isinstance(high, Reference) else high

    def example(self, type: FieldType, example_of: Callable[[str], Any]) -> Any:
        low, high = (_example(bound, example_of) for bound in (self.minimum, self.maximum))
        if low is None or high is None:
            return low if high is None else high
        middle = (low + high) / 2
        return int(middle) if type == "integer" else min(max(round(middle, self.decimals), low), high)

    def describe(self) -> str:
        return f"{operand_text(self.minimum or 0)} to {operand_text(self.maximum or 0)}"

    def draw(self, scope: DrawScope) -> Placeholder:
        decimals = self.decimals if scope.type == "number" else None
        low, high = self.minimum or 0, self.maximum or 0
        if not isinstance(low, Reference) and not isinstance(high, Reference):
            lowest, highest = _units(low, high, decimals or 0)
            draw = UniformDraw(scope.purpose, highest - lowest + 1, each_step=True)
            return Placeholder(draw, low=lowest, decimals=decimals)
        if decimals is not None:
            decimals = max(decimals, *(decimals_of(bound, scope) for bound in (low, high)))
        bounds = [quantity(bound, scope, decimals or 0, key) for key, bound in (("min", low), ("max", high))]
        ranged = RangeDraw(UniformDraw(scope.purpose, CHOICES, each_step=True), *bounds)
        return Placeholder(ranged, low=ranged.origin, decimals=decimals)


def _units(low: float, high: float, decimals: int) -> tuple[int, int]:
    """The smallest and the largest number between two bounds, in units of the last decimal."""
    first, last = (Decimal(repr(bound)).scaleb(decimals) for bound in (low, high))
    return int(first.to_integral_value(ROUND_CEILING)), int(last.to_integral_value(ROUND_FLOOR))


def _inverted(low: Bound, high: Bound, lists: Lists, chains: list[Chain]) -> Iterator[str]:
    """Whether the lower bound is above the upper one for an item of a list, or may be so for a variable."""
    for chain in chains:
        variable = chain.variables.get(low.name) if isinstance(low, Reference) and low.kind == "var" else None
        if variable and variable.maximum is not None and not isinstance(high, Reference) and variable.maximum > high:
            yield f"min may be {variable.maximum}, above max {high:g}, in chain {chain.name}"
            return
        (first, lows), (second, highs) = (known_values(bound, lists, chain) for bound in (low, high))
        pairs = zip(lows, highs, strict=False) if first and first == second else product(lows, highs)
        for least, most in pairs:
            if least > most:
                yield f"min {least:g} is above max {most:g} in chain {chain.name}"
                return


def _example(bound: Bound | None, example_of: Callable[[str], Any]) -> float | None:
    if not isinstance(bound, Reference):
        return bound
    return None if bound.kind == "var" else example_of(bound.name)


@dataclass(frozen=True, slots=True)
class ComputedNumber(Source):
    """A number computed from another one: `of` × `times` + `plus`.

    Each of the three may be a field of the payload or a variable; `times` and `plus` may also be numbers, or drawn anew
    for each event from a range. An `integer` is rounded to the nearest, halves up; so is a `number` with `decimals`.
    """

    of: Reference
    times: Operand = 1
    plus: Operand = 0
    decimals: int | None = None
    """Digits after the point of a `number`; None: all that it has, at most 9."""

    name = "of"
    keys = ("of", "times", "plus", "decimals")

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        reference = Reference.of(entry.plain("of"))
        if reference is None:
            path = entry.text("of")
            reference = Reference("field", path) if path else None
        times, plus, decimals = read_operand(entry, "times"), read_operand(entry, "plus"), entry.integer("decimals")
        if reference is None:
            return None
        return cls(reference, 1 if times is None else times, 0 if plus is None else plus, decimals)

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        for key in ("times", "plus"):
            if entry.plain(key) is not None:
                yield key, f"{key} belongs to a number computed `of` another one"

    def document(self) -> dict[str, Any]:
        return {
            "of": self.of.name if self.of.kind == "field" else self.of.document(),
            **({} if self.times == 1 else {"times": operand_document(self.times)}),
            **({} if self.plus == 0 else {"plus": operand_document(self.plus)}),
            **({} if self.decimals is None else {"decimals": self.decimals}),
        }

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        if type not in {"integer", "number"}:
            yield ("type",), f"a computed number is an integer or a number, got {type}"
        if self.decimals is not None and (type != "number" or not 0 <= self.decimals <= MAX_DECIMALS):
            yield ("decimals",), f"expected 0 to {MAX_DECIMALS} decimals of a number, got {self.decimals} of {type}"
        for key, operand in (("of", self.of), ("times", self.times), ("plus", self.plus)):
            yield from operand_problems(key, operand, "number", lists, chains)

    def uses(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Iterator[FieldUse]:
        for use in operand_use("of", self.of, ("integer", "number")):
            yield use._replace(key=("of",))
        yield from operand_use("times", self.times, ("integer", "number"))
        yield from operand_use("plus", self.plus, ("integer", "number"))

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        return undefined_variable(chain, self.of, self.times, self.plus)

    def example(self, type: FieldType, example_of: Callable[[str], Any]) -> Any:
        if self.of.kind == "var":
            return None
        of, times, plus = (_middle(operand, example_of) for operand in (self.of, self.times, self.plus))
        return round(of * times + plus) if type == "integer" else round(of * times + plus, self.decimals or 2)

    def describe(self) -> str:
        times = "" if self.times == 1 else f" × {operand_text(self.times)}"
        plus = "" if self.plus == 0 else f" + {operand_text(self.plus)}"
        return f"{self.of}{times}{plus}"

    def draw(self, scope: DrawScope) -> Placeholder:
        of, times, plus = (decimals_of(operand, scope) for operand in (self.of, self.times, self.plus))
        decimals = None
        if scope.type == "number":
            exact = min(max(of + times, plus), MAX_DECIMALS)
            decimals = exact if self.decimals is None else self.decimals
        shown = decimals or 0
        plus = shown if isinstance(self.plus, tuple) else max(plus, shown)  # a range is drawn as it is shown
        exact = max(of + times, plus)
        base, factor = quantity(self.of, scope, exact - times, "of"), quantity(self.times, scope, times, "times")
        addend = quantity(self.plus, scope, plus, "plus").scaled(10 ** (exact - plus))
        linear = LinearDraw(base, factor, addend, 10 ** (exact - shown))
        return Placeholder(linear, low=linear.origin, decimals=decimals)


def _middle(operand: Operand, example_of: Callable[[str], Any]) -> float:
    match operand:
        case (low, high):
            return (low + high) / 2
        case Reference("field", name):
            return float(example_of(name))
        case Reference():
            return 1
        case _:
            return operand


LAST_SECOND = (1 << 63) // 10**9
"""Since the Unix epoch; virtual time, in nanoseconds, ends before."""
MAX_PERIOD = 100 * 365 * 86_400
"""Seconds."""


@dataclass(frozen=True, slots=True)
class CounterValue(Source):
    """A number that never falls: it starts at 1 and grows by 1 after each period of time.

    It follows from the time of an event and an item of a list, so that all events that show it agree, in all chains and
    runs. Each item has a period of its own, between two bounds, and a phase of its own.
    """

    variable: str
    """The variable of the chain whose items have counters."""
    every: tuple[str, str]
    """The shortest and the longest period: `20d`."""
    since: str
    """When counting began: an ISO 8601 date or time."""

    name = "counter"
    keys = ("counter", "every", "since")

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        variable, since = entry.text("counter"), entry.text("since")
        every = entry.plain("every")
        if isinstance(every, list) and len(every) == 2:
            first, last = (value if isinstance(value, str) else str(value) for value in every)
        else:
            first = last = entry.text("every") or ""
        return cls(variable, (first, last), since or "") if variable else None

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        for key in ("every", "since"):
            if entry.plain(key) is not None:
                yield key, f"{key} belongs to a counter"

    def document(self) -> dict[str, Any]:
        first, last = self.every
        return {"counter": self.variable, "every": first if first == last else [first, last], "since": self.since}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        if type != "integer":
            yield ("type",), f"a counter is an integer, got {type}"
        periods = [parse_duration(period) for period in self.every]
        if any(period is None or not 1 <= period <= MAX_PERIOD for period in periods):
            expected = "expected a period such as 30d, or two bounds such as [20d, 120d], from 1s to 36500d"
            yield ("every",), f"{expected}; got {' to '.join(dict.fromkeys(self.every)) or 'nothing'}"
        elif self._periods[0] > self._periods[1]:
            yield ("every",), f"{self.every[0]} is longer than {self.every[1]}"
        since = parse_instant(self.since)
        if since is None or not 0 <= since.timestamp() < LAST_SECOND:
            yield ("since",), f"expected a date such as 2022-01-01, got {self.since or 'nothing'}"

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        variable = chain.variables.get(self.variable)
        if variable is None:
            return f"counts for the variable {self.variable!r}, which this chain does not define"
        return None if variable.list else f"counts for the variable {self.variable!r}, which has no list in this chain"

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        return 1, None

    def example(self, type: FieldType, example_of: Callable[[str], Any]) -> Any:
        return 1

    def describe(self) -> str:
        first, last = self.every
        period = first if first == last else f"{first} to {last}"
        return f"1, and 1 more every {period} since {self.since}, for each {self.variable}"

    @property
    def _periods(self) -> tuple[int, int]:
        """Whole seconds."""
        first, last = (round(parse_duration(period) or 1) for period in self.every)
        return first, last

    def draw(self, scope: DrawScope) -> Placeholder:
        owner, (shortest, longest) = variable_draw(scope.lists, scope.chain, self.variable), self._periods
        since = parse_instant(self.since)
        begin = 0 if since is None else int(since.timestamp())
        period, phase = (
            KeyedDraw(owner, Purpose("counter", (self.variable, quantity)), count)
            for quantity, count in (("period", longest - shortest + 1), ("phase", CHOICES))
        )
        count = (LAST_SECOND - begin) // shortest + 2
        return Placeholder(CounterDraw(period, phase, shortest, begin, count), low=1)
