"""Parameters: any text is a value or an error message."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eventbus.api.parameters import EventQuery, TimeRange, parse_uuid, validate_moment
from eventbus.api.problems import ProblemError

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones)


def is_uuid(text: str) -> bool:
    """Whether the standard library reads it as a UUID with dashes."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


@given(st.uuids(), st.booleans())
def test_a_uuid_is_read_in_any_case_and_kept_in_lower_case(value: uuid.UUID, upper: bool) -> None:
    """UUIDs are case-insensitive."""
    assert parse_uuid(str(value).upper() if upper else str(value)) == str(value)


@given(st.text().filter(lambda text: not is_uuid(text)))
def test_what_is_no_uuid_is_refused(text: str) -> None:
    """Other texts raise ValueError, and no other exception."""
    with pytest.raises(ValueError, match="expected a UUID"):
        parse_uuid(text)


@given(instants)
def test_an_instant_survives_its_text_form(when: datetime) -> None:
    """ISO 8601 with any zone is accepted, also if the `+` was sent unescaped."""
    assert validate_moment(when.isoformat()) == when
    assert validate_moment(when.isoformat().replace("+", " ")) == when


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of the process cannot be changed here")
def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without a zone is UTC, whatever the zone of the process."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert validate_moment("2026-01-01T12:00:00") == NOW
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("-1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(weeks=2)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(hours=1, minutes=30)),
    ],
)
def test_a_relative_time_says_how_long_ago(text: str, ago: timedelta) -> None:
    """A duration, with or without a minus."""
    assert validate_moment(text) == ago
    assert TimeRange(since=text).bounds(NOW) == (NOW - ago, None)


@given(st.one_of(st.text(), st.from_regex(r"-?[0-9]{1,12}(ms|s|m|h|d|w|y)?", fullmatch=True), st.integers()))
def test_any_text_is_a_moment_or_a_value_error(text: object) -> None:
    """Every accepted moment can be subtracted from the time of now."""
    with suppress(ValueError):
        moment = validate_moment(text)
        assert isinstance(moment, datetime) or NOW - moment <= NOW


@pytest.mark.parametrize("text", ["", "soon", "15", "15 m", "99999999w", "2026-13-01", "0001-01-01T00:00:00+14:00", 5])
def test_what_is_no_moment_is_refused_with_what_was_expected(text: object) -> None:
    """The message has both formats, or the limit exceeded."""
    with pytest.raises(ValueError, match="expected"):
        validate_moment(text)


@given(instants, instants)
def test_a_time_range_must_not_be_empty(since: datetime, until: datetime) -> None:
    """An empty range is an error of the client."""
    window = TimeRange(since=since.isoformat(), until=until.isoformat())
    if since < until:
        assert window.bounds(NOW) == (since, until)
    else:
        with pytest.raises(ProblemError, match="invalid until"):
            window.bounds(NOW)


@given(st.integers())
def test_a_limit_is_between_1_and_1000(limit: int) -> None:
    """Other limits are errors; they are not clipped."""
    if 1 <= limit <= 1000:
        assert EventQuery(limit=limit).limit == limit
    else:
        with pytest.raises(ValidationError):
            EventQuery(limit=limit)
