"""Loads YAML files: reads every file, validates the whole, and reports all mistakes together."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from yaml import SequenceNode

from eventbus.catalog.errors import InvalidCatalog, Location, Mistake, did_you_mean, format_path, join_names
from eventbus.catalog.model import DEFAULT_PARTITIONS, Sections, split_reference
from eventbus.catalog.model.events import every_field
from eventbus.catalog.reading.chains import read_chain
from eventbus.catalog.reading.document import YamlNode, read_document
from eventbus.catalog.reading.events import read_event
from eventbus.catalog.reading.merge import completed_item, is_nothing, merged
from eventbus.catalog.sources import ListPick, with_allowed_values
from eventbus.catalog.validation import validate
from eventbus.garbage import collection_paused

FILE = ("alone", "extends", "domain", "source", "partitions", "lists", "events", "chains")
LIST_FORMS = ("extend", "replace")
SECTIONS = ("partitions", "lists", "events", "chains")
SHIPPED = Path(__file__).parents[1] / "data"
SHIPPED_NAME = "shipped"
"""What `extends` calls the shipped catalog."""
MAX_PARTITIONS = 10_000
Key = tuple[str, str]
"""The section and the name of a definition."""


class Context(NamedTuple):
    """What the file of a definition says about all its events."""

    source: str | None = None
    domain: str | None = None


class Definition(NamedTuple):
    """A definition as it was read last."""

    node: YamlNode
    context: Context = Context()
    base: YamlNode | None = None
    """What `node` changes, if its file extends the one of this node."""
    change: YamlNode | None = None
    """The changes alone."""

    def explain(self, mistake: Mistake, loc: Location) -> Mistake:
        """A mistake of values from two files, which names both."""
        if self.base is None or self.change is None:
            return mistake
        is_change = mistake.file == self.change.file
        partner, verb = (self.base, "it changes") if is_change else (self.change, "changed by")
        node = partner.at(loc)
        return mistake._replace(problem=f"{mistake.problem}; {verb} {node.file}:{node.line}")


@dataclass(slots=True)
class DraftSections:
    """The definitions read so far: of each section the values by name, and where they stand."""

    mistakes: list[Mistake] = field(default_factory=list)
    sections: dict[str, dict[str, Any]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    definitions: dict[Key, Definition] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    extended: set[Path] = field(default_factory=set)
    """Files that another one extends, which are not read again."""
    bases: dict[Path, Path] = field(default_factory=dict)
    """The file or folder that a file extends."""
    unfinished: list[Path] = field(default_factory=list)
    """The file that is being read, behind those that extend it."""
    changes: dict[str, YamlNode] = field(default_factory=dict)
    """The changes of definitions of other files, and their removal, by name."""
    replaced: dict[str, YamlNode] = field(default_factory=dict)
    """The lists of the shipped catalog that a file has replaced without saying so, by name."""

    def is_extended(self, base: str, file: str) -> bool:
        """Whether a file extends another one, itself or through others."""
        path = Path(file).resolve()
        while path in self.bases:
            path = self.bases[path]
            if Path(base).resolve().is_relative_to(path):
                return True
        return False

    def is_new(self, key: Key, node: YamlNode, defined: dict[Key, YamlNode]) -> bool:
        """Whether a path defines something for the first time; doing it twice is a mistake.

        A file may define anew what a file that it extends has defined.
        """
        first = defined.get(key)
        if first is not None and not self.is_extended(first.file, node.file):
            node.complain(f"duplicate name {key[1]!r}: it is already defined in {first.file}, line {first.line}")
            return False
        defined[key] = node
        return True

    def define(self, key: Key, value: Any, definition: Definition) -> None:
        """Add a definition, or replace the one of an earlier path."""
        self.sections[key[0]][key[1]] = value
        self.definitions[key] = definition

    def remove(self, key: Key) -> None:
        """Drop a definition."""
        del self.sections[key[0]][key[1]], self.definitions[key]

    def keep_only(self, kept: Collection[Key]) -> None:
        """Drop all definitions but these."""
        for key in self.definitions.keys() - set(kept):
            self.remove(key)

    def complain(self, loc: Location, problem: str) -> None:
        """Add a mistake at a location in the catalog; of a section that no file has, in the last file."""
        definition = self.definitions.get((str(loc[0]), str(loc[1]))) if len(loc) > 1 else None
        if definition is None:
            place = (self.files[-1], 1) if self.files else ("no file", 0)
            self.mistakes.append(Mistake(*place, format_path(loc), problem))
            return
        node = definition.node.at(loc[2:])
        mistake = definition.explain(Mistake(node.file, node.line, format_path(loc), problem), loc[2:])
        for name, change in self.changes.items():
            if definition.base is None and _mentions(problem, name) and change.file != node.file:
                mistake = mistake._replace(problem=f"{problem}; {name} is changed by {change.file}:{change.line}")
        self.mistakes.append(mistake)


def load_sections(paths: Sequence[Path]) -> Sections:
    """Read files, and folders of `*.yaml` and `*.yml`, in order; a later path replaces the definitions of earlier ones.

    Raises:
        InvalidCatalog: with every mistake of every file.
    """
    with collection_paused():
        return _load(paths)


def _load(paths: Sequence[Path]) -> Sections:
    draft = DraftSections()
    for path in paths:
        _read_path(path, draft)
    sections = Sections(**draft.sections)
    unread = bool(draft.mistakes)
    refused = [repr(name) for name in _refuse_replaced_lists(draft, sections)]
    for loc, problem in validate(sections, is_complete=not unread):
        # A section may be empty only because it could not be read, and a list that is refused is no further mistake.
        if (len(loc) > 1 or not unread) and not any(name in problem for name in refused):
            draft.complain(loc, problem)
    if draft.mistakes:
        raise InvalidCatalog(_in_order(draft.mistakes))
    domains = dict.fromkeys(sorted(event.domain for event in sections.events.values()), DEFAULT_PARTITIONS)
    return replace(sections, events=with_allowed_values(sections), partitions={**domains, **sections.partitions})


def _read_path(path: Path, draft: DraftSections) -> None:
    defined: dict[Key, YamlNode] = {}
    for file in _files(path, draft.mistakes):
        if file.resolve() in draft.extended:
            continue
        draft.files.append(str(file))
        document = read_document(file, draft.mistakes)
        if document is not None:
            draft.unfinished.append(file.resolve())
            _FileReader(document, draft, defined).read()
            draft.unfinished.pop()


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


def _refuse_replaced_lists(draft: DraftSections, sections: Sections) -> Iterator[str]:
    """Refuse lists that take the place of shipped ones from which shipped chains or events still draw; their names."""
    drawing = _list_users(sections) if draft.replaced else {}
    for name, shipped in draft.replaced.items():
        users = [key for key in drawing.get(name, ()) if _is_shipped(draft.definitions[key].node)]
        if users and ("lists", name) in draft.definitions:
            draft.complain(
                ("lists", name),
                f"the shipped catalog has a list {name!r} ({shipped.file}:{shipped.line}), from which "
                f"{users[0][1]} draws: choose another name, or say `{{extend: […]}}` or `{{replace: […]}}`",
            )
            yield name


def _mentions(problem: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", problem) is not None


def _is_shipped(node: YamlNode) -> bool:
    return Path(node.file).parent == SHIPPED


class _FileReader:
    """Reads one file into the draft.

    Args:
        defined: what the file's path has defined so far.
    """

    def __init__(self, document: YamlNode, draft: DraftSections, defined: dict[Key, YamlNode]) -> None:
        self._document = document
        self._draft = draft
        self._defined = defined
        self._members = document.members(FILE)
        self._extends = False

    def read(self) -> None:
        """Define all that the file defines."""
        members = self._members
        if members["alone"].flag():
            self._draft.keep_only(self._defined)
        if "extends" in members:
            self._extend(members["extends"])
        domain = members["domain"].text()
        context = Context(members["source"].text() or "" if "source" in members else None, domain)
        if "partitions" in members:
            self._read_partitions(members["partitions"], domain)
        for section in ("lists", "events", "chains"):
            for name, node in members[section].mapping().items():
                self._read((section, name), node, context)

    def _extend(self, node: YamlNode) -> None:
        """Read what the file extends, unless that has been read already."""
        name = node.text()
        if name is None:
            return
        path = SHIPPED if name == SHIPPED_NAME else Path(node.file).parent / name
        if self._members["alone"].flag():
            node.complain("expected either `extends` or `alone: true`, which drops what the file would extend")
        elif not path.exists():
            node.complain(f"expected {SHIPPED_NAME!r} or a file beside this one, got {name!r}")
        elif any(file.is_relative_to(path.resolve()) for file in self._draft.unfinished):
            node.complain("a file cannot extend itself, nor one that extends it")
        else:
            self._extends = True
            self._draft.bases[Path(node.file).resolve()] = path.resolve()
            if not any(Path(file).resolve().is_relative_to(path.resolve()) for file in self._draft.files):
                _read_path(path, self._draft)
                self._draft.extended.add(path.resolve())

    def _read(self, key: Key, node: YamlNode, context: Context) -> None:
        draft, earlier = self._draft, self._draft.definitions.get(key)
        if not draft.is_new(key, node, self._defined):
            return
        if earlier is not None and earlier.node.file != node.file:
            draft.changes[key[1]] = node
        if self._extends and is_nothing(node):
            self._remove(key, node)
            return
        definition = Definition(node, context)
        is_list_form = key[0] == "lists" and node.is_mapping and node.mapping().keys() <= set(LIST_FORMS)
        if is_list_form:
            definition = Definition(self._list(key[1], node, earlier), context)
        elif earlier is not None and self._extends:
            definition = Definition(merged(key[0], earlier.node, node), earlier.context, earlier.node, node)
        elif self._extends and key[0] == "chains" and node.is_mapping and "states" not in node.mapping():
            node.complain(f"no chain {key[1]!r} to change{did_you_mean(key[1], draft.sections['chains'])}")
            return
        elif earlier is not None and key[0] == "lists" and _is_shipped(earlier.node):
            draft.replaced[key[1]] = earlier.node
        self._define(key, definition)

    def _define(self, key: Key, definition: Definition) -> None:
        draft, before, node = self._draft, len(self._draft.mistakes), definition.node
        values: dict[str, Callable[[], Any]] = {
            "lists": lambda: _items(node),
            "events": lambda: read_event(key[1], node, definition.context.source, definition.context.domain),
            "chains": lambda: read_chain(key[1], node),
        }
        draft.define(key, values[key[0]](), definition)
        if definition.base is not None:  # what is wrong in the extended file is so because of the change
            of_base = definition.base.file
            draft.mistakes[before:] = [
                definition.explain(mistake, ()) if mistake.file == of_base else mistake
                for mistake in draft.mistakes[before:]
            ]

    def _remove(self, key: Key, node: YamlNode) -> None:
        names = self._draft.sections[key[0]]
        if key in self._draft.definitions:
            self._draft.remove(key)
        else:
            node.complain(f"no {key[1]!r} to remove{did_you_mean(key[1], names)}; there are {join_names(names, 40)}")

    def _list(self, name: str, node: YamlNode, earlier: Definition | None) -> YamlNode:
        """The items of `{replace: […]}`, or those of the list in an earlier path and of `{extend: […]}`."""
        members = node.members(LIST_FORMS)
        if len(members) != 1:
            node.complain(f"expected exactly one of {join_names(LIST_FORMS)}, got {join_names(members)}")
        form, items = next(iter(members.items()), ("replace", node))
        if earlier is None:
            lists = self._draft.sections["lists"]
            node.complain(f"no list {name!r} to {form}{did_you_mean(name, lists)}; there are {join_names(lists)}")
        if earlier is None or not items.is_list or not earlier.node.is_list:
            return items
        base = earlier.node.tree
        kept = base.value if form == "extend" else []
        completed = [completed_item(base, item, number) for number, item in enumerate(items.items())]
        tree = SequenceNode(base.tag, [*kept, *completed], items.tree.start_mark)
        return YamlNode(tree, node.path, node.mistakes)

    def _read_partitions(self, node: YamlNode, domain: str | None) -> None:
        """A number for the file's domain, or one for each domain by name."""
        if not node.is_mapping and domain is None:
            node.integer()
            node.complain("partitions belong to a domain: give `domain` too, such as omninode.agent")
            return
        for name, member in (node.mapping() if node.is_mapping else {domain or "": node}).items():
            number, key = member.integer(), ("partitions", name)
            if number is not None and not 1 <= number <= MAX_PARTITIONS:
                member.complain(f"expected 1 to {MAX_PARTITIONS:,} partitions, got {number:,}")
            elif number is not None and self._draft.is_new(key, member, self._defined):
                self._draft.define(key, number, Definition(member))


def _items(node: YamlNode) -> tuple[Any, ...]:
    before = len(node.mistakes)
    items = tuple(item.plain() for item in node.items())
    if not items and len(node.mistakes) == before:
        node.complain("a list needs at least one item")
    return items


def _list_users(sections: Sections) -> dict[str, list[Key]]:
    """The chains and event types that draw from each list."""
    users: dict[str, list[Key]] = {}
    for chain in sections.chains.values():
        for variable in chain.variables.values():
            users.setdefault(variable.list or "", []).append(("chains", chain.name))
    for event in sections.events.values():
        for _, payload_field in every_field(event.payload):
            if isinstance(payload_field.source, ListPick):
                name = split_reference(payload_field.source.reference)[0]
                users.setdefault(name, []).append(("events", event.name))
    return users
