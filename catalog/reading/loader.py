"""YAML files → `Catalog`: reads every file, checks the whole, and reports all mistakes together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eventbus.catalog.catalog import DEFAULT_PARTITIONS, Catalog
from eventbus.catalog.checks.everything import problems
from eventbus.catalog.errors import InvalidCatalog, Mistake
from eventbus.catalog.reading.chains import read_chain
from eventbus.catalog.reading.events import read_event
from eventbus.catalog.reading.resolve import resolved
from eventbus.catalog.reading.source import Node, read
from eventbus.catalog.words import Place, listed, path_text, suggestion

FILE = ("alone", "domain", "source", "partitions", "lists", "events", "chains")
SECTIONS = ("partitions", "lists", "events", "chains")


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

    def forget(self, kept: set[tuple[str, str]]) -> None:
        """Drop every definition but these."""
        for key in self.places.keys() - kept:
            del self.sections[key[0]][key[1]], self.places[key]

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
    domains = dict.fromkeys(sorted(event.domain for event in catalog.events.values()), DEFAULT_PARTITIONS)
    return replace(catalog, events=resolved(catalog), partitions={**domains, **catalog.partitions})


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
    if "alone" in members and members["alone"].flag():
        draft.forget(folder)
    domain = members["domain"].text() if "domain" in members else None
    source = members["source"].text() or "" if "source" in members else None
    if node := members.get("partitions"):
        _partitions(node, domain, draft, folder)
    for name, node in _section(members, "lists"):
        draft.define("lists", name, _list(name, node, draft), node, folder)
    for name, node in _section(members, "events"):
        draft.define("events", name, read_event(name, node, source, domain), node, folder)
    for name, node in _section(members, "chains"):
        draft.define("chains", name, read_chain(name, node), node, folder)


def _section(members: Mapping[str, Node], name: str) -> Iterable[tuple[str, Node]]:
    return members[name].mapping().items() if name in members else ()


def _partitions(node: Node, domain: str | None, draft: Draft, folder: set[tuple[str, str]]) -> None:
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
            draft.define("partitions", name, count, member, folder)


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
