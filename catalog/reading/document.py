"""YAML documents whose values know their lines, so that each mistake is reported where it is."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar, cast, overload

import yaml

from eventbus.catalog.errors import Location, Mistake, did_you_mean, format_path, format_value, join_names
from eventbus.catalog.model.json_types import SAFE, is_number

Word = TypeVar("Word", bound=str)

NOT_RENAMED: Mapping[str, str] = {}


class _CoreLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml is optional
    """Resolves plain scalars by YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), but for numbers.

    `true`, `True`, `TRUE`, `null`, `~` and so on have their meaning. Numbers are decimal and do not begin with zeros:
    `010`, `0x10`, `0o17`, `.inf` and `.nan` are texts, as are `no`, `on`, `12:30` and `2026-01-01`.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's interface


for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)

TEXT, MAP, LIST, NULL, INTEGER, FLOAT, FLAG = (
    "tag:yaml.org,2002:" + kind for kind in ("str", "map", "seq", "null", "int", "float", "bool")
)
TOO_LARGE, REPORTED = "!too-large", "!reported"
"""The tags of a number that 64 bits do not hold, and of one whose mistake is noted: it causes no others."""
FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
"""How a flag may be written where one is expected, in upper or lower case."""
MAX_DIGITS, MAX_INTEGER = 19, 2**63 - 1
MAX_DEPTH = 100
"""Levels of mappings and lists in a document."""
MAX_VALUES = 1_000_000
"""Values in a document, those behind its aliases counted for each alias."""

