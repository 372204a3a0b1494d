"""When chains begin: `--stages`, `--profile` or `--users` instead of `--rate`, and `--spacing`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from eventbus.cli import types
from eventbus.cli.command import Decorator, option, option_group

if TYPE_CHECKING:
    from eventbus.catalog.model import Arrivals, Delay, Profile, Spacing, Stage, Stages

C = TypeVar("C", bound=Callable[..., Any])

WHEN = "When chains begin"
"""Section of these options and of a command's `--rate`."""

MODELS = ("rate", "stages", "profile", "users")
"""Options of which a command takes one."""
REQUIRES = {"time_zone": "profile", "per_day": "profile", "think": "users", "stagger": "users"}
"""Options that need another one."""


def spacing(text: str) -> Spacing:
    """`poisson`, `regular`, `even`, or `gamma:CV`."""
    from eventbus.catalog.model import Spacing

    name, _, variation = text.partition(":")
    if name in ("poisson", "regular", "even") and not variation:
        return Spacing(name=name)  # type: ignore[arg-type]  # one of the names
    if name != "gamma" or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", variation):
        raise click.BadParameter(f"expected poisson, regular, even or gamma:CV such as gamma:3, got {text!r}")
    return Spacing(name="gamma", cv=float(variation))


def stages(text: str) -> Stages:
    """Rates in turn, constant or changing linearly, each with its duration: `10/s:5m,10-50/s:1m,repeat`."""
    from eventbus.catalog.model import Stages

    parts = text.split(",")
    repeat = parts[-1] == "repeat"
    return Stages(stages=tuple(_stage(part) for part in parts[: len(parts) - repeat]), repeat=repeat)


def _stage(text: str) -> Stage:
    """`10/s:5m`, or `10-50/s:1m`."""
    from eventbus.catalog.model import Stage
    from eventbus.catalog.reading.scalars import parse_rate
    from eventbus.durations import parse_duration

    match = re.fullmatch(r"([0-9.]+)(?:-([0-9.]+))?(/[a-z]+)?:(.+)", text)
    if match:
        first, last, unit, time = match.groups(default="")
        begin, end, duration = parse_rate(first + unit), parse_rate((last or first) + unit), parse_duration(time)
        if begin is not None and end is not None and duration is not None:
            return Stage(duration=duration, begin=begin, end=end)
    raise click.BadParameter(
        f"expected stages such as 10/s:5m,10-50/s:1m, with ,repeat at the end if you like, got {text!r}"
    )


def profile(text: str) -> Profile:
    """A shipped profile by its name, or a file."""
    from eventbus.catalog.reading.arrivals import load_profile

    return load_profile(text)


def think_time(text: str) -> Delay:
    """`5s`, or `2s..15s`: uniformly distributed between the two."""
    from eventbus.catalog import Fixed, Uniform

    low, _, high = text.partition("..")
    bounds = [types.duration(bound) * 1000 for bound in (low, high or low)]
    return Uniform(minimum=bounds[0], maximum=bounds[1]) if high else Fixed(value=bounds[0])


@dataclass(frozen=True, kw_only=True)
class ArrivalOptions:
    """The values of the options."""

    stages: Stages | None = None
    profile: Profile | None = None
    time_zone: str | None = None
    per_day: float | None = None
    users: int | None = None
    think: Delay | None = None
    stagger: float | None = None
    spacing: Spacing | None = None

    def model(self, rate: float) -> Arrivals | None:
        """The arrivals; None if the options name none, so that chains begin at `rate`, in chains per second."""
        from eventbus.catalog.model import THINK, ClosedWorkload, ConstantRate, OpenWorkload, Spacing

        if self.users is not None:
            return ClosedWorkload(users=self.users, think=self.think or THINK, ramp_up=self.stagger or 0.0)
        if not (self.stages or self.profile or self.spacing):
            return None
        return OpenWorkload(
            rate=self.stages or self._adjusted_profile() or ConstantRate(rate=rate), spacing=self.spacing or Spacing()
        )

    def _adjusted_profile(self) -> Profile | None:
        if self.profile is None:
            return None
        profile = self.profile if self.time_zone is None else replace(self.profile, time_zone=self.time_zone)
        return profile if self.per_day is None else replace(profile, per_day=self.per_day)


def arrival_options(rate_option: Decorator, *further: Decorator) -> Callable[[C], C]:
    """The command's own `--rate` and `further` options, then these, which become the argument `arrivals`."""
    own = option_group(WHEN, rate_option, *further)
    models = option_group(
        WHEN,
        option(
            "--stages", type=stages, metavar="RATE:TIME,…",
            help="Rates of new chains in turn, constant or changing: 10/s:5m,10-50/s:1m; end with ,repeat to repeat.",
        ),
        option(
            "--profile", type=profile, metavar="NAME|FILE",
            help="Rates that follow the hours of the day and the week: visitors, office, or a YAML file.",
        ),
        option(
            "--time-zone", metavar="ZONE",
            help="Time zone of the profile's hours, such as Europe/Berlin.  [default: the profile's own]",
        ),
        option(
            "--per-day", type=click.FloatRange(min=0),
            help="Scale the profile to this many chains a day.  [default: the profile's own]",
        ),
        option(
            "--users", type=click.IntRange(min=1),
            help="Begin chains as this many users do, each of whom waits for one chain to end before the next.",
        ),
        option(
            "--think", type=think_time, metavar="TIME[..TIME]",
            help="Time that a user waits between two chains: 5s, or anything in 2s..15s.  [default: 1s]",
        ),
        option(
            "--stagger", type=types.duration,
            help="Ramp-up: time over which the users begin one after the other.  [default: all at once]",
        ),
        option(
            "--spacing", type=spacing, metavar="NAME",
            help="How beginnings are spaced at a given rate: poisson (independent), regular (equal gaps), even "
            "(stratified), or gamma:CV with a coefficient of variation.  [default: poisson]",
        ),
        into=_checked,
        argument="arrivals",
    )  # fmt: skip
    return lambda command: own(models(command))


def _checked(**values: Any) -> ArrivalOptions:
    """Raises click.UsageError: the options contradict each other."""
    context = click.get_current_context()
    models = [name for name in MODELS if values.get(name) is not None]
    if context.get_parameter_source("rate") is ParameterSource.COMMANDLINE:
        models.insert(0, "rate")
    if len(models) > 1:
        raise click.UsageError(f"expected one of {_flags(MODELS)}, got {_flags(models)}")
    _check_requirements(values)
    return ArrivalOptions(**values)


def _check_requirements(values: Mapping[str, Any]) -> None:
    for name, required in REQUIRES.items():
        if values[name] is not None and values[required] is None:
            raise click.UsageError(f"{_flags([name])} needs {_flags([required])}")
    if values["spacing"] is not None and values["users"] is not None:
        raise click.UsageError(
            "--spacing cannot be combined with --users, whose chains start when the previous one ends"
        )


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
