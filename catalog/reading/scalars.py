"""Values as files made for other programs have them: `"10"` is a number, `yes` a flag, `~` is nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from eventbus.catalog.errors import did_you_mean, format_value, join_names
from eventbus.catalog.reading.document import YamlNode

# Durations and rates as people write them: `1h30m`, `600/h`.


SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
PERIODS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86_400.0, "day": 86_400.0}

_number = r"[0-9]+(?:\.[0-9]+)?"
_part = re.compile(rf"({_number})(ms|s|m|h|d)")
_duration = re.compile(rf"({_number}(ms|s|m|h|d))+")
_rate = re.compile(rf"({_number})(?: *(?:/|per) *([a-z]+))?")


def seconds(text: str) -> float | None:
    """`30s`, `5m`, `1h30m`, `250ms`, `2d`; None: this is no duration."""
    if not _duration.fullmatch(text):
        return None
    return sum(float(number) * SECONDS[unit] for number, unit in _part.findall(text))


def per_second(text: str) -> float | None:
    """`10`, `10/s`, `600/h`, `12 per min`, `5000/day`; None: this is no rate."""
    match = _rate.fullmatch(text.strip())
    if match is None or (match[2] or "s") not in PERIODS:
        return None
    return float(match[1]) / PERIODS[match[2] or "s"]


NOTHINGS = ("", "~", "null", "none")
FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def is_nothing(node: YamlNode) -> bool:
    """Whether a member stands there without a value."""
    value = node.plain()
    return value is None or (isinstance(value, str) and value.strip().lower() in NOTHINGS)


def number(node: YamlNode) -> float | None:
    """A number, also as a text; None after noting a mistake."""
    return _leniently_number(node, "a number")


def whole(node: YamlNode) -> int | None:
    """A whole number, also as a text, or as a number with nothing behind its point."""
    found = number(node)
    if found is None or found == int(found):
        return None if found is None else int(found)
    _refuse("a whole number", node)
    return None


def duration(node: YamlNode) -> float | None:
    """Seconds, or a text such as `5m`."""
    value = node.plain()
    found = seconds(value.strip()) if isinstance(value, str) else None
    return _leniently_number(node, "seconds, or a duration such as 30s or 5m") if found is None else found


def flag(node: YamlNode) -> bool | None:
    """True or false in any of their spellings."""
    value = node.plain()
    found = value if isinstance(value, bool) else FLAGS.get(str(value).strip().lower())
    if found is None:
        _refuse("true or false", node)
    return found


def _leniently_number(node: YamlNode, expected: str) -> float | None:
    value = node.plain()
    try:
        found = float(value.replace("_", "")) if isinstance(value, str) else value
    except ValueError:
        found = value
    if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < float("inf"):
        return found
    _refuse(expected, node)
    return None


def _refuse(expected: str, node: YamlNode) -> None:
    node.complain(f"expected {expected}, got {format_value(node.plain())}")


def names(node: YamlNode, known: Mapping[str, object], kind: str) -> tuple[str, ...]:
    """A name or a list of names; one that is not known is a mistake."""
    items = node.items() if node.is_list else [node]
    for item in items:
        name = item.text()
        if name is not None and name not in known:
            item.complain(f"unknown {kind} {name!r}{did_you_mean(name, known)}; there are {join_names(sorted(known))}")
    return tuple(str(item.plain()) for item in items)


def factor(members: Mapping[str, YamlNode], name: str, default: float = 1.0) -> float:
    """A number of 0 or more."""
    value = number(members[name]) if name in members else default
    if value is None:
        return default
    if not 0 <= value < math.inf:
        members[name].complain(f"expected 0 or more, got {value:g}")
    return value
