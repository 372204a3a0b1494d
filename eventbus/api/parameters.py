"""What clients may ask with: each parameter parsed once, at the border, with a sentence for what does not fit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from eventbus.api.problems import bad_request
from eventbus.catalog.model import full_name
from eventbus.durations import parse_moment
from eventbus.event import uuid_pattern

MAX_AGE = timedelta(weeks=5200)
"""A hundred years: more is a slip of the finger, and leaves the calendar."""


def parse_uuid(text: str) -> str:
    """The lower-case form of a UUID given in any case. Raises ValueError."""
    lower = text.lower()
    if not uuid_pattern.fullmatch(lower):
        raise ValueError("expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")
    return lower


def validate_moment(value: object) -> datetime | timedelta:
    """An instant (ISO 8601; UTC when it names no zone), or how long ago (`90s`, `15m`, `1h30m`, `7d`).

    Raises:
        ValueError: neither of the two, or longer ago than `MAX_AGE`.
    """
    parsed = parse_moment(value) if isinstance(value, str) else None
    if parsed is None:
        raise ValueError("expected ISO 8601 such as 2026-01-01T00:00:00Z, or how long ago, such as 15m, 1h or 7d")
    if isinstance(parsed, timedelta) and parsed > MAX_AGE:
        raise ValueError(f"expected at most {MAX_AGE.days} days ago")
    return parsed


def instant(when: datetime | timedelta | None, now: datetime) -> datetime | None:
    """A parsed moment as a time."""
    return now - when if isinstance(when, timedelta) else when


def _storable(text: str) -> str:
    if "\0" in text:  # PostgreSQL has no such text
        raise ValueError("expected text without NUL characters")
    return text


def _typed(text: str) -> str:
    """Visitor events have short names."""
    return full_name(_storable(text))


UUID_SCHEMA = {"type": "string", "format": "uuid"}
MOMENT_SCHEMA = {"type": "string", "examples": ["15m", "2026-01-01T00:00:00Z"]}

Uuid = Annotated[str, AfterValidator(parse_uuid), WithJsonSchema(UUID_SCHEMA)]
Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_storable)]
TypeName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_typed)]
Moment = Annotated[datetime | timedelta, BeforeValidator(validate_moment), WithJsonSchema(MOMENT_SCHEMA)]


class Window(BaseModel):
    """A span of time; unknown parameters are refused, so that a mistyped filter cannot answer with everything."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(None, description="From when on: ISO 8601, or how long ago: 15m, 1h, 7d")
    until: Moment | None = Field(None, description="Before when: the same forms")

    def bounds(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Both ends as times.

        Raises:
            Refusal: it ends before it begins.
        """
        since, until = instant(self.since, now), instant(self.until, now)
        if since and until and until <= since:
            raise bad_request("until", f"expected a time after since ({since.isoformat()}), got {until.isoformat()}")
        return since, until


class EventQuery(Window):
    """Which stored events, newest first."""

    correlation_id: Uuid | None = Field(None, description="All events of one chain")
    event_type: TypeName | None = Field(None, examples=["omninode.agent.execution.started.v1", "page_visited"])
    tenant_id: Text | None = None
    namespace: Text | None = None
    source: Text | None = None
    limit: int = Field(100, ge=1, le=1000)
    cursor: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_storable)] | None = Field(
        None, description="`next_cursor` of the page before"
    )


class StatisticsQuery(Window):
    """Statistics of what."""

    tenant_id: Text | None = None


class StreamQuery(BaseModel):
    """Which live events, and from where on."""

    model_config = ConfigDict(extra="forbid")

    event_type: TypeName | None = None
    tenant_id: Text | None = None
    correlation_id: Uuid | None = None
    after: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Id of the last frame seen; the header Last-Event-ID says the same"
    )
