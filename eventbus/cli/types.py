"""Kinds of option values that more than one command takes."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import click

from eventbus.durations import parse_duration, parse_instant


class Duration(click.ParamType):
    """`30s`, `5m`, `1h`, `2d`, `250ms`, or a combination (`1h30m`), as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        seconds = parse_duration(value)
        if seconds is None:
            self.fail(
                f"expected a number with a unit (ms, s, m, h, d, w), such as 30s or 1h30m, got {value!r}", param, ctx
            )
        return seconds


class TypeName(click.ParamType):
    """An event type, or the short name of a visitor event."""

    name = "event type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from eventbus.catalog.model import full_name

        return full_name(str(value))


class Finite(click.FloatRange):
    """A number within bounds; `nan` is neither below nor above any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"expected a number {self._describe_range()}, got {value!r}", param, ctx)
        return float(number)


class Instant(click.ParamType):
    """A date or a time in ISO 8601, UTC unless it has a zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        instant = parse_instant(value)
        if instant is None:
            self.fail(f"expected a time such as 2026-01-01T00:00:00Z, got {value!r}", param, ctx)
        return instant
