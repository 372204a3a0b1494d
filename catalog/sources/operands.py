"""Operands of numbers that depend on others: a number, one drawn from a range, or a reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from eventbus.catalog.errors import Problems
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import Placeholder, Purpose, Quantity, UniformDraw
from eventbus.catalog.model.json_types import SAFE, FieldType, is_number
from eventbus.catalog.model.sources import DrawScope, FieldEntry, FieldUse, Lists, split_reference
from eventbus.catalog.sources.lists import variable_placeholder, variable_problems, variable_values

MAX_DECIMALS = 9


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that a number depends on: `{var: order.size}`, a variable, or `{field: result.lines}`, a field."""

    kind: str
    """`var` or `field`: of the same payload."""
    name: str

    @classmethod
    def of(cls, value: Any) -> Reference | None:
        """The reference that a value of a document is, if it is one."""
        if isinstance(value, dict) and len(value) == 1:
            [(kind, name)] = value.items()
            if kind in {"var", "field"} and isinstance(name, str):
                return cls(kind, name)
        return None

    def document(self) -> dict[str, str]:
        return {self.kind: self.name}

    def placeholder(self, scope: DrawScope) -> Placeholder:
        """How the generator draws it."""
        return variable_placeholder(scope, self.name) if self.kind == "var" else scope.number(self.name)

    def __str__(self) -> str:
        return self.name


Bound = float | Reference
"""Of a range."""
Operand = float | tuple[float, float] | Reference
"""A number, one between two others, drawn anew for each event, or a reference."""


def read_bound(entry: FieldEntry, key: str) -> Bound | None:
    """A bound; None if there is none, or after a mistake."""
    reference = Reference.of(entry.plain(key))
    return entry.number(key) if reference is None else reference


def read_operand(entry: FieldEntry, key: str) -> Operand | None:
    """An operand; None if there is none, or after a mistake."""
    value = entry.plain(key)
    if isinstance(value, list) and len(value) == 2 and all(map(is_number, value)):
        return value[0], value[1]
    return read_bound(entry, key)


def operand_document(operand: Operand) -> Any:
    """An operand as a catalog file has it."""
    match operand:
        case Reference():
            return operand.document()
        case tuple():
            return list(operand)
        case _:
            return operand


def operand_text(operand: Operand) -> str:
    """An operand for people: `8 to 13`."""
    match operand:
        case Reference():
            return operand.name
        case (low, high):
            return f"{low:g} to {high:g}"
        case _:
            return f"{operand:g}"


def operand_problems(key: str, operand: Operand | None, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
    """What is wrong with an operand apart from the field that it refers to.

    Args:
        type: of the variables that it may refer to.
    """
    match operand:
        case Reference("var", name):
            for problem in variable_problems(type, name, lists, chains):
                yield (key,), problem
        case (low, high):
            if low > high:
                yield (key, 0), f"{low:g} is above {high:g}"
            for index, number in enumerate((low, high)):
                yield from (((key, index), problem) for problem in number_problems(number))
        case float() | int():
            yield from (((key,), problem) for problem in number_problems(operand))


def bound_problems(type: FieldType, key: str, bound: float) -> Problems:
    """What is wrong with a number that has to be of a type."""
    if type == "integer" and bound != int(bound):
        yield (key,), f"expected a whole number for an integer, got {bound}"
    if abs(bound) > SAFE:
        yield (key,), f"expected a number between -2^53 and 2^53, got {bound}"


def number_problems(number: float) -> Iterator[str]:
    """What is wrong with a number in a catalog file."""
    if abs(number) > SAFE:
        yield f"expected a number between -2^53 and 2^53, got {number}"
    elif digits(number) > MAX_DECIMALS:
        yield f"expected at most {MAX_DECIMALS} decimals, got {number}"


def operand_use(key: str, operand: Operand | None, types: tuple[FieldType, ...]) -> Iterator[FieldUse]:
    """The field that an operand refers to, if it refers to one, which has to be of one of these types."""
    if isinstance(operand, Reference) and operand.kind == "field":
        yield FieldUse((key, "field"), operand.name, types)


def undefined_variable(chain: Chain, *operands: Operand | None) -> str | None:
    """What a chain lacks that does not define a variable which an operand refers to."""
    for operand in operands:
        if isinstance(operand, Reference) and operand.kind == "var":
            name = split_reference(operand.name)[0]
            if name not in chain.variables:
                return f"takes the variable {name!r}, which this chain does not define"
    return None


def known_values(bound: Bound | None, lists: Lists, chain: Chain) -> tuple[str | None, tuple[float, ...]]:
    """The values that a bound may have: of each item of a list, with the name of its variable, or a number alone.

    No values: they are not known before an event.
    """
    match bound:
        case Reference("var", name):
            values = variable_values(lists, chain, name)
            return split_reference(name)[0], tuple(value for value in values or () if is_number(value))
        case float() | int():
            return None, (bound,)
        case _:
            return None, ()


def digits(number: float) -> int:
    """The digits of a number after the point."""
    exponent = Decimal(repr(number)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def units_of(number: float, decimals: int) -> int:
    """A number in units of 10^-decimals; further decimals are rounded away."""
    return int(Decimal(repr(number)).scaleb(decimals).to_integral_value())


def decimals_of(operand: Operand, scope: DrawScope) -> int:
    """How many decimals the values of an operand have."""
    match operand:
        case Reference():
            placeholder = operand.placeholder(scope)
            if placeholder.values is not None:
                return min(max(map(digits, placeholder.values)), MAX_DECIMALS)
            return placeholder.decimals or 0
        case tuple():
            return max(map(digits, operand))
        case _:
            return digits(operand)


def quantity(operand: Operand, scope: DrawScope, decimals: int, key: str) -> Quantity:
    """An operand in units of 10^-decimals; further decimals are rounded away.

    Args:
        key: of the operand, which names its draw if it is one from a range.
    """
    match operand:
        case Reference():
            placeholder = operand.placeholder(scope)
            if placeholder.values is not None:
                return Quantity(placeholder.draw, tuple(units_of(value, decimals) for value in placeholder.values))
            scale: int = 10 ** max(0, decimals - (placeholder.decimals or 0))
            return Quantity(placeholder.draw, low=placeholder.low, scale=scale)
        case (low, high):
            lowest, highest = units_of(low, decimals), units_of(high, decimals)
            purpose = Purpose("field", (*scope.purpose.names, key))
            return Quantity(UniformDraw(purpose, highest - lowest + 1, each_step=True), low=lowest)
        case _:
            return Quantity.constant(units_of(operand, decimals))
