"""YAML files → `Catalog`: reads every file, checks the whole, and reports all mistakes together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from catalog.catalog import Catalog
from catalog.check import problems
from catalog.errors import InvalidCatalog, Mistake
from catalog.model import (
    Chain,
    Delay,
    EventType,
    Exponential,
    FieldType,
    Fixed,
    LogNormal,
    Outcome,
    PayloadField,
    State,
    Transition,
    Uniform,
    Variable,
)
from catalog.resolve import resolved
from catalog.source import Node, read
from catalog.words import Place, listed, path_text, shown, suggestion

FILE = ("domain", "source", "partitions", "lists", "events", "chains")
EVENT = ("description", "source", "schema_version", "payload")
FIELD = (
    "type",
    "description",
    "fields",
    "value",
    "choices",
    "pick",
    "var",
    "elapsed",
    "min",
    "max",
    "decimals",
    "examples",
)
CHAIN = ("description", "weight", "start", "variables", "states", "max_steps")
STATE = ("emits", "next", "total", "outcome")
TRANSITION = ("to", "weight", "delay")
VARIABLE = ("list", "min", "max")
DELAYS: Mapping[str, tuple[str, ...]] = {  # and the members that each shape needs
    "uniform": (),
    "fixed": (),
    "exponential": ("mean",),
    "lognormal": ("median", "p95"),
}
TYPES: tuple[FieldType, ...] = get_args(FieldType)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
SECTIONS = ("partitions", "lists", "events", "chains")


Word = TypeVar("Word", bound=str)


@dataclass(slots=True)
class Draft:
    """What has been read so far: each section's definitions by name, and where they stand."""

    mistakes: list[Mistake] = field(default_factory=list)
    sections: dict[str, dict[str, Any]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    places: dict[tuple[str, str], Node] = field(default_factory=dict)

    def define(self, section: str, name: str, value: Any, node: Node, folder: set[tuple[str, str]]) -> None:
        """Add a definition, or replace an earlier path's of the same name."""
        key = (section, name)
        if key in folder:
            first = self.places[key]
            node.complain(f"duplicate name {name!r}: it is defined already in {first.file}, line {first.line}")
            return
        folder.add(key)
        self.sections[section][name] = value
        self.places[key] = node

    def catalog(self) -> Catalog:
        return Catalog(**self.sections)


def load(paths: Sequence[Path]) -> Catalog:
    """Read files, and folders of `*.yaml` and `*.yml`, in order; a later one replaces what an earlier one defines.

    Raises:
        InvalidCatalog: with every mistake of every file.
    """
    draft = Draft()
    for path in paths:
        folder: set[tuple[str, str]] = set()
        for file in _files(path, draft.mistakes):
            document = read(file, draft.mistakes)
            if document is not None:
                _file(document, draft, folder)
    catalog = draft.catalog()
    for place, problem in problems(catalog):
        _mistake(draft, place, problem)
    if draft.mistakes:
        raise InvalidCatalog(_in_order(draft.mistakes))
    return replace(catalog, events=resolved(catalog))


def _files(path: Path, mistakes: list[Mistake]) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"})
    if not files:
        mistakes.append(Mistake(str(path), 1, "file", "the folder holds no *.yaml file"))
    return files


def _mistake(draft: Draft, place: Place, problem: str) -> None:
    node = draft.places[str(place[0]), str(place[1])]
    at = node.at(place[2:])
    draft.mistakes.append(Mistake(at.file, at.line, path_text(place), problem))


def _in_order(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """By file in the order read, then by line."""
    files: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        files.setdefault(mistake.file, []).append(mistake)
    return [mistake for group in files.values() for mistake in sorted(group, key=lambda m: m.line)]


def _file(document: Node, draft: Draft, folder: set[tuple[str, str]]) -> None:
    members = document.members(FILE)
    domain = members["domain"].text() if "domain" in members else None
    source = members["source"].text() or "" if "source" in members else None
    if node := members.get("partitions"):
        _partitions(node, domain, draft, folder)
    for name, node in _section(members, "lists"):
        draft.define("lists", name, _list(name, node, draft), node, folder)
    for name, node in _section(members, "events"):
        draft.define("events", name, _event(name, node, source, domain), node, folder)
    for name, node in _section(members, "chains"):
        draft.define("chains", name, _chain(name, node), node, folder)


def _section(members: Mapping[str, Node], name: str) -> Iterable[tuple[str, Node]]:
    return members[name].mapping().items() if name in members else ()


def _partitions(node: Node, domain: str | None, draft: Draft, folder: set[tuple[str, str]]) -> None:
    count = node.integer()
    if domain is None:
        node.complain("partitions belong to a domain: give `domain` too, such as omninode.agent")
    elif count is not None and count < 1:
        node.complain(f"expected at least 1 partition, got {count}")
    elif count is not None:
        draft.define("partitions", domain, count, node, folder)


def _list(name: str, node: Node, draft: Draft) -> tuple[Any, ...]:
    """The items; `{extend: […]}` adds to the list of that name in an earlier path."""
    if not node.is_mapping:
        return _items(node)
    members = node.members(("extend",), required=("extend",))
    if "extend" not in members:
        return ()
    lists: dict[str, tuple[Any, ...]] = draft.sections["lists"]
    if name not in lists:
        node.complain(f"no list {name!r} to extend{suggestion(name, lists)}; there are {listed(lists)}")
    return lists.get(name, ()) + _items(members["extend"])


def _items(node: Node) -> tuple[Any, ...]:
    before = len(node.mistakes)
    items = tuple(item.plain() for item in node.items())
    if not items and len(node.mistakes) == before:
        node.complain("a list needs at least one item")
    return items


def _event(name: str, node: Node, source: str | None, domain: str | None) -> EventType:
    members = node.members(EVENT)
    if "source" not in members and source is None:
        node.complain("'source' is required, here or once for the whole file")
    if domain is not None and not name.startswith(f"{domain}."):
        node.complain(f"expected a name that starts with the file's domain {domain}., got {name!r}")
    return EventType(
        name=name,
        source=_text(members, "source") or source or "",
        schema_version=_text(members, "schema_version") or "1.0.0",
        description=_text(members, "description"),
        payload=_fields(members["payload"]) if "payload" in members else (),
    )


def _fields(node: Node) -> tuple[PayloadField, ...]:
    read = [_field(name, member) for name, member in node.mapping().items()]
    return tuple(one for one in read if one is not None)


def _field(name: str, node: Node) -> PayloadField | None:
    """None when the field is not readable, so that nothing is checked twice."""
    before = len(node.mistakes)
    members = node.members(FIELD)
    fields = _fields(members["fields"]) if "fields" in members else None
    kind = _one_of(TYPES, members["type"]) if "type" in members else "object" if fields is not None else None
    if "type" not in members and kind is None and node.is_mapping:
        node.complain(f"'type' is required; allowed are {listed(TYPES)}")
    made = PayloadField(
        name=name,
        type=kind or "string",
        description=_text(members, "description"),
        fields=fields,
        value=members["value"].plain() if "value" in members else None,
        choices=_values(members, "choices"),
        pick=_text(members, "pick") or None,
        var=_text(members, "var") or None,
        elapsed=bool("elapsed" in members and members["elapsed"].flag()),
        minimum=members["min"].number() if "min" in members else None,
        maximum=members["max"].number() if "max" in members else None,
        decimals=(members["decimals"].integer() or 0) if "decimals" in members else 0,
        examples=_values(members, "examples") or (),
    )
    return made if len(node.mistakes) == before else None


def _chain(name: str, node: Node) -> Chain:
    members = node.members(CHAIN, required=("weight", "start", "states"))
    states = members["states"].mapping() if "states" in members else {}
    variables = members["variables"].mapping() if "variables" in members else {}
    weight = members["weight"].number() if "weight" in members else None
    steps = members["max_steps"].integer() if "max_steps" in members else None
    return Chain(
        name=name,
        weight=1.0 if weight is None else weight,
        description=_text(members, "description"),
        start=_text(members, "start"),
        states={state: _state(state, member) for state, member in states.items()},
        variables={variable: _variable(variable, member) for variable, member in variables.items()},
        max_steps=64 if steps is None else steps,
    )


def _variable(name: str, node: Node) -> Variable:
    members = node.members(VARIABLE)
    bounds = "min" in members and "max" in members
    if node.is_mapping and ("list" in members) == bounds:
        node.complain("expected either `list: NAME` or `min: …` and `max: …`")
    return Variable(
        name=name,
        list=_text(members, "list") or None,
        minimum=members["min"].integer() if bounds else None,
        maximum=members["max"].integer() if bounds else None,
    )


def _state(name: str, node: Node) -> State:
    members = node.members(STATE, required=("emits",))
    total = members["total"].number() if "total" in members else None
    return State(
        name=name,
        emits=_text(members, "emits"),
        next=_transitions(members["next"], total or 100.0) if "next" in members else (),
        total=100.0 if total is None else total,
        outcome=_one_of(OUTCOMES, members["outcome"]) or "completed" if "outcome" in members else None,
    )


def _transitions(node: Node, total: float) -> tuple[Transition, ...]:
    items = [(item, item.members(TRANSITION, required=("to", "delay"))) for item in node.items()]
    weights = [members["weight"].number() if "weight" in members else None for _, members in items]
    for (item, members), weight in zip(items, weights, strict=True):
        if weight is None and "weight" not in members and len(items) > 1 and item.is_mapping:
            item.complain("'weight' is required where a state has several transitions")
    known = sum(weight for weight in weights if weight is not None)
    rest = (total - known) / (weights.count(None) or 1)  # of the only transition, or in place of an unreadable weight
    return tuple(
        Transition(
            to=_text(members, "to"),
            delay=_delay(members["delay"]) if "delay" in members else Fixed(value=0),
            weight=rest if weight is None else weight,
        )
        for (_, members), weight in zip(items, weights, strict=True)
    )


def _delay(node: Node) -> Delay:
    """Milliseconds; a delay that cannot be read is noted and counts as none."""
    members = node.members(DELAYS)
    if node.is_mapping and len(members) != 1:
        node.complain(f"expected exactly one of {listed(DELAYS)}, got {listed(members)}")
    for name, member in members.items():
        if name in DELAYS and (delay := _distribution(name, member)) is not None:
            return delay
    return Fixed(value=0)


def _distribution(name: str, node: Node) -> Delay | None:
    if name == "fixed":
        value = node.number()
        return None if value is None else Fixed(value=value)
    if name == "uniform":
        bounds = [item.number() for item in node.items()]
        if len(bounds) == 2 and bounds[0] is not None and bounds[1] is not None:
            return Uniform(minimum=bounds[0], maximum=bounds[1])
        if len(bounds) != 2:
            node.complain(f"expected [min, max], got {len(bounds)} items")
        return None
    return _shaped(name, node)


def _shaped(name: str, node: Node) -> Delay | None:
    needed = DELAYS[name]
    members = node.members((*needed, "min", "max"), required=needed)
    numbers = {key: number for key, member in members.items() if (number := member.number()) is not None}
    if not numbers.keys() >= set(needed):
        return None
    minimum, maximum = numbers.get("min", 0.0), numbers.get("max")
    if name == "exponential":
        return Exponential(mean=numbers["mean"], minimum=minimum, maximum=maximum)
    return LogNormal(median=numbers["median"], p95=numbers["p95"], minimum=minimum, maximum=maximum)


def _text(members: Mapping[str, Node], name: str) -> str:
    return (members[name].text() or "") if name in members else ""


def _values(members: Mapping[str, Node], name: str) -> tuple[Any, ...] | None:
    return tuple(item.plain() for item in members[name].items()) if name in members else None


def _one_of(allowed: tuple[Word, ...], node: Node) -> Word | None:
    value = node.plain()
    if value in allowed:
        return cast("Word", value)
    node.complain(f"expected one of {listed(allowed)}, got {shown(value)}")
    return None
