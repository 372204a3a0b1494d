"""YAML documents whose values know their lines, so that each mistake is reported where it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import yaml

from eventbus.catalog.errors import Location, Mistake, did_you_mean, format_path, format_value, join_names

Word = TypeVar("Word", bound=str)

NOT_RENAMED: Mapping[str, str] = {}


class _CoreLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml is optional
    """Resolves plain scalars much like YAML 1.2's JSON schema.

    `true`, `false`, `null`, `~` and decimal numbers have their meaning; everything else is a text, such as `no`, `on`,
    `True`, `010` and `12:30`.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's interface


for _kind, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", ["~", "n", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)

TEXT, MAP, NULL = ("tag:yaml.org,2002:" + kind for kind in ("str", "map", "null"))
_scalars: dict[str, Callable[[str], Any]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:bool": "true".__eq__,
    "tag:yaml.org,2002:null": lambda _text: None,
}


class YamlNode:
    """One value of a document. What does not fit a request for it is added to the mistakes of the document.

    The readers (`text`, `number`, …) return None after a mistake, or the default that they were given, so that reading
    continues and finds the other mistakes.
    """

    __slots__ = ("_node", "file", "mistakes", "path")

    def __init__(self, node: yaml.Node, file: str, path: Location, mistakes: list[Mistake]) -> None:
        self._node = node
        self.file = node.start_mark.name if node.start_mark.line < 0 else file
        self.path = path
        self.mistakes = mistakes

    @property
    def line(self) -> int:
        """Counted from 1; 0 of a value that an option set (see `override`), whose text is `file`."""
        return int(self._node.start_mark.line) + 1

    def complain(self, problem: str) -> None:
        """Add a mistake at this value."""
        self.mistakes.append(Mistake(self.file, self.line, format_path(self.path), problem))

    def mapping(self, expected: str = "a mapping") -> Members:
        """The members of a mapping by name; empty after a mistake, whose text says what was expected."""
        members = Members(self)
        if not isinstance(self._node, yaml.MappingNode):
            self.complain(f"expected {expected}, got {self._shown()}")
            return members
        for key, value in self._node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._child(key, "?").complain("expected a name, got a list or mapping")
                continue
            name = str(key.value)
            if name in members:
                first = members[name].line
                self._child(key, name).complain(f"duplicate name {name!r}: it is already defined on line {first}")
                continue
            members[name] = self._child(value, name)
        return members

    def members(
        self, allowed: Collection[str], required: Collection[str] = (), renamed: Mapping[str, str] = NOT_RENAMED
    ) -> Members:
        """Like `mapping`, but an unknown or a missing member is a mistake.

        Args:
            renamed: names that are no longer allowed, and what to write instead.
        """
        members = self.mapping(f"a mapping with {join_names(required)}" if required else "a mapping")
        for name, node in members.items():
            if name in renamed:
                node.complain(f"unknown field {name!r}: write {renamed[name]!r} instead")
            elif name not in allowed:
                near = did_you_mean(name, allowed)
                node.complain(f"unknown field {name!r}{near}; allowed are {join_names(allowed)}")
        if isinstance(self._node, yaml.MappingNode):
            for name in required:
                if name not in members:
                    self.complain(f"{name!r} is required, but missing")
        return members

    def items(self) -> list[YamlNode]:
        """The items of a list; empty after a mistake."""
        if not isinstance(self._node, yaml.SequenceNode):
            self.complain(f"expected a list, got {self._shown()}")
            return []
        return [self._child(item, index) for index, item in enumerate(self._node.value)]

    def text(self) -> str | None:
        """A text of at least one character."""
        value = self.plain()
        if isinstance(value, str) and value:
            return value
        self.complain(f"expected a text, got {format_value(value)}")
        return None

    @overload
    def number(self) -> float | None: ...
    @overload
    def number(self, default: float) -> float: ...
    def number(self, default: float | None = None) -> float | None:
        """A finite number."""
        value = self.plain()
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) != float("inf"):
            return value
        self.complain(f"expected a number, got {format_value(value)}")
        return default

    @overload
    def integer(self) -> int | None: ...
    @overload
    def integer(self, default: int) -> int: ...
    def integer(self, default: int | None = None) -> int | None:
        """An integer."""
        value = self.plain()
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.complain(f"expected a whole number, got {format_value(value)}")
        return default

    @overload
    def flag(self) -> bool | None: ...
    @overload
    def flag(self, default: bool) -> bool: ...
    def flag(self, default: bool | None = None) -> bool | None:
        """`true` or `false`."""
        value = self.plain()
        if isinstance(value, bool):
            return value
        self.complain(f"expected true or false, got {format_value(value)}")
        return default

    def one_of(self, allowed: tuple[Word, ...]) -> Word | None:
        """One of these words."""
        value = self.plain()
        for word in allowed:
            if value == word:
                return word
        self.complain(f"expected one of {join_names(allowed)}, got {format_value(value)}")
        return None

    def plain(self) -> Any:
        """The value as JSON has it."""
        return _plain(self._node)

    @property
    def tree(self) -> yaml.Node:
        """The value as PyYAML has it."""
        return self._node

    @property
    def is_mapping(self) -> bool:
        return isinstance(self._node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self._node, yaml.SequenceNode)

    def at(self, path: Location) -> YamlNode:
        """The value at a path below this one, or its nearest ancestor that exists."""
        node = self
        for step in path:
            below = node._step(step)
            if below is None:
                break
            node = below
        return node

    def _step(self, step: str | int) -> YamlNode | None:
        value = self._node.value
        if isinstance(self._node, yaml.MappingNode):
            return next((self._child(v, str(k.value)) for k, v in value if k.value == step), None)
        if isinstance(self._node, yaml.SequenceNode) and isinstance(step, int) and step < len(value):
            return self._child(value[step], step)
        return None

    def _child(self, node: yaml.Node, step: str | int) -> YamlNode:
        return YamlNode(node, self.file, (*self.path, step), self.mistakes)

    def _shown(self) -> str:
        if isinstance(self._node, yaml.ScalarNode):
            return format_value(self.plain())
        return "a mapping" if isinstance(self._node, yaml.MappingNode) else "a list"


