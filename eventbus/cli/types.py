"""Parsers of option values that several commands take; each raises `click.BadParameter`."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from eventbus.durations import parse_duration, parse_instant, parse_moment

BYTES = {"": 1, "k": 1000, "M": 10**6, "G": 10**9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class Finite(click.FloatRange):
    """A number within bounds; unlike `click.FloatRange`, it refuses `nan` and infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a number {self._describe_range()}, got {value!r}", param, ctx)
        return float(number)


def duration(text: str) -> float:
    """Seconds of `30s`, `250ms` or `1h30m`."""
    seconds = parse_duration(text)
    if seconds is None:
        raise click.BadParameter(
            f"expected a number with a unit (ms, s, m, h, d, w), such as 30s or 1h30m, got {text!r}"
        )
    return seconds


def instant(text: str) -> datetime:
    """A date or time in ISO 8601; in UTC unless it names a zone."""
    time = parse_instant(text)
    if time is None:
        raise click.BadParameter(f"expected a time such as 2026-01-01T00:00:00Z, got {text!r}")
    return time


def moment(text: str) -> datetime:
    """An instant, or a duration before now."""
    parsed = parse_moment(text)
    try:
        time = parsed if isinstance(parsed, datetime | None) else datetime.now(UTC) - parsed
    except OverflowError:  # before the year 1
        time = None
    if time is None:
        raise click.BadParameter(
            f"expected how long ago, such as 1h, or a time such as 2026-01-01T00:00:00Z, got {text!r}"
        )
    return time


def uuid(text: str) -> str:
    """A UUID in its lower-case form."""
    try:
        return str(UUID(text))
    except ValueError:
        raise click.BadParameter(
            f"expected a UUID such as 0199a0b0-0000-7000-8000-00000000000a, got {text!r}"
        ) from None


def event_type(text: str) -> str:
    """An event type; the short name of a visitor event stands for its full one."""
    from eventbus.catalog.model import full_name

    return full_name(text)


def byte_size(text: str) -> int:
    """Bytes of `500k`, `100M`, `1G` or `64MiB`."""
    match = re.fullmatch(r"([0-9]+)(Ki|Mi|Gi|k|M|G|)B?", text)
    if not match or not int(match[1]):
        raise click.BadParameter(f"expected a size such as 500k, 100M or 64MiB, got {text!r}")
    return int(match[1]) * BYTES[match[2]]
