"""Values from lists: an item drawn for each event, or a variable, drawn once for each chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

from eventbus.catalog.errors import Problems, UnknownName, did_you_mean, format_value, join_names
from eventbus.catalog.model.chains import Chain
from eventbus.catalog.model.draws import (
    CHOICES,
    KeyedDraw,
    MatchedDraw,
    OrderedDraw,
    Placeholder,
    Purpose,
    SlotDraw,
    UniformDraw,
    VariableDraw,
    ZipfDraw,
)
from eventbus.catalog.model.json_types import FieldType, fits, with_article
from eventbus.catalog.model.sources import DrawScope, FieldEntry, Lists, Source, split_reference


@dataclass(frozen=True, slots=True)
class ListPick(Source):
    """An item of a list, or an attribute of one, drawn anew for each event.

    All picks of one list in one event are of the same item.
    """

    reference: str
    """`list` or `list.attribute`."""
    where: Conditions = ()
    """Which items may be drawn; all picks of one list in one event have the same conditions."""
    distinct: bool = False
    """Whether no item is drawn twice in a chain."""

    name = "pick"
    keys = ("pick", "where", "distinct")

    @classmethod
    def read(cls, entry: FieldEntry) -> Source | None:
        reference = entry.text("pick")
        where, distinct = tuple((entry.texts("where") or {}).items()), bool(entry.flag("distinct"))
        return cls(reference, where, distinct) if reference else None

    @classmethod
    def stray_keys(cls, entry: FieldEntry) -> Iterator[tuple[str, str]]:
        if entry.plain("where") is not None:
            yield "where", "where belongs to a `pick`, or to a variable with a list"
        if entry.plain("distinct") is not None:
            yield "distinct", "distinct belongs to a `pick`"

    @property
    def list_name(self) -> str:
        """The name of the list."""
        return split_reference(self.reference)[0]

    def document(self) -> dict[str, Any]:
        where = {"where": dict(self.where)} if self.where else {}
        return {"pick": self.reference, **where, **({"distinct": True} if self.distinct else {})}

    def problems(self, type: FieldType, lists: Lists, chains: list[Chain]) -> Problems:
        for problem in _reference_problems(type, *split_reference(self.reference), lists, ""):
            yield ("pick",), problem
        problems = (
            problem for chain in chains for problem in condition_problems(self.where, self.list_name, lists, chain)
        )
        for problem in dict.fromkeys(problems):
            yield ("where",), problem
        if self.distinct and self.where:
            yield ("distinct",), "items are picked either with `where` or with `distinct`"
        count = len(lists.get(self.list_name, ()))
        for chain in chains if self.distinct and self.list_name in lists else ():
            if chain.max_steps > count:
                yield (
                    ("distinct",),
                    f"list {self.list_name!r} has {count} items, but chain {chain.name} up to {chain.max_steps} events"
                    " (its `max_steps`)",
                )

    def emission_problem(self, chain: Chain, state: str, *, is_caused: bool) -> str | None:
        if not self.distinct or not chain.is_branched:
            return None
        return "is a distinct pick: that takes a chain without forks and visitors"

    def allowed(self, lists: Lists, chains: list[Chain]) -> tuple[Any, ...]:
        return list_values(lists, self.reference)

    def describe(self) -> str:
        once = ", each once" if self.distinct else ""
        return f"from list {self.reference}{describe_conditions(self.where)}{once}"

    def draw(self, scope: DrawScope) -> Placeholder:
        values = list_values(scope.lists, self.reference)
        purpose = Purpose("pick", (scope.chain.name, scope.state, self.list_name))
        if self.distinct:
            return Placeholder(_ordered_draw(scope.chain, self.list_name, len(values)), values)
        if self.where:
            choice = UniformDraw(purpose, CHOICES, each_step=True)
            return Placeholder(_matched_draw(self.where, self.list_name, choice, scope.lists, scope.chain), values)
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
        expected = type if self.template is None else None
        for problem in variable_problems(expected, self.reference, lists, chains):
            yield ("var",), problem
        if self.template is not None:
            for problem in self._template_problems(self.template, type, chains):
                yield ("template",), problem

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
        return replace(variable_placeholder(scope, self.reference), template=self.template)


def variable_problems(type: FieldType | None, reference: str, lists: Lists, chains: list[Chain]) -> Iterator[str]:
    """What is wrong with a reference to a variable, in each chain that defines it; of each list once.

    Args:
        type: that its values have to be of; None: any.
    """
    name, attribute = split_reference(reference)
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
        elif type is not None and type not in {"integer", "number"}:
            yield f"expected {with_article(type)}, but variable {name!r} of chain {chain.name} is a whole number"


def variable_values(lists: Lists, chain: Chain, reference: str) -> tuple[Any, ...] | None:
    """The values of a variable or of an attribute of one, by item; None: it has no list, or the list is at fault."""
    name, attribute = split_reference(reference)
    variable = chain.variables.get(name)
    items = lists.get(variable.list or "") if variable else None
    if items is None or attribute is None:
        return items
    values = tuple(item[attribute] for item in items if isinstance(item, dict) and attribute in item)
    return values if len(values) == len(items) else None


# Conditions: which items of a list match an item of another.


Conditions = tuple[tuple[str, str], ...]
"""Attributes of a list's items, each with the variable, or attribute of one, that it has to match."""


