"""Durations and rates as people write them (`1h30m`, `600/h`), and values that are nothing or 0 or more."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from eventbus.catalog.errors import did_you_mean, format_value, join_names
from eventbus.catalog.reading.document import AbsentNode, YamlNode, parse_number
from eventbus.durations import parse_duration

PERIODS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86_400.0, "day": 86_400.0}
"""Seconds."""
NULLS = ("", "~", "null", "none")

_rate = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: *(?:/|per) *([a-z]+))?")


def parse_rate(text: str) -> float | None:
    """Chains per second of `10`, `10/s`, `600/h`, `12 per min` or `5000/day`; None: the text is not a rate."""
    match = _rate.fullmatch(text.strip())
    if match is None or (match[2] or "s") not in PERIODS:
        return None
    rate = float(match[1]) / PERIODS[match[2] or "s"]
    return rate if math.isfinite(rate) else None


def is_null(node: YamlNode) -> bool:
    """Whether a member has no value."""
    if node.is_mapping or node.is_list:
        return False
    value = node.plain()
    return value is None or str(value).strip().lower() in NULLS


def coerce_number(node: YamlNode) -> float | None:
    """A number; None after a mistake."""
    return node.number()


def coerce_integer(node: YamlNode) -> int | None:
    """An integer; None after a mistake."""
    return node.integer()


def coerce_duration(node: YamlNode) -> float | None:
    """Seconds as a number, also as a text, or a duration such as `5m`; None after a mistake."""
    return _quantity(node, parse_duration, "seconds, or a duration such as 30s or 1h30m")


def coerce_rate(node: YamlNode) -> float | None:
    """Chains per second as a number, also as a text, or a rate such as `600/h`; None after a mistake."""
    return _quantity(node, parse_rate, "chains per second, or a rate such as 600/h or 12/min")


def coerce_flag(node: YamlNode) -> bool | None:
    """True or false; None after a mistake."""
    return node.flag()


def coerce_factor(node: YamlNode) -> float:
    """A number of 0 or more; 1 after a mistake, or if it is absent."""
    number = coerce_number(node)
    if number is None:
        return 1.0
    if number < 0:
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


def read_texts(node: YamlNode) -> dict[str, str]:
    """A mapping of names to texts; what is no text is a mistake, and left out."""
    texts = {name: member.text() for name, member in node.mapping().items()}
    return {name: text for name, text in texts.items() if text is not None}


def _quantity(node: YamlNode, parse: Callable[[str], float | None], expected: str) -> float | None:
    value = node.plain()
    if not isinstance(value, str):
        return node.number(expected=expected)
    text = value.strip()
    number = parse_number(text)
    quantity = parse(text) if number is None else number
    if quantity is None:
        node.complain(f"expected {expected}, got {format_value(value)}")
    return quantity
