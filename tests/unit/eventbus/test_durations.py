"""The parser of durations and instants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.durations import SECONDS, parse_duration, parse_instant, parse_moment

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PARTS = st.tuples(st.integers(0, 10**9), st.sampled_from(sorted(SECONDS)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5d", 129_600),
        ("2w", 1_209_600),
        ("1w1d1h1m1s1ms", 694_861.001),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    """Units combine, in any order, and numbers may have decimals."""
    assert parse_duration(text) == pytest.approx(seconds)


@given(st.lists(PARTS, min_size=1, max_size=6))
def test_the_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    """A sequence of parts is their sum."""
    assert parse_duration("".join(f"{number}{unit}" for number, unit in parts)) == pytest.approx(
        sum(number * SECONDS[unit] for number, unit in parts)
    )


@pytest.mark.parametrize("text", ["", "5", "5 m", "m", "soon", "-5m", "1,5s", "1e3s", ".5s", "5.s", "5y", "5M", "٣s"])
def test_other_texts_are_no_durations(text: str) -> None:
    """Neither a bare number nor a sign, a space, an exponent or another unit."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01T12:00:00Z",
        "2026-01-01T12:00:00",
        "2026-01-01 12:00",
        "2026-01-01T14:00:00+02:00",
        "2026-01-01T14:00:00 02:00",
    ],
)
def test_an_instant_is_in_utc(text: str) -> None:
    """Whatever zone it names; the `+` of a zone may have become a space."""
    instant = parse_instant(text)
    assert instant == NOON
    assert instant.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "0001-01-01T00:00:00+14:00"])
def test_other_texts_are_no_instants(text: str) -> None:
    """Nor is a time before the first year in UTC."""
    assert parse_instant(text) is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("-15m", timedelta(minutes=15)),
        ("999999999ms", timedelta(milliseconds=999_999_999)),
        ("2026-01-01T12:00:00Z", NOON),
        ("15", None),
        ("--15m", None),
        ("9999999999w", None),
    ],
)
def test_a_moment_is_an_instant_or_a_duration_before_now(text: str, moment: datetime | timedelta | None) -> None:
    """A duration too long for a timedelta is none."""
    assert parse_moment(text) == moment


@given(st.text())
def test_any_text_is_parsed_or_none(text: str) -> None:
    """No text raises."""
    parse_duration(text)
    parse_moment(text)
