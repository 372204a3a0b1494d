"""Scalars of documents that were written for other programs: `"10"` is a number, `yes` a flag, `~` nothing.

Also durations and rates as people write them: `1h30m`, `600/h`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from eventbus.catalog.errors import did_you_mean, format_value, join_names
from eventbus.catalog.reading.document import AbsentNode, YamlNode
from eventbus.durations import parse_duration

PERIODS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86_400.0, "day": 86_400.0}
"""Seconds."""
NULLS = ("", "~", "null", "none")
FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}

_rate = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: *(?:/|per) *([a-z]+))?")


def parse_rate(text: str) -> float | None:
    """Chains per second of `10`, `10/s`, `600/h`, `12 per min` or `5000/day`; None: the text is not a rate."""
    match = _rate.fullmatch(text.strip())
    if match is None or (match[2] or "s") not in PERIODS:
        return None
    return float(match[1]) / PERIODS[match[2] or "s"]


def is_null(node: YamlNode) -> bool:
    """Whether a member has no value."""
    value = node.plain()
    return value is None or (isinstance(value, str) and value.strip().lower() in NULLS)


def coerce_number(node: YamlNode) -> float | None:
    """A finite number, also as a text; None after a mistake."""
    return _coerce_number(node, "a number")


def coerce_integer(node: YamlNode) -> int | None:
    """An integer, also as a text or as a number whose fraction is 0; None after a mistake."""
    number = coerce_number(node)
    if number is None or number == int(number):
        return None if number is None else int(number)
    _refuse("a whole number", node)
    return None


def coerce_duration(node: YamlNode) -> float | None:
    """Seconds as a number, also as a text, or a duration such as `5m`; None after a mistake."""
    value = node.plain()
    seconds = parse_duration(value.strip()) if isinstance(value, str) else None
    return _coerce_number(node, "seconds, or a duration such as 30s or 5m") if seconds is None else seconds


def coerce_flag(node: YamlNode) -> bool | None:
    """True or false in any of the spellings of `FLAGS`; None after a mistake."""
    value = node.plain()
    flag = value if isinstance(value, bool) else FLAGS.get(str(value).strip().lower())
    if flag is None:
        _refuse("true or false", node)
    return flag


def coerce_factor(node: YamlNode) -> float:
    """A number of 0 or more; 1 after a mistake, or if it is absent."""
    number = coerce_number(node)
    if number is None:
        return 1.0
    if not 0 <= number < math.inf:
        node.complain(f"expected 0 or more, got {number:g}")
    return number


def read_names(node: YamlNode, known: Mapping[str, object], kind: str) -> tuple[str, ...]:
    """A name or a list of names; none if it is absent. A name that is not known is a mistake."""
    if isinstance(node, AbsentNode):
        return ()
    items = node.items() if node.is_list else [node]
    for item in items:
        name = item.text()
        if name is not None and name not in known:
            near = did_you_mean(name, known)
            item.complain(f"unknown {kind} {name!r}{near}; there are {join_names(sorted(known))}")
    return tuple(str(item.plain()) for item in items)


def _coerce_number(node: YamlNode, expected: str) -> float | None:
    value = node.plain()
    try:
        number = float(value.replace("_", "")) if isinstance(value, str) else value
    except ValueError:
        number = value
    if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < float("inf"):
        return number
    _refuse(expected, node)
    return None


def _refuse(expected: str, node: YamlNode) -> None:
    node.complain(f"expected {expected}, got {format_value(node.plain())}")
