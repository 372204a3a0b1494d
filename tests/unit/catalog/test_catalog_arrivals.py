"""The `arrivals` section: each form is read as a value, and every mistake is reported with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventbus.catalog import Fixed, InvalidCatalog, Uniform, UnknownName
from eventbus.catalog.errors import Mistake
from eventbus.catalog.model import Arrivals, ClosedWorkload, ConstantRate, OpenWorkload, Profile, Spacing, Stage, Stages
from eventbus.catalog.reading.arrivals import load_profile, profile_names, read_arrivals
from eventbus.catalog.reading.document import read_document
from eventbus.catalog.reading.scalars import parse_rate
from eventbus.catalog.validation.workload import arrivals_problems
from eventbus.durations import parse_duration


def arrivals(text: str, path: Path) -> tuple[Arrivals, list[Mistake]]:
    """The arrivals of a section, and its mistakes."""
    (path / "arrivals.yaml").write_text(text, encoding="utf-8")
    mistakes: list[Mistake] = []
    node = read_document(path / "arrivals.yaml", mistakes)
    assert node is not None
    return read_arrivals(node), mistakes


GOOD: dict[str, Arrivals] = {
    "rate: 10": OpenWorkload(rate=ConstantRate(rate=10)),
    "{rate: 600/h, spacing: even}": OpenWorkload(rate=ConstantRate(rate=1 / 6), spacing=Spacing(name="even")),
    "{stages: [{rate: 10, duration: 5m}, {from: 10, to: 60/min, duration: 30}], repeat: true}": OpenWorkload(
        rate=Stages(
            stages=(Stage(duration=300, begin=10, end=10), Stage(duration=30, begin=10, end=1)),
            repeat=True,
        )
    ),
    "{rate: 5, spacing: gamma, cv: 3}": OpenWorkload(rate=ConstantRate(rate=5), spacing=Spacing(name="gamma", cv=3)),
    "users: 10": ClosedWorkload(users=10),
    "{users: 3, think: {uniform: [2000, 15000]}, stagger: 30s}": ClosedWorkload(
        users=3, think=Uniform(minimum=2000, maximum=15000), ramp_up=30
    ),
    "{users: 3, think: {fixed: 0}}": ClosedWorkload(users=3, think=Fixed(value=0)),
}


@pytest.mark.parametrize("text", GOOD)
def test_each_form_of_the_section_is_read(text: str, tmp_path: Path) -> None:
    """Each form of the section, as a value."""
    assert arrivals(text, tmp_path) == (GOOD[text], [])


def test_a_profile_has_hours_days_and_a_clock(tmp_path: Path) -> None:
    """A profile with all of its members."""
    text = f"""
    profile:
      hours: {list(range(24))}
      days: {{sunday: 0.5}}
      per_day: 5000
      time_zone: Europe/Berlin
      interpolate: false
    """
    expected = Profile(
        hours=(tuple(map(float, range(24))),),
        days=(1, 1, 1, 1, 1, 1, 0.5),
        per_day=5000,
        time_zone="Europe/Berlin",
        interpolate=False,
    )
    assert arrivals(text, tmp_path) == (OpenWorkload(rate=expected), [])


def test_hours_may_have_a_unit_and_differ_by_day(tmp_path: Path) -> None:
    """A week of 7 times 24 numbers per minute is one of as many per hour, times 60."""
    text = f"profile: {{hours: {[[day] * 24 for day in range(7)]}, unit: per minute}}"
    read, mistakes = arrivals(text, tmp_path)
    assert mistakes == []
    assert isinstance(read, OpenWorkload)
    assert isinstance(read.rate, Profile)
    assert read.rate.hours == tuple((60.0 * day,) * 24 for day in range(7))


def test_a_shipped_profile_can_be_changed(tmp_path: Path) -> None:
    """By its name alone, or with other members beside it."""
    named, none = arrivals("profile: visitors", tmp_path)
    changed, neither = arrivals("profile: {name: visitors, time_zone: Asia/Tokyo}", tmp_path)
    assert none == neither == []
    assert named == OpenWorkload(rate=load_profile("visitors"))
    assert isinstance(changed, OpenWorkload)
    assert isinstance(changed.rate, Profile)
    assert changed.rate.hours == load_profile("visitors").hours
    assert changed.rate.time_zone == "Asia/Tokyo"


BAD = {
    "{}": "expected exactly one of rate, stages, profile, users, got none",
    "{rate: 1, users: 2}": "expected exactly one of rate, stages, profile, users, got rate, users",
    "{rate: 1, think: {fixed: 1}}": "'think' cannot be combined with 'rate'; spacing, cv do",
    "{rat: 1, rate: 1}": "unknown field 'rat' (did you mean 'rate'?)",
    "rate: 0": "expected 1e-06 to 10,000,000 chains per second, got 0",
    "rate: often": "expected chains per second, or a rate such as 600/h or 12/min, got 'often'",
    "{rate: 1, spacing: clumsy}": "expected one of poisson, regular, even, gamma, got 'clumsy'",
    "{rate: 1, cv: 2}": "only the spacing gamma has a coefficient of variation, this one is poisson",
    "{rate: 1, spacing: gamma, cv: 20}": "expected a coefficient of variation of 0.1 to 10, got 20",
    "stages: []": "expected at least one stage with a rate above 0",
    "stages: [{rate: 0, duration: 1m}]": "expected at least one stage with a rate above 0",
    "stages: [{rate: 1}]": "'duration' is required, but missing",
    "stages: [{rate: 1, duration: 0}]": "expected a duration of a millisecond to a century, got 0 s",
    "stages: [{rate: 1, duration: soon}]": "expected seconds, or a duration such as 30s or 1h30m, got 'soon'",
    "stages: [{rate: 1, from: 2, duration: 1}]": "expected either `rate`, or `from` and `to`",
    "stages: [{from: -1, to: 2, duration: 1}]": "expected 0 to 10,000,000 chains per second, got -1",
    "stages: [{rate: 1000000, duration: 1h}]": "expected at most a billion chains in all stages together, got 3,600",
    "profile: {name: visitors, days: [1, 1, 1, 1, 1, 1, 1.0e+8]}": "expected at most a billion chains in an hour",
    "profile: visitor": "expected one of office, visitors, got 'visitor'",
    "profile: {days: [1, 1, 1, 1, 1, 1, 1]}": "expected `hours`, or the `name` of a shipped profile",
    "profile: {hours: [1, 2, 3]}": "expected 24 numbers, or a list of 24 for each of 7 days, got 3",
    "profile: {name: visitors, days: [1, 2]}": "expected 7 factors, from Monday on, got 2",
    "profile: {name: visitors, days: {someday: 2}}": "unknown field 'someday'",
    "profile: {name: visitors, days: [0, 0, 0, 0, 0, 0, 0]}": "expected at least one number above 0",
    "profile: {name: visitors, per_day: 0}": "expected up to a billion chains in a day, and more than 0, got 0",
    "profile: {name: visitors, per_day: 9, unit: per hour}": "with `per_day`, the hours are relative and have no unit",
    "profile: {name: visitors, time_zone: Mars/Base}": "expected a time zone such as Europe/Berlin, got 'Mars/Base'",
    "users: 0": "expected 1 to 1,000,000 users, got 0",
    "{users: 1, stagger: -1}": "expected 0 s or more, up to a century, got -1",
    "{users: 1, think: {fixed: -1}}": "expected a delay of 0 ms or more, got -1",
}


@pytest.mark.parametrize("text", BAD)
def test_a_mistake_is_reported_once_with_its_line(text: str, tmp_path: Path) -> None:
    """One mistake, one sentence, its line."""
    _, mistakes = arrivals(f"\n\n{text}", tmp_path)
    assert [mistake.problem[: len(BAD[text])] for mistake in mistakes] == [BAD[text]]
    assert mistakes[0].line == 3


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    """Each with its line."""
    text = "stages:\n  - {rate: x, duration: 1}\n  - {rate: 1, duration: y}\nspacing: z\n"
    assert [mistake.line for mistake in arrivals(text, tmp_path)[1]] == [4, 2, 3]


def test_a_profile_in_a_file_of_its_own(tmp_path: Path) -> None:
    """Read by its path; a mistake names the file."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"hours: {[1] * 24}\n", encoding="utf-8")
    assert load_profile(file) == Profile(hours=((1,) * 24,))
    file.write_text(f"hours: {[1] * 23}\n", encoding="utf-8")
    with pytest.raises(InvalidCatalog, match=r"mine.yaml:1: hours: expected 24 numbers"):
        load_profile(file)
    with pytest.raises(UnknownName, match=r"expected a profile \(office, visitors\) or a file, got 'visitor'"):
        load_profile("visitor")


@pytest.mark.parametrize("name", profile_names())
def test_the_shipped_profiles_have_no_mistakes(name: str) -> None:
    """Each shipped profile is valid."""
    assert list(arrivals_problems(OpenWorkload(rate=load_profile(name)))) == []


def test_the_default_day_of_visitors() -> None:
    """Night 1-3 an hour, morning 3-8, day 12-20 with its peak at lunch, evening 6-12."""
    hours = load_profile("visitors").hours[0]
    for first, last, low, high in ((0, 5, 1, 3), (6, 8, 3, 8), (9, 17, 12, 20), (18, 23, 6, 12)):
        part = hours[first : last + 1]
        assert (min(part), max(part)) == (low, high)
    assert hours.index(20) == 12


def test_quantities() -> None:
    """Durations and rates as people write them."""
    assert [parse_duration(text) for text in ("30s", "1h30m", "250ms", "1.5d", "", "5", "5 m")] == [
        *(30, 5400, 0.25, 129_600),
        *(None,) * 3,
    ]
    assert [parse_rate(text) for text in ("10", "600/h", "12 per min", "86400/day", "1/week", "fast")] == [
        *(10, 1 / 6, 0.2, 1),
        *(None,) * 2,
    ]
