"""Rules for delays and arrivals: numbers in their ranges, time zones that exist, at least one chain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from eventbus.catalog.errors import LocatedProblem, Location
from eventbus.catalog.model import (
    Arrivals,
    ClosedWorkload,
    ConstantRate,
    Delay,
    Exponential,
    Fixed,
    LogNormal,
    OpenWorkload,
    Profile,
    Spacing,
    Stages,
)
from eventbus.catalog.model.delays import MIN_PROBABILITY, longest, mass, widest_cell

MIN_RATE, MAX_RATE = 1e-6, 1e7
"""Chains per second."""
MIN_CV, MAX_CV = 0.1, 10.0
"""Coefficients of variation."""
MIN_DURATION, MAX_DURATION = 0.001, 100 * 366 * 86_400
"""Seconds."""
MAX_CHAINS = 1e9
"""In all stages, or in an hour or day of a profile: more could not be counted exactly."""
MAX_USERS = 1_000_000
HOURS, DAYS = 24, 7


MAX_DELAY = MAX_DURATION * 1000.0
"""Milliseconds: a century."""
MAX_CELL = (1 << 43) / 1000
"""Milliseconds between neighbouring quantiles of a delay: the generator's tables have 43 bits for microseconds."""


def delay_problems(delay: Delay) -> Iterator[str]:
    """The problems of a delay; the generator can sample one that has none."""
    problems = [*_parameter_problems(delay)]
    yield from problems or _sampling_problems(delay)


def _parameter_problems(delay: Delay) -> Iterator[str]:
    if isinstance(delay, Fixed):
        if delay.value < 0:
            yield f"expected a delay of 0 ms or more, got {delay.value:g}"
        return
    low, high = delay.minimum, delay.maximum
    if low < 0:
        yield f"expected a delay of 0 ms or more, got min {low:g}"
    if high is not None and high < low:
        yield f"delay max {high:g} is below min {low:g}"
    if isinstance(delay, Exponential) and delay.mean <= 0:
        yield f"expected a mean above 0 ms, got {delay.mean:g}"
    if isinstance(delay, LogNormal) and delay.median <= 0:
        yield f"expected a median above 0 ms, got {delay.median:g}"
    elif isinstance(delay, LogNormal) and not 1 < delay.p95 / delay.median < math.inf:
        yield f"expected a p95 above the median {delay.median:g}, got {delay.p95:g}"


def _sampling_problems(delay: Delay) -> Iterator[str]:
    """Why a delay whose parameters are in order cannot be sampled."""
    if isinstance(delay, Exponential | LogNormal):
        yield from _quantile_problems(delay)
    elif (top := longest(delay)) > MAX_DELAY:
        yield f"expected a delay of at most a century, got up to {top:.3g} ms"


def _quantile_problems(delay: Exponential | LogNormal) -> Iterator[str]:
    if mass(delay) < MIN_PROBABILITY:
        yield f"expected bounds that leave some of the distribution, got {_describe_bounds(delay)}"
    elif (top := longest(delay)) > MAX_DELAY:
        yield f"expected a delay of at most a century, got up to {top:.3g} ms: give it a `max`"
    elif (width := widest_cell(delay)) >= MAX_CELL:
        days, limit = width / 86_400_000, MAX_CELL / 86_400_000
        yield f"expected neighbouring values less than {limit:.0f} days apart, got {days:,.0f} days: give it a `max`"


def _describe_bounds(delay: Exponential | LogNormal) -> str:
    return f"min {delay.minimum:g}" + ("" if delay.maximum is None else f" and max {delay.maximum:g}")


def arrivals_problems(arrivals: Arrivals) -> Iterator[LocatedProblem]:
    """The problems of arrivals; locations are relative to their section, such as `("stages", 0, "duration")`."""
    if isinstance(arrivals, ClosedWorkload):
        yield from _closed_problems(arrivals)
        return
    yield from _spacing_problems(arrivals)
    match arrivals.rate:
        case ConstantRate(rate=rate):
            if not MIN_RATE <= rate <= MAX_RATE:
                yield ("rate",), f"expected {MIN_RATE} to {MAX_RATE:,.0f} chains per second, got {rate:g}"
        case Stages() as stages:
            yield from _stages_problems(stages)
        case Profile() as profile:
            yield from profile_problems(profile, ("profile",))


