"""Query and path parameters: their types, validation and error messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from eventbus.api.problems import bad_request
from eventbus.catalog.model import full_name
from eventbus.durations import parse_moment
from eventbus.event import uuid_pattern

MAX_AGE = timedelta(weeks=5200)
"""The longest duration before now, about a hundred years."""


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


def instant(moment: datetime | timedelta | None, now: datetime) -> datetime | None:
    """A moment as a time."""
    return now - moment if isinstance(moment, timedelta) else moment


def _storable(text: str) -> str:
    if "\0" in text:  # PostgreSQL cannot store them
        raise ValueError("expected text without NUL characters")
    return text


def _full_name(text: str) -> str:
    """The event type of a short name, such as those of visitor events."""
    return full_name(_storable(text))


UUID_SCHEMA = {"type": "string", "format": "uuid"}
MOMENT_SCHEMA = {"type": "string", "examples": ["15m", "2026-01-01T00:00:00Z"]}

Uuid = Annotated[str, AfterValidator(parse_uuid), WithJsonSchema(UUID_SCHEMA)]
Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_storable)]
TypeName = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_full_name)]
Moment = Annotated[datetime | timedelta, BeforeValidator(validate_moment), WithJsonSchema(MOMENT_SCHEMA)]


class TimeRange(BaseModel):
    """A time range. Unknown parameters are an error, so that a mistyped filter does not select everything."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(None, description="Start: ISO 8601, or how long ago: 15m, 1h30m, 7d")
    until: Moment | None = Field(None, description="End, exclusive: the same formats")

    def bounds(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Start and end as times.

        Raises:
            ProblemError: the end is not after the start.
        """
        since, until = instant(self.since, now), instant(self.until, now)
        if since and until and until <= since:
            raise bad_request("until", f"expected a time after since ({since.isoformat()}), got {until.isoformat()}")
        return since, until


class EventQuery(TimeRange):
    """Filters of stored events."""

    correlation_id: Uuid | None = Field(None, description="Events of this chain")
    event_type: TypeName | None = Field(None, examples=["omninode.agent.execution.started.v1", "page_visited"])
    tenant_id: Text | None = None
    namespace: Text | None = None
    source: Text | None = None
    limit: int = Field(100, ge=1, le=1000)
    cursor: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_storable)] | None = Field(
        None, description="`next_cursor` of the previous page"
    )


class StatisticsQuery(TimeRange):
    """Filters of statistics."""

    tenant_id: Text | None = None


class StreamQuery(BaseModel):
    """Filters of live events, and where to continue."""

    model_config = ConfigDict(extra="forbid")

    event_type: TypeName | None = None
    tenant_id: Text | None = None
    correlation_id: Uuid | None = None
    after: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Id of the last frame received; the header Last-Event-ID takes precedence"
    )