class AbsentNode(YamlNode):
    """A member that a mapping does not have: readers return None, their default or nothing, without a mistake."""

    def complain(self, problem: str) -> None:
        """Do nothing: whether the member is required is the mapping's rule."""


class Members(dict[str, YamlNode]):
    """The members of a mapping by name; `members[name]` of a name that it does not have is an `AbsentNode`."""

    def __init__(self, mapping: YamlNode) -> None:
        super().__init__()
        self._mapping = mapping

    def __missing__(self, name: str) -> YamlNode:
        mapping = self._mapping
        absent = yaml.ScalarNode(NULL, "", mapping.tree.start_mark)
        return AbsentNode(absent, mapping.file, (*mapping.path, name), mapping.mistakes)


def compose(text: str | bytes) -> yaml.Node | None:
    """The tree of a text; None if the text is empty.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    node: yaml.Node | None = yaml.compose(text, _CoreLoader)
    return node


def read_document(path: Path, mistakes: list[Mistake]) -> YamlNode | None:
    """The document in a file; None after a mistake, which is added to the list."""
    try:
        text = path.read_bytes()
        node = compose(text)
    except OSError as error:
        mistakes.append(Mistake(str(path), 1, "file", f"cannot be read: {error.strerror}"))
        return None
    except yaml.YAMLError as error:
        mistakes.append(_syntax(path, error))
        return None
    if node is None:
        mistakes.append(Mistake(str(path), 1, "file", "is empty"))
        return None
    document = YamlNode(node, str(path), (), mistakes)
    if b"&" in text and is_cyclic(node, []):
        document.complain("an alias contains itself")
        return None
    return document


def text_of(members: Mapping[str, YamlNode], name: str) -> str:
    """The text of a member; empty if it is absent or, after a mistake, is not a text."""
    return (members[name].text() or "") if name in members else ""


def values_of(members: Mapping[str, YamlNode], name: str) -> tuple[Any, ...] | None:
    """The plain items of a member; None if it is absent."""
    return tuple(item.plain() for item in members[name].items()) if name in members else None


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        try:
            return _scalars.get(node.tag, str)(node.value)
        except ValueError:  # an explicit tag that does not fit, `!!int x`
            return node.value
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return {str(key.value): _plain(value) for key, value in node.value}


def _syntax(path: Path, error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Mistake(str(path), mark.line + 1 if mark else 1, "file", f"is not YAML: {problem}")


def is_cyclic(node: yaml.Node, above: list[yaml.Node]) -> bool:
    """Whether an alias in a node refers to the node itself or to one of its ancestors."""
    if isinstance(node, yaml.ScalarNode):
        return False
    return any(node is ancestor for ancestor in above) or any(
        is_cyclic(child, [*above, node]) for child in _children(node)
    )


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    else:
        for pair in node.value:
            yield from pair


# Overrides (`PATH=VALUE`) change a document before it is read, so that both are checked as one.

OVERRIDE_FORM = "PATH=VALUE, such as simulation.num_users=50 or phases[1].failed=4"
STEP = re.compile(r"\.?([^.\[\]=]+)|\[([0-9]+)\]")
PATH = re.compile(rf"({STEP.pattern})+")


def override(document: YamlNode, options: Sequence[str]) -> YamlNode:
    """The document with its overrides applied in order; what does not work is added to its mistakes.

    A mistake in a value that an option set names the option in place of a file and a line.
    """
    for option in options:
        origin = f"--set {option}"
        path, equals, text = option.partition("=")
        if not equals or not PATH.fullmatch(path):
            document.mistakes.append(Mistake(origin, 0, "option", f"expected {OVERRIDE_FORM}"))
            continue
        loc = _parse_path(path)
        try:
            tree = _changed(document.tree, loc, _value(text, origin))
        except ValueError as error:
            document.mistakes.append(Mistake(origin, 0, format_path(loc), str(error)))
        else:
            document = YamlNode(tree, document.file, document.path, document.mistakes)
    return document


def nest(document: YamlNode, section_of: Mapping[str, str]) -> YamlNode:
    """The document with members of its top level moved into their sections.

    A member that stands in both places is a mistake, unless an option set one of them (see `override`), which counts.

    Args:
        section_of: the section of each member that is moved.
    """
    if not document.is_mapping:
        return document
    pairs = document.tree.value
    moved = [pair for pair in pairs if pair[0].value in section_of]
    rest = [pair for pair in pairs if pair[0].value not in section_of]
    nested = YamlNode(
        yaml.MappingNode(document.tree.tag, rest, document.tree.start_mark), document.file, (), document.mistakes
    )
    for key, value in moved:
        path = (section_of[key.value], key.value)
        member, present = YamlNode(value, document.file, path[1:], document.mistakes), nested.at(path)
        if present.path == path and member.line:
            if present.line:
                member.complain(f"is already given on line {present.line}, as {format_path(path)}")
            continue
        try:
            tree = _changed(nested.tree, path, value)
        except ValueError as error:
            member.complain(str(error))
        else:
            nested = YamlNode(tree, document.file, (), document.mistakes)
    return nested


def _parse_path(path: str) -> Location:
    return tuple(int(index) if index else name for name, index in STEP.findall(path))


def _value(text: str, origin: str) -> yaml.Node:
    """The value of an option, marked with the option as its origin.

    Raises:
        ValueError: it is not YAML, or contains itself.
    """
    try:
        node = compose(text)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {getattr(error, 'problem', None) or error}") from None
    mark = yaml.Mark(origin, 0, -1, 0, None, 0)
    if node is None:
        return yaml.ScalarNode(NULL, "", mark)
    if is_cyclic(node, []):
        raise ValueError("an alias contains itself")
    _set_mark(node, mark)
    return node


def _set_mark(node: yaml.Node, mark: yaml.Mark) -> None:
    """Set the origin of a value and of all values in it."""
    node.start_mark = mark
    if not isinstance(node, yaml.ScalarNode):
        for child in _children(node):
            _set_mark(child, mark)


def _changed(node: yaml.Node, path: Location, value: yaml.Node) -> yaml.Node:
    """A copy of a tree with another value at a path; the tree itself is not changed, as aliases may share its parts.

    Raises:
        ValueError: there is no such path.
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(node, yaml.SequenceNode):
        return _changed_list(node, step, rest, value)
    if isinstance(node, yaml.ScalarNode) and node.tag == NULL:
        node = yaml.MappingNode(MAP, [], node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _changed_mapping(node, str(step), rest, value)
    raise ValueError(f"{format_value(node.value)} has no members, so no {step!r}")


def _changed_list(node: yaml.SequenceNode, step: str | int, rest: Location, value: yaml.Node) -> yaml.Node:
    items = list(node.value)
    index = int(step) if str(step).isdecimal() else -1
    if not 0 <= index <= len(items):
        raise ValueError(f"expected an item from [0] to [{len(items)}] (a new one), got {step!r}")
    old = items[index] if index < len(items) else yaml.ScalarNode(NULL, "", node.start_mark)
    items[index : index + 1] = [_changed(old, rest, value)]
    return yaml.SequenceNode(node.tag, items, node.start_mark)


def _changed_mapping(node: yaml.MappingNode, step: str, rest: Location, value: yaml.Node) -> yaml.Node:
    pairs = list(node.value)
    index = next((index for index, (key, _) in enumerate(pairs) if key.value == step), len(pairs))
    if index < len(pairs):
        key, old = pairs[index]
    else:
        key, old = yaml.ScalarNode(TEXT, step, node.start_mark), yaml.ScalarNode(NULL, "", node.start_mark)
    pairs[index : index + 1] = [(key, _changed(old, rest, value))]
    return yaml.MappingNode(node.tag, pairs, node.start_mark)
