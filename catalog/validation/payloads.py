"""Rules for payload fields: one source each, values that fit the type, references that lead somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from eventbus.catalog.errors import Location, did_you_mean, format_value, join_names
from eventbus.catalog.model import Chain, EventType, FieldType, PayloadField, every_field, split
from eventbus.catalog.validation.visitors import visit_problems

Lists = Mapping[str, tuple[Any, ...]]
Problem = tuple[Location, str]

SAFE = 2**53
"""Whole numbers up to here are exact in every JSON reader (RFC 8259 §6)."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


fits: Mapping[FieldType, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
}


def payload_problems(event: EventType, lists: Lists, chains: list[Chain]) -> Iterator[Problem]:
    """What is wrong with the payload of an event that these chains emit."""
    for path, one in every_field(event.payload):
        place: Location = ("events", event.name, "payload", *path)
        for key, problem in _field_problems(one, lists, chains):
            yield ((*place, *key), problem)


def sources(one: PayloadField) -> list[str]:
    """The sources that a field names; exactly one is right."""
    named = [name for name in ("fields", "value", "choices", "pick", "var", "visit") if getattr(one, name) is not None]
    named += [name for name in ("elapsed", "attempt") if getattr(one, name)]
    return named or (["min and max"] if one.minimum is not None or one.maximum is not None else [])


def _field_problems(one: PayloadField, lists: Lists, chains: list[Chain]) -> Iterator[Problem]:
    named = sources(one)
    if len(named) != 1:
        yield (
            (),
            (
                "expected exactly one of fields, value, choices, pick, var, visit, elapsed, attempt, or min and max; "
                f"got {' and '.join(named) or 'none'}"
            ),
        )
        return
    yield from _range_problems(one, drawn=named == ["min and max"])
    if one.fields is not None and one.type != "object":
        yield ("type",), f"a field with `fields` is an object, got {one.type}"
    if one.elapsed and one.type != "integer":
        yield ("type",), f"an elapsed time is an integer, got {one.type}"
    if one.attempt and one.type != "integer":
        yield ("type",), f"the number of an attempt is an integer, got {one.type}"
    for key, values in (("value", (one.value,)), ("choices", one.choices or ()), ("examples", one.examples)):
        if key != "value" or one.value is not None:
            yield from _misfits(one, key, values)
    if one.choices == ():
        yield ("choices",), "expected at least one choice"
    if one.pick is not None:
        yield from _at(("pick",), _reference_problems(one, *split(one.pick), lists, ""))
    if one.var is not None:
        yield from _at(("var",), _variable_problems(one, lists, chains))
    if one.visit is not None:
        yield from _at(("visit",), visit_problems(one))
    if one.template is not None:
        yield from _at(("template",), _template_problems(one, chains))


def _range_problems(one: PayloadField, *, drawn: bool) -> Iterator[Problem]:
    low, high = one.minimum, one.maximum
    if one.decimals and not (drawn and one.type == "number"):
        yield ("decimals",), "decimals belong to a number drawn between min and max"
    elif not 0 <= one.decimals <= 9:
        yield ("decimals",), f"expected 0 to 9 decimals, got {one.decimals}"
    if not drawn:
        if low is not None or high is not None:
            yield ("min" if low is not None else "max",), "min and max stand alone: the field has another source"
    elif low is None or high is None:
        yield (), "min and max are both required"
    elif one.type not in {"integer", "number"}:
        yield ("min",), f"min and max belong to an integer or a number, got {one.type}"
    elif low > high:
        yield ("min",), f"min {low:g} is above max {high:g}"
    else:
        yield from (problem for key, bound in (("min", low), ("max", high)) for problem in _bound(one, key, bound))


def _bound(one: PayloadField, key: str, bound: float) -> Iterator[Problem]:
    if one.type == "integer" and bound != int(bound):
        yield (key,), f"expected a whole number for an integer, got {bound}"
    if abs(bound) > SAFE:
        yield (key,), f"expected a number between -2^53 and 2^53, got {bound}"


def _misfits(one: PayloadField, key: str, values: tuple[Any, ...]) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if not fits[one.type](value):
            yield ((key,) if key == "value" else (key, index)), f"expected {_a(one.type)}, got {format_value(value)}"


def _variable_problems(one: PayloadField, lists: Lists, chains: list[Chain]) -> Iterator[str]:
    """Chains that do not define the variable are reported where they emit the event."""
    name, attribute = split(one.var or "")
    told = set()
    for chain in chains:
        variable = chain.variables.get(name)
        if variable is None or variable.list in told:
            continue
        told.add(variable.list)
        if variable.list is not None:
            if variable.list in lists:  # else reported at the variable
                yield from _reference_problems(one, variable.list, attribute, lists, f", of chain {chain.name},")
        elif attribute is not None:
            yield f"variable {name!r} of chain {chain.name} is a whole number and has no attribute {attribute!r}"
        elif one.type not in {"integer", "number"} and one.template is None:
            yield f"expected {_a(one.type)}, but variable {name!r} of chain {chain.name} is a whole number"


def _template_problems(one: PayloadField, chains: list[Chain]) -> Iterator[str]:
    name = split(one.var or "")[0]
    if one.type != "string":
        yield f"a template makes a text, got type {one.type}"
    if (one.template or "").count("{}") != 1:
        yield f"expected a text with {{}} once in it, where the number shall stand, got {one.template!r}"
    if one.var is None or any(name in chain.variables and chain.variables[name].list for chain in chains):
        yield "a template belongs to a `var` that is a whole number"


def _reference_problems(one: PayloadField, name: str, attribute: str | None, lists: Lists, of: str) -> Iterator[str]:
    if name not in lists:
        yield f"unknown list {name!r}{did_you_mean(name, lists)}; there are {join_names(sorted(lists))}"
        return
    items = lists[name]
    if items and attribute is not None:
        attributes = items[0] if isinstance(items[0], dict) else {}
        if attribute not in attributes:
            near = did_you_mean(attribute, attributes)
            yield f"list {name!r}{of} has no attribute {attribute!r}{near}; it has {join_names(attributes)}"
            return
        items = tuple(item[attribute] for item in items if isinstance(item, dict) and attribute in item)
    wrong = [value for value in items if value is not None and not fits[one.type](value)]
    if wrong:
        yield f"expected {_a(one.type)}, but list {name!r}{of} holds {format_value(wrong[0])}"


def _at(key: Location, texts: Iterator[str]) -> Iterator[Problem]:
    return ((key, text) for text in texts)


def _a(kind: FieldType) -> str:
    return f"an {kind}" if kind[0] in "aio" else f"a {kind}"