def _spacing_problems(arrivals: OpenWorkload) -> Iterator[LocatedProblem]:
    spacing = arrivals.spacing
    if spacing.name != "gamma" and spacing.cv != Spacing().cv:
        yield ("cv",), f"only the spacing gamma has a coefficient of variation, this one is {spacing.name}"
    if not MIN_CV <= spacing.cv <= MAX_CV:
        yield ("cv",), f"expected a coefficient of variation of {MIN_CV} to {MAX_CV:g}, got {spacing.cv:g}"


def _stages_problems(stages: Stages) -> Iterator[LocatedProblem]:
    for index, stage in enumerate(stages.stages):
        loc: Location = ("stages", index)
        if not MIN_DURATION <= stage.duration <= MAX_DURATION:
            yield (*loc, "duration"), f"expected a duration of a millisecond to a century, got {stage.duration:g} s"
        for key, rate in (("from", stage.begin), ("to", stage.end)):
            if not 0 <= rate <= MAX_RATE:
                yield (*loc, key), f"expected 0 to {MAX_RATE:,.0f} chains per second, got {rate:g}"
    chains = sum((stage.begin + stage.end) / 2 * stage.duration for stage in stages.stages)
    if chains < MIN_RATE and all(stage.duration > 0 for stage in stages.stages):
        yield ("stages",), "expected at least one stage with a rate above 0"
    elif not chains <= MAX_CHAINS:
        yield ("stages",), f"expected at most a billion chains in all stages together, got {chains:,.0f}"


def profile_problems(profile: Profile, loc: Location = ()) -> Iterator[LocatedProblem]:
    """The problems of a profile.

    Args:
        loc: of its section.
    """
    sizes = [len(day) for day in profile.hours]
    if len(sizes) not in (1, DAYS) or set(sizes) != {HOURS}:
        actual = (
            f"{len(sizes)} lists of {', '.join(map(str, sorted(set(sizes))))}" if len(sizes) != 1 else f"{sizes[0]}"
        )
        yield (*loc, "hours"), f"expected {HOURS} numbers, or a list of {HOURS} for each of {DAYS} days, got {actual}"
    if len(profile.days) != DAYS:
        yield (*loc, "days"), f"expected {DAYS} factors, from Monday on, got {len(profile.days)}"
    hours = [number for day in profile.hours for number in day]
    for key, numbers in (("hours", hours), ("days", profile.days)):
        if not all(0 <= number < math.inf for number in numbers):
            yield (*loc, key), f"expected numbers from 0 on, got {min(numbers):g} to {max(numbers):g}"
        elif not any(numbers):
            yield (*loc, key), "expected at least one number above 0: no chain would ever begin"
    if profile.per_day is not None and not 0 < profile.per_day <= MAX_CHAINS:
        yield (*loc, "per_day"), f"expected up to a billion chains in a day, and more than 0, got {profile.per_day:g}"
    peak = max(hours, default=0) * max(profile.days, default=0)
    if profile.per_day is None and peak > MAX_CHAINS:
        yield (*loc, "hours"), f"expected at most a billion chains in an hour, got {peak:g}"
    if not _is_time_zone(profile.time_zone):
        yield (*loc, "time_zone"), f"expected a time zone such as Europe/Berlin, got {profile.time_zone!r}"


def _closed_problems(workload: ClosedWorkload) -> Iterator[LocatedProblem]:
    if not 1 <= workload.users <= MAX_USERS:
        yield ("users",), f"expected 1 to {MAX_USERS:,} users, got {workload.users:,}"
    if not 0 <= workload.ramp_up <= MAX_DURATION:
        yield ("stagger",), f"expected 0 s or more, up to a century, got {workload.ramp_up:g}"
    for problem in delay_problems(workload.think):
        yield ("think",), problem


def _is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, a text that is no name, an unknown name
        return False
    return True
