"""Kinds of option values that more than one command takes."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

import click

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType):
    """`30s`, `5m`, `1h`, `2d`, `250ms`, or a combination (`1h30m`), as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        if not re.fullmatch(r"([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+", value):
            self.fail(
                f"expected a number with a unit (ms, s, m, h, d), such as 30s or 1h30m, got {value!r}", param, ctx
            )
        parts = re.findall(r"([0-9.]+)(ms|s|m|h|d)", value)
        return sum(float(number) * SECONDS[unit] for number, unit in parts)


class TypeName(click.ParamType):
    """An event type, or the short name of a visitor event."""

    name = "event type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from eventbus.catalog.model.visitors import full_name

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
        try:
            instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"expected a time such as 2026-01-01T00:00:00Z, got {value!r}", param, ctx)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
