"""Values as files made for other programs have them: `"10"` is a number, `yes` a flag, `~` is nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from eventbus.catalog.reading import leniently
from eventbus.catalog.reading.quantities import seconds
from eventbus.catalog.reading.source import Node
from eventbus.catalog.words import listed, shown, suggestion

NOTHINGS = ("", "~", "null", "none")
FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def is_nothing(node: Node) -> bool:
    """Whether a member stands there without a value."""
    value = node.plain()
    return value is None or (isinstance(value, str) and value.strip().lower() in NOTHINGS)


def number(node: Node) -> float | None:
    """A number, also as a text; None after noting a mistake."""
    return _number(node, "a number")


def whole(node: Node) -> int | None:
    """A whole number, also as a text, or as a number with nothing behind its point."""
    found = number(node)
    if found is None or found == int(found):
        return None if found is None else int(found)
    _refuse("a whole number", node)
    return None


def duration(node: Node) -> float | None:
    """Seconds, or a text such as `5m`."""
    value = node.plain()
    found = seconds(value.strip()) if isinstance(value, str) else None
    return _number(node, "seconds, or a duration such as 30s or 5m") if found is None else found


def flag(node: Node) -> bool | None:
    """True or false in any of their spellings."""
    value = node.plain()
    found = value if isinstance(value, bool) else FLAGS.get(str(value).strip().lower())
    if found is None:
        _refuse("true or false", node)
    return found


def _number(node: Node, expected: str) -> float | None:
    value = node.plain()
    try:
        found = float(value.replace("_", "")) if isinstance(value, str) else value
    except ValueError:
        found = value
    if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < float("inf"):
        return found
    _refuse(expected, node)
    return None


def _refuse(expected: str, node: Node) -> None:
    node.complain(f"expected {expected}, got {shown(node.plain())}")


def names(node: Node, known: Mapping[str, object], kind: str) -> tuple[str, ...]:
    """A name or a list of names; one that is not known is a mistake."""
    items = node.items() if node.is_list else [node]
    for item in items:
        name = item.text()
        if name is not None and name not in known:
            item.complain(f"unknown {kind} {name!r}{suggestion(name, known)}; there are {listed(sorted(known))}")
    return tuple(str(item.plain()) for item in items)


def factor(members: Mapping[str, Node], name: str, default: float = 1.0) -> float:
    """A number of 0 or more."""
    number = leniently.number(members[name]) if name in members else default
    if number is None:
        return default
    if not 0 <= number < math.inf:
        members[name].complain(f"expected 0 or more, got {number:g}")
    return number