_digits = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*")
_decimal = re.compile(r"[-+]?(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def parse_number(text: str) -> float | None:
    """The number in a text, an integer exactly; None: the text is no number, or one that 64 bits do not hold."""
    text = text.strip()
    if _digits.fullmatch(text):
        digits = text.replace("_", "")
        number = int(digits) if len(digits.lstrip("+-0")) <= MAX_DIGITS else None
        return number if number is not None and -MAX_INTEGER - 1 <= number <= MAX_INTEGER else None
    decimal = float(text.replace("_", "")) if _decimal.fullmatch(text) else math.inf
    return decimal if math.isfinite(decimal) else None


def _parse_flag(text: str) -> bool:
    """Raises ValueError for a text that is no flag, `!!bool x`, as `int` does."""
    if (flag := FLAGS.get(text.lower())) is None:
        raise ValueError(text)
    return flag


_scalars: dict[str, Callable[[str], Any]] = {
    TEXT: str,
    INTEGER: int,
    FLOAT: float,
    FLAG: _parse_flag,
    NULL: lambda _text: None,
    REPORTED: lambda _text: 0,
}


class YamlNode:
    """One value of a document. What does not fit a request for it is added to the mistakes of the document.

    The readers (`text`, `number`, …) return None after a mistake, or the default that they were given, so that reading
    continues and finds the other mistakes.
    """

    __slots__ = ("_node", "mistakes", "path")

    def __init__(self, node: yaml.Node, path: Location, mistakes: list[Mistake]) -> None:
        self._node = node
        self.path = path
        self.mistakes = mistakes

    @property
    def file(self) -> str:
        """The file that the value stands in, or the option that set it (see `override`)."""
        return str(self._node.start_mark.name)

    @property
    def line(self) -> int:
        """Counted from 1; 0 of a value that an option set."""
        return int(self._node.start_mark.line) + 1

    def complain(self, problem: str) -> None:
        """Add a mistake at this value, unless it is a number whose size was one already."""
        if self._node.tag != REPORTED:
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
    def number(self, *, expected: str = "a number") -> float | None: ...
    @overload
    def number(self, default: float) -> float: ...
    def number(self, default: float | None = None, *, expected: str = "a number") -> float | None:
        """A number, also as a text."""
        value = self.plain()
        number = parse_number(value) if isinstance(value, str) else value
        if is_number(number) and self._node.tag != REPORTED:
            return cast("float", number)
        self.complain(f"expected {expected}, got {format_value(value)}")
        return default

    @overload
    def integer(self) -> int | None: ...
    @overload
    def integer(self, default: int) -> int: ...
    def integer(self, default: int | None = None) -> int | None:
        """An integer, also as a text, or as a number whose fraction is 0."""
        expected = "a whole number"
        number = self.number(expected=expected)
        if isinstance(number, float):
            if number.is_integer() and abs(number) <= SAFE:
                return int(number)
            self.complain(f"expected {expected}, got {format_value(number)}")
            return default
        return default if number is None else number

    @overload
    def flag(self) -> bool | None: ...
    @overload
    def flag(self, default: bool) -> bool: ...
    def flag(self, default: bool | None = None) -> bool | None:
        """True or false, in any of the spellings of `FLAGS`."""
        value = self.plain()
        flag = FLAGS.get(str(value).strip().lower())
        if flag is None or self._node.tag == REPORTED:
            self.complain(f"expected true or false, got {format_value(value)}")
            return default
        return flag

    def one_of(self, allowed: tuple[Word, ...]) -> Word | None:
        """One of these words."""
        value = self.plain()
        for word in allowed:
            if value == word:
                return word
        self.complain(f"expected one of {join_names(allowed)}, got {format_value(value)}")
        return None

    def plain(self) -> Any:
        """The value as JSON has it; 0 in place of a number that 64 bits do not hold, which is a mistake."""
        node = self._node
        if isinstance(node, yaml.SequenceNode):
            return [self._child(item, index).plain() for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return {(name := str(key.value)): self._child(value, name).plain() for key, value in node.value}
        if node.tag == TOO_LARGE:
            text = node.value if len(node.value) <= 40 else f"{node.value[:37]}..."
            self.complain(f"expected a number of at most 64 bits, got {text}")
            node.tag = REPORTED
        try:
            return _scalars.get(node.tag, str)(node.value)
        except ValueError:  # an explicit tag that does not fit, `!!int x`
            return node.value

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
        return YamlNode(node, (*self.path, step), self.mistakes)

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
        return AbsentNode(absent, (*mapping.path, name), mapping.mistakes)


def compose(text: bytes, origin: str) -> yaml.Node | None:
    """The tree of a text; None if the text is empty.

    Args:
        origin: where the text stands, which each node of the tree will name.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    stream = BytesIO(text)
    stream.name = origin  # PyYAML takes the name of a stream for its marks
    node: yaml.Node | None = yaml.compose(stream, _CoreLoader)
    return node


def read_document(path: Path, mistakes: list[Mistake]) -> YamlNode | None:
    """The document in a file; None after a mistake, which is added to the list."""
    try:
        node = compose(path.read_bytes(), str(path))
    except OSError as error:
        mistakes.append(Mistake(str(path), 1, "file", f"cannot be read: {error.strerror}"))
        return None
    except yaml.YAMLError as error:
        mistakes.append(_syntax(path, error))
        return None
    if node is None:
        mistakes.append(Mistake(str(path), 1, "file", "is empty"))
        return None
    document = YamlNode(node, (), mistakes)
    return document if check_tree(document) else None


def text_of(members: Mapping[str, YamlNode], name: str) -> str:
    """The text of a member; empty if it is absent or, after a mistake, is not a text."""
    return (members[name].text() or "") if name in members else ""


def values_of(members: Mapping[str, YamlNode], name: str) -> tuple[Any, ...] | None:
    """The plain items of a member; None if it is absent."""
    return tuple(item.plain() for item in members[name].items()) if name in members else None


def _syntax(path: Path, error: yaml.YAMLError) -> Mistake:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Mistake(str(path), mark.line + 1 if mark else 1, "file", f"is not YAML: {problem}")


def check_tree(document: YamlNode) -> bool:
    """Whether a document can be read; marks numbers that 64 bits do not hold, which are mistakes where they are read.

    Visits each node once, however many aliases lead to it. A document that contains itself, or is too deep or too
    large to be read, gets one mistake and False.
    """
    try:
        _count_values(document.tree, {}, set())
    except ValueError as error:
        document.complain(str(error))
        return False
    return True


def _count_values(tree: yaml.Node, counts: dict[int, int], above: set[int]) -> int:
    """The number of values in a tree, those behind aliases included.

    Args:
        counts: of the nodes visited so far, by identity.
        above: the tree's ancestors.

    Raises:
        ValueError: the tree contains itself, or is too deep or too large.
    """
    if id(tree) in above:
        raise ValueError("an alias contains itself")
    if id(tree) in counts:
        return counts[id(tree)]
    if len(above) >= MAX_DEPTH:
        raise ValueError(f"expected at most {MAX_DEPTH} levels of mappings and lists, but there are more")
    above.add(id(tree))
    count = 1
    for child in children(tree):
        if type(child) is yaml.ScalarNode:
            count += 1
            if child.tag == FLOAT or (child.tag == INTEGER and len(child.value) >= MAX_DIGITS):
                child.tag = child.tag if parse_number(child.value) is not None else TOO_LARGE
        else:
            count += _count_values(child, counts, above)
    above.discard(id(tree))
    if count > MAX_VALUES:
        raise ValueError(f"expected at most {MAX_VALUES:,} values, but aliases make it {count:,}")
    counts[id(tree)] = count
    return count


def children(node: yaml.Node) -> Iterator[yaml.Node]:
    """The nodes below a node, keys of mappings included."""
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
