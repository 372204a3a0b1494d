"""Parses durations (`1h30m`) and instants for the catalog, the command line and HTTP.

Each function returns None for text it does not accept: the caller words the error, with its file and line, its option
or its parameter. None of them takes a bare number: whether `5` is five seconds is the caller's to decide.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
"""Length of each unit."""

_part = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_duration = re.compile(rf"(?:{_part.pattern})+")


def parse_duration(text: str) -> float | None:
    """Seconds of `30s`, `250ms`, `1.5d`, `2w`, or of a sequence such as `1h30m`."""
    if not _duration.fullmatch(text):
        return None
    seconds = sum(float(number) * SECONDS[unit] for number, unit in _part.findall(text))
    return seconds if math.isfinite(seconds) else None


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 date or time, in UTC; UTC is also the zone of a text that names none.

    A space before the zone's offset counts as `+`: that is what an unescaped `+` of a URL becomes.
    """
    try:
        instant = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # OverflowError: the offset leaves the calendar
        return None


def parse_moment(text: str) -> datetime | timedelta | None:
    """An instant, or a duration before now (`15m`, `-15m`) as a timedelta."""
    seconds = parse_duration(text.removeprefix("-"))
    if seconds is None:
        return parse_instant(text)
    try:
        return timedelta(seconds=seconds)
    except OverflowError:  # more than a billion days
        return None
