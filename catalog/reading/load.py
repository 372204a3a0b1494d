"""Loads YAML files: reads every file, validates the whole, and reports all mistakes together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from eventbus.catalog.errors import InvalidCatalog, Mistake, did_you_mean, format_path, join_names
from eventbus.catalog.model import (
    DEFAULT_PARTITIONS,
    INTEGER_ATTRIBUTES,
    Chain,
    EventType,
    FieldType,
    PayloadField,
    Sections,
    emitters,
    split,
)
from eventbus.catalog.reading.chains import read_chain
from eventbus.catalog.reading.document import YamlNode, read_document, text_of, values_of
from eventbus.catalog.validation import validate

# A file's `events` section: one node → one `EventType`.


EVENT = ("description", "source", "schema_version", "payload")
FIELD = (
    *("type", "description", "required", "examples"),
    *("fields", "value", "choices", "pick", "var", "template", "visit", "elapsed", "attempt", "min", "max", "decimals"),
)
TYPES: tuple[FieldType, ...] = get_args(FieldType)


def read_event(name: str, node: YamlNode, source: str | None, domain: str | None) -> EventType:
    """One event type.

    Args:
        source: what the file gives as `source` for all its events, or None.
        domain: what the file gives as `domain`, or None.
    """
    members = node.members(EVENT)
    if "source" not in members and source is None:
        node.complain("'source' is required, here or once for the whole file")
    if domain is not None and not name.startswith(f"{domain}."):
        node.complain(f"expected a name that starts with the file's domain {domain}., got {name!r}")
    return EventType(
        name=name,
        source=text_of(members, "source") or source or "",
        schema_version=text_of(members, "schema_version") or "1.0.0",
        description=text_of(members, "description"),
        payload=_fields(members["payload"]) if "payload" in members else (),
    )


def _fields(node: YamlNode) -> tuple[PayloadField, ...]:
    found = [_field(name, member) for name, member in node.mapping().items()]
    return tuple(one for one in found if one is not None)


def _field(name: str, node: YamlNode) -> PayloadField | None:
    """None when the field is not readable, so that nothing is checked twice."""
    before = len(node.mistakes)
    members = node.members(FIELD)
    fields = _fields(members["fields"]) if "fields" in members else None
    kind = members["type"].one_of(TYPES) if "type" in members else "object" if fields is not None else None
    if "type" not in members and kind is None and node.is_mapping:
        node.complain(f"'type' is required; allowed are {join_names(TYPES)}")
    made = PayloadField(
        name=name,
        type=kind or "string",
        description=text_of(members, "description"),
        required="required" not in members or members["required"].flag() is not False,
        fields=fields,
        value=members["value"].plain() if "value" in members else None,
        choices=values_of(members, "choices"),
        pick=text_of(members, "pick") or None,
        var=text_of(members, "var") or None,
        template=text_of(members, "template") or None,
        visit=text_of(members, "visit") or None,
        elapsed=bool("elapsed" in members and members["elapsed"].flag()),
        attempt=bool("attempt" in members and members["attempt"].flag()),
        minimum=members["min"].number() if "min" in members else None,
        maximum=members["max"].number() if "max" in members else None,
        decimals=(members["decimals"].integer() or 0) if "decimals" in members else 0,
        examples=values_of(members, "examples") or (),
    )
    return made if len(node.mistakes) == before else None


def with_allowed_values(sections: Sections) -> dict[str, EventType]:
    """The event types with `allowed` of every payload field filled in, where the values are known."""
    emitting = emitters(sections.chains)
    return {
        name: replace(
            event, payload=tuple(_with_allowed(field, sections, emitting.get(name, [])) for field in event.payload)
        )
        for name, event in sections.events.items()
    }


def _with_allowed(field: PayloadField, sections: Sections, chains: list[Chain]) -> PayloadField:
    if field.fields is not None:
        return replace(field, fields=tuple(_with_allowed(inner, sections, chains) for inner in field.fields))
    return replace(field, allowed=_allowed(field, sections, chains))


def _allowed(field: PayloadField, sections: Sections, chains: list[Chain]) -> tuple[Any, ...] | None:
    if field.value is not None:
        return (field.value,)
    if field.pick is not None:
        return _list_values(sections, *split(field.pick))
    if field.var is not None:
        return _variable_values(field.var, sections, chains)
    if field.visit is not None:
        return _visit_values(field.visit, chains)
    return field.choices


def _variable_values(reference: str, sections: Sections, chains: list[Chain]) -> tuple[Any, ...] | None:
    """The values of a variable in all chains; None if one of them draws a number, or no chain emits the event."""
    name, attribute = split(reference)
    lists = [chain.variables[name].list for chain in chains]
    if not lists or None in lists:
        return None
    return tuple(value for items in dict.fromkeys(lists) if items for value in _list_values(sections, items, attribute))


def _visit_values(attribute: str, chains: list[Chain]) -> tuple[Any, ...] | None:
    """The texts of the sites of all chains; None for integers, and for referrers, which may be external."""
    if attribute in INTEGER_ATTRIBUTES or attribute == "referrer":
        return None
    sites = (chain.visitors for chain in chains if chain.visitors)
    return tuple(text for site in sites for text in dict.fromkeys(site.texts(attribute)))


def _list_values(sections: Sections, name: str, attribute: str | None) -> tuple[Any, ...]:
    items = sections.lists[name]
    return items if attribute is None else tuple(item[attribute] for item in items)


# Files and folders.

FILE = ("alone", "domain", "source", "partitions", "lists", "events", "chains")
SECTIONS = ("partitions", "lists", "events", "chains")


@dataclass(slots=True)
class DraftSections:
    """The definitions read so far: of each section by name, and the node of each."""

    mistakes: list[Mistake] = field(default_factory=list)
    sections: dict[str, dict[str, Any]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    nodes: dict[tuple[str, str], YamlNode] = field(default_factory=dict)

    def define(self, section: str, name: str, value: Any, node: YamlNode, defined: set[tuple[str, str]]) -> None:
        """Add a definition, or replace the one of an earlier path.

        Args:
            defined: what the current path has defined so far; defining it twice is a mistake.
        """
        key = (section, name)
        if key in defined:
            first = self.nodes[key]
            node.complain(f"duplicate name {name!r}: it is already defined in {first.file}, line {first.line}")
            return
        defined.add(key)
        self.sections[section][name] = value
        self.nodes[key] = node

    def keep_only(self, kept: set[tuple[str, str]]) -> None:
        """Drop all definitions but these."""
        for section, name in self.nodes.keys() - kept:
            del self.sections[section][name], self.nodes[section, name]


def load_sections(paths: Sequence[Path]) -> Sections:
    """Read files, and folders of `*.yaml` and `*.yml`, in order; a later path replaces the definitions of earlier ones.

    Raises:
        InvalidCatalog: with every mistake of every file.
    """
    draft = DraftSections()
    for path in paths:
        defined: set[tuple[str, str]] = set()
        for file in _files(path, draft.mistakes):
            document = read_document(file, draft.mistakes)
            if document is not None:
                _read_file(document, draft, defined)
    sections = Sections(**draft.sections)
    for loc, problem in validate(sections):
        node = draft.nodes[str(loc[0]), str(loc[1])].at(loc[2:])
        draft.mistakes.append(Mistake(node.file, node.line, format_path(loc), problem))
    if draft.mistakes:
        raise InvalidCatalog(_in_order(draft.mistakes))
    domains = dict.fromkeys(sorted(event.domain for event in sections.events.values()), DEFAULT_PARTITIONS)
    return replace(sections, events=with_allowed_values(sections), partitions={**domains, **sections.partitions})


def _files(path: Path, mistakes: list[Mistake]) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in {".yaml", ".yml"})
    if not files:
        mistakes.append(Mistake(str(path), 1, "file", "the folder has no *.yaml file"))
    return files


def _in_order(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """By file in the order read, then by line."""
    files: dict[str, list[Mistake]] = {}
    for mistake in mistakes:
        files.setdefault(mistake.file, []).append(mistake)
    return [mistake for group in files.values() for mistake in sorted(group, key=lambda mistake: mistake.line)]


def _read_file(document: YamlNode, draft: DraftSections, defined: set[tuple[str, str]]) -> None:
    members = document.members(FILE)
    if members["alone"].flag():
        draft.keep_only(defined)
    domain = members["domain"].text()
    source = members["source"].text() or "" if "source" in members else None
    if "partitions" in members:
        _read_partitions(members["partitions"], domain, draft, defined)
    for name, node in members["lists"].mapping().items():
        draft.define("lists", name, _list(name, node, draft), node, defined)
    for name, node in members["events"].mapping().items():
        draft.define("events", name, read_event(name, node, source, domain), node, defined)
    for name, node in members["chains"].mapping().items():
        draft.define("chains", name, read_chain(name, node), node, defined)


def _read_partitions(node: YamlNode, domain: str | None, draft: DraftSections, defined: set[tuple[str, str]]) -> None:
    """A number for the file's domain, or one for each domain by name."""
    if not node.is_mapping and domain is None:
        node.integer()
        node.complain("partitions belong to a domain: give `domain` too, such as omninode.agent")
        return
    for name, member in (node.mapping() if node.is_mapping else {domain or "": node}).items():
        count = member.integer()
        if count is not None and count < 1:
            member.complain(f"expected at least 1 partition, got {count}")
        elif count is not None:
            draft.define("partitions", name, count, member, defined)


def _list(name: str, node: YamlNode, draft: DraftSections) -> tuple[Any, ...]:
    """The items; `{extend: […]}` adds to the list of this name in an earlier path."""
    if not node.is_mapping:
        return _items(node)
    members = node.members(("extend",), required=("extend",))
    if "extend" not in members:
        return ()
    lists: dict[str, tuple[Any, ...]] = draft.sections["lists"]
    if name not in lists:
        node.complain(f"no list {name!r} to extend{did_you_mean(name, lists)}; there are {join_names(lists)}")
    return lists.get(name, ()) + _items(members["extend"])


def _items(node: YamlNode) -> tuple[Any, ...]:
    before = len(node.mistakes)
    items = tuple(item.plain() for item in node.items())
    if not items and len(node.mistakes) == before:
        node.complain("a list needs at least one item")
    return items
