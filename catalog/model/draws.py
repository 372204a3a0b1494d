"""How the varying values of a payload are drawn, described as data; `chains.rendering.draws` computes them.

A draw gives each event a whole number from 0 to `count` - 1, and a placeholder says what the numbers stand for. Equal
draws give an event the same number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

EventColumn = Literal[
    "chain",
    "step",
    "time_s",
    "delay_ms",
    "retries",
    "page",
    "previous_page",
    "click",
    "page_number",
    "clicks",
    "session_ms",
]
"""What the simulation knows about an event:

`chain`: index of the chain in the run, from 0. `step`: place of the event in its chain, from 0; with forks, triggered
chains and visitor sessions steps are skipped. `time_s`: seconds since the Unix epoch. `delay_ms`: time since the
causing event. `retries`: in the chain so far. In visitor sessions `page` and `click` (indices in the order of the
site), `previous_page` (1 more than its index; 0: none), `page_number` (pages so far), `clicks` (on the page, or in the
session that ends) and `session_ms` (its length).
"""


class Purpose(NamedTuple):
    """What a random number decides, which identifies it in the run: other purposes give other numbers.

    `chains.randomness` specifies the names that belong to each kind.
    """

    kind: Literal["field", "pick", "variable", "per", "order", "counter"]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UniformDraw:
    """A random number, all equally probable: one for the whole chain, or a new one at each step."""

    purpose: Purpose
    count: int
    each_step: bool


@dataclass(frozen=True, slots=True)
class ZipfDraw:
    """A random number for the whole chain: 1 is drawn half as often as 0, 2 a third as often, and so on."""

    purpose: Purpose
    count: int


@dataclass(frozen=True, slots=True)
class SlotDraw:
    """A number that no two of `slots` consecutive chains share.

    The slot of a chain is its index modulo `slots`. Each slot has numbers of its own, of which one is drawn.
    """

    slots: int
    of_slot: UniformDraw | ZipfDraw

    @property
    def count(self) -> int:
        return self.slots * self.of_slot.count


@dataclass(frozen=True, slots=True)
class KeyedDraw:
    """A random number for each number of another draw, the same in all chains and runs."""

    owner: VariableDraw
    purpose: Purpose
    count: int


CHOICES = 1 << 32
"""Numbers of a draw that chooses among as many others as only the event tells: k of n is number × n / `CHOICES`."""


@dataclass(frozen=True, slots=True)
class MatchedDraw:
    """An item of a list, one of those that match an item of another list; all of these are equally probable."""

    owner: VariableDraw
    """Gives the item of the other list."""
    choice: UniformDraw
    """Of `CHOICES`."""
    where: tuple[tuple[str, str], ...]
    """What makes an item match."""
    count: int
    groups: tuple[tuple[int, ...], ...] = field(compare=False)
    """Items that match alike; these and `group` follow from `where`."""
    group: tuple[int, ...] = field(compare=False)
    """Of each item of the other list: the index of those that match it."""


@dataclass(frozen=True, slots=True)
class ColumnDraw:
    """A number that the simulation knows."""

    column: EventColumn
    count: int


@dataclass(frozen=True, slots=True)
class OrderedDraw:
    """The numbers in an order that each chain draws for itself, the next one at each step: none twice in `count` steps.

    It is (`start` + step × stride) modulo `count`, with the step of the event within its chain. Strides have no factor
    in common with `count`.
    """

    start: UniformDraw
    """One of `count` for the chain."""
    choice: UniformDraw
    """Of `strides`, for the chain."""
    strides: tuple[int, ...]
    count: int


@dataclass(frozen=True, slots=True)
class FallbackDraw:
    """A column that counts from 1, or another draw where it is 0; its numbers follow those of the other draw."""

    first: ColumnDraw
    otherwise: VariableDraw | NoDraw

    @property
    def count(self) -> int:
        return self.otherwise.count + self.first.count - 1


@dataclass(frozen=True, slots=True)
class NoDraw:
    """Always 0."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class Quantity:
    """A whole number that depends on an event: an operand of a draw."""

    draw: Draw
    values: tuple[int, ...] | None = None
    """By number of the draw. None: `low` + the number."""
    low: int = 0
    scale: int = 1
    """Multiplies the value."""

    @classmethod
    def constant(cls, value: int) -> Quantity:
        return cls(NoDraw(), low=value)

    def scaled(self, factor: int) -> Quantity:
        """A multiple of it."""
        return replace(self, scale=self.scale * factor)

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest value."""
        low, high = self.low, self.low + self.draw.count - 1
        if self.values is not None:
            low, high = min(self.values), max(self.values)
        return low * self.scale, high * self.scale


@dataclass(frozen=True, slots=True)
class RangeDraw:
    """A number from `low` to `high`, or `low` where that is above `high`; counted from the smallest `low`."""

    choice: UniformDraw
    """Of `CHOICES`."""
    low: Quantity
    high: Quantity

    @property
    def origin(self) -> int:
        """What number 0 stands for."""
        return self.low.bounds[0]

    @property
    def count(self) -> int:
        return max(self.low.bounds[1], self.high.bounds[1]) - self.origin + 1


@dataclass(frozen=True, slots=True)
class LinearDraw:
    """(`base` × `factor` + `addend`) / `divisor`, rounded to the nearest, halves up; counted from the smallest."""

    base: Quantity
    factor: Quantity
    addend: Quantity
    divisor: int = 1

    @property
    def sums(self) -> tuple[int, int]:
        """The smallest and the largest `base` × `factor` + `addend`."""
        products = [base * factor for base in self.base.bounds for factor in self.factor.bounds]
        low, high = self.addend.bounds
        return min(products) + low, max(products) + high

    @property
    def origin(self) -> int:
        """What number 0 stands for."""
        return self.rounded(self.sums[0])

    @property
    def count(self) -> int:
        return self.rounded(self.sums[1]) - self.origin + 1

    @property
    def operands(self) -> Iterator[int]:
        """The smallest and the largest value of each number that it is computed from."""
        for quantity in (self.base, self.factor, self.addend):
            yield from quantity.bounds

    def rounded(self, number: int) -> int:
        """A sum divided."""
        return (2 * number + self.divisor) // (2 * self.divisor)


@dataclass(frozen=True, slots=True)
class CounterDraw:
    """Periods of time that have ended since a moment; each item of a list has a period and a phase of its own.

    With the period p and the phase f, in seconds, it is (t - `since` + f) / p at the time t, rounded down, and 0 before
    `since`.
    """

    period: KeyedDraw
    """Seconds above `shortest`."""
    phase: KeyedDraw
    """Of `CHOICES`: what part of the period had passed at `since`."""
    shortest: int
    since: int
    """Seconds since the Unix epoch."""
    count: int


VariableDraw = UniformDraw | ZipfDraw | SlotDraw | KeyedDraw | MatchedDraw
"""Of a variable: a number that all events of a chain share."""
Draw = VariableDraw | ColumnDraw | OrderedDraw | FallbackDraw | RangeDraw | LinearDraw | CounterDraw | NoDraw


MAX_NUMBER = 1 << 62
"""Above all numbers that are computed with."""


@dataclass(frozen=True)
class Placeholder:
    """A value of a payload: the draw of a number, and the value of each number."""

    draw: Draw
    values: tuple[Any, ...] | None = None
    """By number. None: the values are numbers themselves, as the other fields say."""
    low: int = 0
    """The value of number 0."""
    decimals: int | None = None
    """None: the values are whole; else they count in units of 10^-decimals."""
    template: str | None = None
    """Text around the number, which replaces its `{}`. None: there is no text."""

    @classmethod
    def constant(cls, value: Any) -> Placeholder:
        """A value that is the same in all events."""
        return cls(NoDraw(), (value,))

    @property
    def is_constant(self) -> bool:
        return isinstance(self.draw, NoDraw) and self.values is not None

    @property
    def constant_value(self) -> Any:
        """The value of a constant."""
        assert self.values is not None
        return self.values[0]

    @property
    def bounds_problem(self) -> str | None:
        """Why its numbers cannot be computed: they take more than 62 bits."""
        bounds = [self.low, self.low + self.draw.count - 1]
        if isinstance(self.draw, LinearDraw):  # is rounded after a multiplication by 2
            bounds += [*self.draw.operands, *(2 * number for number in self.draw.sums)]
        elif isinstance(self.draw, RangeDraw):
            bounds += [*self.draw.low.bounds, *self.draw.high.bounds]
        if -MAX_NUMBER <= min(bounds) <= max(bounds) < MAX_NUMBER:
            return None
        scale = 10 ** (self.decimals or 0)
        return (
            f"expected bounds within 62 bits ({self.decimals or 0} decimals included),"
            f" got {min(bounds) / scale:g} to {max(bounds) / scale:g}"
        )

    @property
    def around(self) -> tuple[str, str]:
        """The text before the number, and the text after it."""
        before, _, after = (self.template or "{}").partition("{}")
        return before, after

    def without_template(self) -> Placeholder:
        """The number alone."""
        return replace(self, template=None)


@dataclass(frozen=True)
class FilledText:
    """A text with values of other fields in it: the draw of a text, and where the values stand."""

    draw: Draw
    texts: tuple[tuple[str | int, ...], ...]
    """By number: the parts of the text; a number is the index of a field."""
    fields: tuple[Placeholder, ...]
