"""Loads YAML files: reads every file, validates the whole, and reports all mistakes together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eventbus.catalog.errors import InvalidCatalog, Location, Mistake, did_you_mean, format_path, join_names
from eventbus.catalog.model import DEFAULT_PARTITIONS, Sections
from eventbus.catalog.reading.chains import read_chain
from eventbus.catalog.reading.document import YamlNode, read_document
from eventbus.catalog.reading.events import read_event
from eventbus.catalog.sources import with_allowed_values
from eventbus.catalog.validation import validate

FILE = ("alone", "domain", "source", "partitions", "lists", "events", "chains")
SECTIONS = ("partitions", "lists", "events", "chains")


@dataclass(slots=True)
class DraftSections:
    """The definitions read so far: of each section by name, the node of each, and the files read."""

    mistakes: list[Mistake] = field(default_factory=list)
    sections: dict[str, dict[str, Any]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    nodes: dict[tuple[str, str], YamlNode] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

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

    def place(self, loc: Location) -> tuple[str, int]:
        """The file and line of a location in the catalog; of a section that no file has, the last file."""
        node = self.nodes.get((str(loc[0]), str(loc[1]))) if len(loc) > 1 else None
        if node is None:
            return (self.files[-1], 1) if self.files else ("no file", 0)
        node = node.at(loc[2:])
        return node.file, node.line

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
            draft.files.append(str(file))
            document = read_document(file, draft.mistakes)
            if document is not None:
                _read_file(document, draft, defined)
    sections = Sections(**draft.sections)
    unread = bool(draft.mistakes)
    for loc, problem in validate(sections):
        if len(loc) == 1 and unread:  # a section is empty: perhaps only because it could not be read
            continue
        draft.mistakes.append(Mistake(*draft.place(loc), format_path(loc), problem))
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
