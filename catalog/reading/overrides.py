"""Changes of a document before it is read: overrides (`PATH=VALUE`), and members moved into their sections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import yaml

from eventbus.catalog.errors import Location, Mistake, format_path, format_value
from eventbus.catalog.reading.document import LIST, MAP, NULL, TEXT, YamlNode, check_tree, children, compose

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
            value = _value(text, origin, loc, document.mistakes)
            tree = document.tree if value is None else _changed(document.tree, loc, value)
        except ValueError as error:
            document.mistakes.append(Mistake(origin, 0, format_path(loc), str(error)))
        else:
            document = YamlNode(tree, document.path, document.mistakes)
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
    moved = [pair for pair in pairs if str(pair[0].value) in section_of]
    rest = [pair for pair in pairs if str(pair[0].value) not in section_of]
    nested = YamlNode(yaml.MappingNode(document.tree.tag, rest, document.tree.start_mark), (), document.mistakes)
    for key, value in moved:
        path = (section_of[key.value], key.value)
        member, present = YamlNode(value, path[1:], document.mistakes), nested.at(path)
        if present.path == path and member.line:
            if present.line:
                member.complain(f"is already given on line {present.line}, as {format_path(path)}")
            continue
        try:
            tree = _changed(nested.tree, path, value)
        except ValueError as error:
            member.complain(str(error))
        else:
            nested = YamlNode(tree, (), document.mistakes)
    return nested


def _parse_path(path: str) -> Location:
    return tuple(int(index) if index else name for name, index in STEP.findall(path))


def _value(text: str, origin: str, path: Location, mistakes: list[Mistake]) -> yaml.Node | None:
    """The value of an option, marked with the option as its origin; None if it cannot be read.

    Raises:
        ValueError: it is not YAML.
    """
    try:
        node = compose(text.encode(), origin)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {getattr(error, 'problem', None) or error}") from None
    mark = yaml.Mark(origin, 0, -1, 0, None, 0)
    if node is None:
        return yaml.ScalarNode(NULL, "", mark)
    _set_mark(node, mark, set())
    return node if check_tree(YamlNode(node, path, mistakes)) else None


def _set_mark(node: yaml.Node, mark: yaml.Mark, marked: set[int]) -> None:
    """Set the origin of a value and of all values in it that are not marked yet."""
    if id(node) not in marked:
        marked.add(id(node))
        node.start_mark = mark
        for child in children(node):
            _set_mark(child, mark, marked)


def _changed(node: yaml.Node, path: Location, value: yaml.Node) -> yaml.Node:
    """A copy of a tree with another value at a path; the tree itself is not changed, as aliases may share its parts.

    Raises:
        ValueError: there is no such path.
    """
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(node, yaml.ScalarNode) and node.tag == NULL:
        mark = value.start_mark
        node = yaml.SequenceNode(LIST, [], mark) if isinstance(step, int) else yaml.MappingNode(MAP, [], mark)
    if isinstance(node, yaml.SequenceNode):
        return _changed_list(node, step, rest, value)
    if isinstance(node, yaml.MappingNode):
        return _changed_mapping(node, str(step), rest, value)
    raise ValueError(f"{format_value(node.value)} has no members, so no {step!r}")


def _changed_list(node: yaml.SequenceNode, step: str | int, rest: Location, value: yaml.Node) -> yaml.Node:
    items = list(node.value)
    index = int(step) if str(step).isdecimal() else -1
    if not 0 <= index <= len(items):
        existing = f"an item from [0] to [{len(items)}] (a new one)" if items else "[0], the first item of the list"
        raise ValueError(f"expected {existing}, got {step!r}")
    old = items[index] if index < len(items) else yaml.ScalarNode(NULL, "", value.start_mark)
    items[index : index + 1] = [_changed(old, rest, value)]
    return yaml.SequenceNode(node.tag, items, node.start_mark)


def _changed_mapping(node: yaml.MappingNode, step: str, rest: Location, value: yaml.Node) -> yaml.Node:
    pairs = list(node.value)
    index = next((index for index, (key, _) in enumerate(pairs) if key.value == step), len(pairs))
    if index < len(pairs):
        key, old = pairs[index]
    else:
        key, old = yaml.ScalarNode(TEXT, step, value.start_mark), yaml.ScalarNode(NULL, "", value.start_mark)
    pairs[index : index + 1] = [(key, _changed(old, rest, value))]
    return yaml.MappingNode(node.tag, pairs, node.start_mark)
