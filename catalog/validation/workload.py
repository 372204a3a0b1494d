"""Rules for arrivals: rates that exist, a clock that is known, somebody who comes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from eventbus.catalog.errors import Location
from eventbus.catalog.model import (
    Arrivals,
    ClosedWorkload,
    ConstantRate,
    Delay,
    Exponential,
    Fixed,
    OpenWorkload,
    Profile,
    Spacing,
    Stages,
    Uniform,
)

# Rules for delays.


def delay_problems(delay: Delay) -> Iterator[str]:
    """What is wrong with a delay."""
    if isinstance(delay, Fixed):
        if delay.value < 0:
            yield f"expected a delay of 0 ms or more, got {delay.value:g}"
        return
    low, high = delay.minimum, delay.maximum
    if low < 0:
        yield f"expected a delay of 0 ms or more, got min {low:g}"
    if high is not None and high < low:
        yield f"delay max {high:g} is below min {low:g}"
    if isinstance(delay, Uniform):
        return
    if isinstance(delay, Exponential):
        if delay.mean <= 0:
            yield f"expected a mean above 0 ms, got {delay.mean:g}"
    elif delay.median <= 0:
        yield f"expected a median above 0 ms, got {delay.median:g}"
    elif delay.p95 <= delay.median:
        yield f"p95 {delay.p95:g} must be above the median {delay.median:g}"


Problem = tuple[Location, str]
"""Where, as a path from the `arrivals` section (`("stages", 0, "duration")`), and what is wrong there."""

SLOWEST, FASTEST = 1e-6, 1e7
"""Chains per second."""
SMOOTHEST, BURSTIEST = 0.1, 10.0
"""Coefficients of variation."""
SHORTEST, LONGEST = 0.001, 100 * 366 * 86_400
"""Seconds."""
BILLION = 1e9
"""Chains in all stages, or in an hour of a profile: more could not be counted exactly."""
MOST_USERS = 1_000_000
HOURS, DAYS = 24, 7


def arrivals_problems(arrivals: Arrivals) -> Iterator[Problem]:
    """Everything wrong with arrivals."""
    if isinstance(arrivals, ClosedWorkload):
        yield from _users_problems(arrivals)
        return
    yield from _spacing_problems(arrivals)
    match arrivals.rate:
        case ConstantRate(rate=rate):
            if not SLOWEST <= rate <= FASTEST:
                yield ("rate",), f"expected {SLOWEST} to {FASTEST:,.0f} chains per second, got {rate:g}"
        case Stages() as stages:
            yield from _stages_problems(stages)
        case Profile() as profile:
            yield from profile_problems(profile, ("profile",))


def _spacing_problems(arrivals: OpenWorkload) -> Iterator[Problem]:
    spacing = arrivals.spacing
    if spacing.name != "gamma" and spacing.cv != Spacing().cv:
        yield ("cv",), f"only the spacing gamma has a coefficient of variation, this one is {spacing.name}"
    if not SMOOTHEST <= spacing.cv <= BURSTIEST:
        yield ("cv",), f"expected a coefficient of variation of {SMOOTHEST} to {BURSTIEST:g}, got {spacing.cv:g}"


def _stages_problems(given: Stages) -> Iterator[Problem]:
    for index, stage in enumerate(given.stages):
        place: Location = ("stages", index)
        if not SHORTEST <= stage.duration <= LONGEST:
            yield (*place, "duration"), f"expected a duration of a millisecond to a century, got {stage.duration:g} s"
        for key, rate in (("from", stage.begin), ("to", stage.end)):
            if not 0 <= rate <= FASTEST:
                yield (*place, key), f"expected 0 to {FASTEST:,.0f} chains per second, got {rate:g}"
    chains = sum((stage.begin + stage.end) / 2 * stage.duration for stage in given.stages)
    if chains < SLOWEST and all(stage.duration > 0 for stage in given.stages):
        yield ("stages",), "expected at least one stage with a rate above 0"
    elif not chains <= BILLION:
        yield ("stages",), f"expected at most a billion chains in all stages together, got {chains:,.0f}"


def profile_problems(profile: Profile, place: Location = ()) -> Iterator[Problem]:
    """What is wrong with a profile, whose section is at `place`."""
    sizes = [len(day) for day in profile.hours]
    if len(sizes) not in (1, DAYS) or set(sizes) != {HOURS}:
        got = f"{len(sizes)} lists of {', '.join(map(str, sorted(set(sizes))))}" if len(sizes) != 1 else f"{sizes[0]}"
        yield (*place, "hours"), f"expected {HOURS} numbers, or a list of {HOURS} for each of {DAYS} days, got {got}"
    if len(profile.days) != DAYS:
        yield (*place, "days"), f"expected {DAYS} factors, from Monday on, got {len(profile.days)}"
    for key, numbers in (("hours", [one for day in profile.hours for one in day]), ("days", profile.days)):
        if not all(0 <= number < math.inf for number in numbers):
            yield (*place, key), f"expected numbers from 0 on, got {min(numbers):g} to {max(numbers):g}"
        elif not any(numbers):
            yield (*place, key), "expected at least one number above 0: no chain would ever begin"
    if profile.per_day is not None and not 0 < profile.per_day <= BILLION:
        yield (*place, "per_day"), f"expected up to a billion chains in a day, and more than 0, got {profile.per_day:g}"
    most = max((one for day in profile.hours for one in day), default=0) * max(profile.days, default=0)
    if profile.per_day is None and most > BILLION:
        yield (*place, "hours"), f"expected at most a billion chains in an hour, got {most:g}"
    if not _is_known(profile.time_zone):
        yield (*place, "time_zone"), f"expected a time zone such as Europe/Berlin, got {profile.time_zone!r}"


def _users_problems(users: ClosedWorkload) -> Iterator[Problem]:
    if not 1 <= users.users <= MOST_USERS:
        yield ("users",), f"expected 1 to {MOST_USERS:,} users, got {users.users:,}"
    if not 0 <= users.ramp_up <= LONGEST:
        yield ("stagger",), f"expected 0 s or more, up to a century, got {users.ramp_up:g}"
    for problem in delay_problems(users.think):
        yield ("think",), problem


def _is_known(time_zone: str) -> bool:
    try:
        ZoneInfo(time_zone)
    except (OSError, ValueError):  # a folder, or a text that is no name; `ZoneInfoNotFoundError` is a KeyError
        return False
    except KeyError:
        return False
    return True