def describe_conditions(where: Conditions) -> str:
    """` with cluster = statement.cluster`."""
    return f" with {' and '.join(f'{name} = {reference}' for name, reference in where)}" if where else ""


def condition_problems(where: Conditions, items: str, lists: Lists, chain: Chain) -> Iterator[str]:
    """What is wrong with the conditions of a pick or a variable.

    Args:
        items: name of the list that is drawn from.
    """
    if problems := [*_name_problems(where, items, lists, chain)]:
        yield from problems
    elif where and lists.get(items) and all(_has_values(*condition, items, lists, chain) for condition in where):
        yield from _unmatched(where, items, matches(where, items, lists, chain))


def _name_problems(where: Conditions, items: str, lists: Lists, chain: Chain) -> Iterator[str]:
    """What is wrong with the names in conditions; whether they can be met is another question."""
    owners = {split_reference(reference)[0] for _, reference in where}
    if len(owners) > 1:
        yield f"expected conditions on one variable, got {join_names(sorted(owners))}"
    elif lists.get(items):  # else reported where the list is named
        for condition in where:
            yield from _condition_problems(*condition, items, lists, chain)


def _condition_problems(name: str, reference: str, items: str, lists: Lists, chain: Chain) -> Iterator[str]:
    """What is wrong with the names in a condition."""
    attributes = lists[items][0] if isinstance(lists[items][0], dict) else {}
    owner = split_reference(reference)[0]
    if name not in attributes:
        near = did_you_mean(name, attributes)
        yield f"list {items!r} has no attribute {name!r}{near}; it has {join_names(attributes) or 'none'}"
    elif owner not in chain.variables:
        near = did_you_mean(owner, chain.variables)
        yield f"no variable {owner!r} in chain {chain.name}{near}; it has {join_names(chain.variables) or 'none'}"
    elif chain.variables[owner].list is None:
        yield f"expected a variable with a list, but {owner!r} of chain {chain.name} is a whole number"
    else:
        yield from variable_problems(None, reference, lists, [chain])


def _has_values(name: str, reference: str, items: str, lists: Lists, chain: Chain) -> bool:
    """Whether all items have what a condition compares; where one lacks it, the list is reported."""
    has_own = all(isinstance(item, dict) and name in item for item in lists[items])
    return has_own and variable_values(lists, chain, reference) is not None


def _unmatched(where: Conditions, items: str, matched: Iterable[Match]) -> Iterator[str]:
    """An item of the other list that no item matches."""
    for wanted, matching in matched:
        if not matching:
            pairs = zip(where, wanted, strict=True)
            described = (f"{name} {' or '.join(map(format_value, values))}" for (name, _), values in pairs)
            yield f"no item of list {items!r} has {' and '.join(described)}"
            return


