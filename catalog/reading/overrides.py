"""`PATH=VALUE`: changes to a document before it is read, so that it is judged with them as one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import yaml

from eventbus.catalog.errors import Mistake
from eventbus.catalog.reading.source import Node, compose, is_cyclic
from eventbus.catalog.words import Place, path_text, shown

FORM = "PATH=VALUE, such as simulation.num_users=50 or phases[1].failed=4"
STEP = re.compile(r"\.?([^.\[\]=]+)|\[([0-9]+)\]")
PATH = re.compile(rf"({STEP.pattern})+")
TEXT, MAP, NOTHING = ("tag:yaml.org,2002:" + kind for kind in ("str", "map", "null"))


def overridden(document: Node, options: Sequence[str]) -> Node:
    """The document with the options carried out, in their order; what does not work is noted among its mistakes.

    A mistake in a value that came from an option names this option in place of a file and a line.
    """
    for option in options:
        origin = f"--set {option}"
        path, equals, text = option.partition("=")
        if not equals or not PATH.fullmatch(path):
            document.mistakes.append(Mistake(origin, 0, "option", f"expected {FORM}"))
            continue
        place = _place(path)
        try:
            tree = _changed(document.tree, place, _value(text, origin))
        except ValueError as error:
            document.mistakes.append(Mistake(origin, 0, path_text(place), str(error)))
        else:
            document = Node(tree, document.file, document.path, document.mistakes)
    return document


def _place(path: str) -> Place:
    return tuple(int(index) if index else name for name, index in STEP.findall(path))


def _value(text: str, origin: str) -> yaml.Node:
    try:
        node = compose(text)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {getattr(error, 'problem', None) or error}") from None
    elsewhere = yaml.Mark(origin, 0, -1, 0, None, 0)
    if node is None:
        return yaml.ScalarNode(NOTHING, "", elsewhere)
    if is_cyclic(node, []):
        raise ValueError("an alias contains itself")
    _move(node, elsewhere)
    return node


def _move(node: yaml.Node, mark: yaml.Mark) -> None:
    """Say of all values that they are from elsewhere."""
    node.start_mark = mark
    if not isinstance(node, yaml.ScalarNode):
        for child in node.value:
            for each in child if isinstance(child, tuple) else (child,):
                _move(each, mark)


def _changed(node: yaml.Node, path: Place, value: yaml.Node) -> yaml.Node:
    """The node with another value at a path; nothing in it is changed, as an alias may show it in another place too."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(node, yaml.SequenceNode):
        return _list(node, step, rest, value)
    if isinstance(node, yaml.ScalarNode) and node.tag == NOTHING:
        node = yaml.MappingNode(MAP, [], node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, str(step), rest, value)
    raise ValueError(f"there is nothing below {shown(node.value)}, so no {step!r}")


def _list(node: yaml.SequenceNode, step: str | int, rest: Place, value: yaml.Node) -> yaml.Node:
    items = list(node.value)
    index = int(step) if str(step).isdecimal() else -1
    if not 0 <= index <= len(items):
        raise ValueError(f"expected an item from [0] to [{len(items)}] (a new one), got {step!r}")
    old = items[index] if index < len(items) else _nothing(node)
    items[index : index + 1] = [_changed(old, rest, value)]
    return yaml.SequenceNode(node.tag, items, node.start_mark)


def _mapping(node: yaml.MappingNode, step: str, rest: Place, value: yaml.Node) -> yaml.Node:
    pairs = list(node.value)
    at = next((at for at, (key, _) in enumerate(pairs) if key.value == step), len(pairs))
    key, old = pairs[at] if at < len(pairs) else (yaml.ScalarNode(TEXT, step, node.start_mark), _nothing(node))
    pairs[at : at + 1] = [(key, _changed(old, rest, value))]
    return yaml.MappingNode(node.tag, pairs, node.start_mark)


def _nothing(beside: yaml.Node) -> yaml.Node:
    return yaml.ScalarNode(NOTHING, "", beside.start_mark)
