"""Durations and rates as people write them: `1h30m`, `600/h`."""

from __future__ import annotations

import re

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