Match = tuple[tuple[list[Any], ...], tuple[int, ...]]


def matches(where: Conditions, items: str, lists: Lists, chain: Chain) -> Iterator[Match]:
    """What each item of the other list asks for, a list of values for each condition, and the items that match it.

    An attribute matches a value that is equal; where either is a list, they have a value in common.
    """
    indices = [_index(_alternatives(item[name]) for item in lists[items]) for name, _ in where]
    columns = [map(_alternatives, variable_values(lists, chain, reference) or ()) for _, reference in where]
    known: dict[str, tuple[int, ...]] = {}
    for wanted in zip(*columns, strict=True):
        key = repr(wanted)
        if key not in known:
            pairs = zip(indices, wanted, strict=True)
            matching = [
                {number for value in values for number in index.get(_key(value), ())} for index, values in pairs
            ]
            known[key] = tuple(sorted(set.intersection(*matching)))
        yield wanted, known[key]


def _index(alternatives: Iterable[list[Any]]) -> dict[Any, list[int]]:
    """The numbers of the items that have each value."""
    index: dict[Any, list[int]] = {}
    for number, values in enumerate(alternatives):
        for value in values:
            index.setdefault(_key(value), []).append(number)
    return index


def _key(value: Any) -> Any:
    """Equal for equal values; a boolean equals no number."""
    return repr(value) if isinstance(value, list | dict | bool) else value


def _alternatives(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matched_draw(where: Conditions, items: str, choice: UniformDraw, lists: Lists, chain: Chain) -> MatchedDraw:
    matched: list[Match] = []
    problem = next(_name_problems(where, items, lists, chain), None)
    if problem is None:
        matched = list(matches(where, items, lists, chain))
        problem = next(_unmatched(where, items, matched), None)
    if problem is not None:
        raise UnknownName(f"chain {chain.name!r}, list {items!r}: {problem}")
    owner = variable_draw(lists, chain, split_reference(where[0][1])[0])
    matching = [numbers for _, numbers in matched]
    groups = {numbers: group for group, numbers in enumerate(dict.fromkeys(matching))}
    return MatchedDraw(owner, choice, where, len(lists[items]), tuple(groups), tuple(map(groups.__getitem__, matching)))


def _ordered_draw(chain: Chain, items: str, count: int) -> OrderedDraw:
    strides = tuple(stride for stride in range(1, count + 1) if gcd(stride, count) == 1)
    start, choice = (
        UniformDraw(Purpose("order", (chain.name, items, quantity)), choices, each_step=False)
        for quantity, choices in (("start", count), ("stride", len(strides)))
    )
    return OrderedDraw(start, choice, strides, count)


# References to lists and variables.


def list_values(lists: Lists, reference: str) -> tuple[Any, ...]:
    """The values of `list` or `list.attribute`.

    Raises:
        UnknownName: there is no such list.
    """
    name, attribute = split_reference(reference)
    if name not in lists:
        raise UnknownName(f"no list {name!r} in the catalog; there are: {', '.join(sorted(lists))}")
    return _items(lists[name], attribute)


def _items(items: tuple[Any, ...], attribute: str | None) -> tuple[Any, ...]:
    return items if attribute is None else tuple(item[attribute] for item in items)


def _reference_problems(
    type: FieldType | None, name: str, attribute: str | None, lists: Lists, owner: str
) -> Iterator[str]:
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
    wrong = [value for value in items if value is not None and type and not fits[type](value)]
    if wrong and type:
        yield f"expected {with_article(type)}, but list {name!r}{owner} holds {format_value(wrong[0])}"


def variable_placeholder(scope: DrawScope, reference: str) -> Placeholder:
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
    if variable.where and variable.list is not None:
        choice = UniformDraw(purpose, CHOICES, each_step=False)
        return _matched_draw(variable.where, variable.list, choice, lists, chain)
    own = count if variable.slots is None else max(count // variable.slots, 1)
    drawn = ZipfDraw(purpose, own) if variable.zipf else UniformDraw(purpose, own, each_step=False)
    return drawn if variable.slots is None else SlotDraw(variable.slots, drawn)
