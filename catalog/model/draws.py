"""How the varying values of a payload are drawn, described as data; `chains.rendering.draws` computes them.

A draw gives each event a whole number from 0 to `count` - 1, and a placeholder says what the numbers stand for. Equal
draws give an event the same number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

EventColumn = Literal[
    "chain", "step", "delay_ms", "retries", "page", "previous_page", "click", "page_number", "clicks", "session_ms"
]
"""What the simulation knows about an event:

`chain`: index of the chain in the run, from 0. `step`: place of the event in its chain, from 0; with forks, triggered
chains and visitor sessions steps are skipped. `delay_ms`: time since the causing event. `retries`: in the chain so far.
In visitor sessions `page` and `click` (indices in the order of the site), `previous_page` (1 more than its index; 0:
none), `page_number` (pages so far), `clicks` (on the page, or in the session that ends) and `session_ms` (its length).
"""


class Purpose(NamedTuple):
    """What a random number decides, which identifies it in the run: other purposes give other numbers.

    `chains.randomness` specifies the names that belong to each kind.
    """

    kind: Literal["field", "pick", "variable", "per"]
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
class KeyedDraw:
    """A random number for each number of another draw, the same in all chains and runs."""

    owner: VariableDraw
    purpose: Purpose
    count: int


@dataclass(frozen=True, slots=True)
class ColumnDraw:
    """A number that the simulation knows."""

    column: EventColumn
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


VariableDraw = UniformDraw | ZipfDraw | KeyedDraw
"""Of a variable: a number that all events of a chain share."""
Draw = VariableDraw | ColumnDraw | FallbackDraw | NoDraw


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
    def around(self) -> tuple[str, str]:
        """The text before the number, and the text after it."""
        before, _, after = (self.template or "{}").partition("{}")
        return before, after

    def without_template(self) -> Placeholder:
        """The number alone."""
        return replace(self, template=None)
