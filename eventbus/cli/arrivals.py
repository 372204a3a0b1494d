"""Options that say when chains begin: `--stages`, `--profile` or `--users` instead of `--rate`, and `--spacing`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import click
from click.core import ParameterSource

from eventbus.cli.types import Duration

if TYPE_CHECKING:
    from eventbus.catalog.model import Arrivals, Delay, Profile, Spacing, Stage, Stages

C = TypeVar("C", bound=Callable[..., Any])

MODELS = ("rate", "stages", "profile", "users")
BELONGS = {"time_zone": "profile", "per_day": "profile", "think": "users", "stagger": "users"}
"""Options that need another one."""


class SpacingParameter(click.ParamType):
    """`poisson`, `regular`, `even`, or `gamma:CV`."""

    name = "spacing"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Spacing:
        from eventbus.catalog.model import Spacing

        if isinstance(value, Spacing):
            return value
        name, _, cv = str(value).partition(":")
        if name in ("poisson", "regular", "even") and not cv:
            return Spacing(name=name)  # type: ignore[arg-type]  # one of the names
        if name != "gamma" or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", cv):
            self.fail(f"expected poisson, regular, even or gamma:CV such as gamma:3, got {value!r}", param, ctx)
        return Spacing(name="gamma", cv=float(cv))


class StagesParameter(click.ParamType):
    """`10/s:5m,10-50/s:1m,repeat`: rates and how long they hold, or rise and fall."""

    name = "stages"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Stages:
        from eventbus.catalog.model import Stages

        if isinstance(value, Stages):
            return value
        parts = str(value).split(",")
        repeat = parts[-1] == "repeat"
        stages = [_stage(part) or self._refuse(part) for part in parts[: len(parts) - repeat]]
        return Stages(stages=tuple(stages), repeat=repeat)

    def _refuse(self, part: str) -> NoReturn:
        self.fail(f"expected stages such as 10/s:5m,10-50/s:1m, with ,repeat at the end if you like, got {part!r}")


def _stage(text: str) -> Stage | None:
    """`10/s:5m`, or `10-50/s:1m`; None: it is no stage."""
    from eventbus.catalog.model import Stage
    from eventbus.catalog.reading.scalars import parse_rate
    from eventbus.durations import parse_duration

    match = re.fullmatch(r"([0-9.]+)(?:-([0-9.]+))?(/[a-z]+)?:(.+)", text)
    if match is None:
        return None
    first, last, unit, time = match.groups(default="")
    begin, end, duration = parse_rate(first + unit), parse_rate((last or first) + unit), parse_duration(time)
    if begin is None or end is None or duration is None:
        return None
    return Stage(duration=duration, begin=begin, end=end)


class ProfileParameter(click.ParamType):
    """A shipped profile, or a file."""

    name = "profile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Profile:
        from eventbus.catalog.model import Profile
        from eventbus.catalog.reading.arrivals import load_profile

        return value if isinstance(value, Profile) else load_profile(value)


class ThinkParameter(click.ParamType):
    """`5s`, or `2s..15s`: anything between the two."""

    name = "think"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Delay:
        from eventbus.catalog import Fixed, Uniform

        if isinstance(value, Fixed | Uniform):
            return value
        low, _, high = str(value).partition("..")
        bounds = [Duration().convert(text, param, ctx) * 1000 for text in (low, high or low)]
        return Uniform(minimum=bounds[0], maximum=bounds[1]) if high else Fixed(value=bounds[0])


@dataclass(frozen=True, kw_only=True)
class ArrivalOptions:
    """When chains begin, as far as the options say so."""

    stages: Stages | None = None
    profile: Profile | None = None
    time_zone: str | None = None
    per_day: float | None = None
    users: int | None = None
    think: Delay | None = None
    stagger: float | None = None
    spacing: Spacing | None = None

    def model(self, rate: float) -> Arrivals | None:
        """The arrivals; None: there is nothing but the rate, chains per second."""
        from eventbus.catalog.model import THINK, ClosedWorkload, ConstantRate, OpenWorkload, Spacing

        if self.users is not None:
            return ClosedWorkload(users=self.users, think=self.think or THINK, ramp_up=self.stagger or 0.0)
        if not (self.stages or self.profile or self.spacing):
            return None
        spacing = self.spacing or Spacing()
        return OpenWorkload(rate=self.stages or self._profile() or ConstantRate(rate=rate), spacing=spacing)

    def _profile(self) -> Profile | None:
        if self.profile is None:
            return None
        profile = self.profile if self.time_zone is None else replace(self.profile, time_zone=self.time_zone)
        return profile if self.per_day is None else replace(profile, per_day=self.per_day)


OPTIONS = (
    click.option("--stages", type=StagesParameter(), metavar="RATE:TIME,…", help="Rates in turn: 10/s:5m,10-50/s:1m."),
    click.option("--profile", type=ProfileParameter(), metavar="NAME|FILE", help="Follow the hours: visitors, office."),
    click.option("--time-zone", metavar="ZONE", help="Of the profile's hours, such as Europe/Berlin [its own]."),
    click.option("--per-day", type=click.FloatRange(min=0), help="Chains in a day of the profile [as its hours say]."),
    click.option("--users", type=click.IntRange(min=1), help="So many users instead, with one chain at a time."),
    click.option("--think", type=ThinkParameter(), metavar="TIME[..TIME]", help="Between a user's chains [1s]."),
    click.option("--stagger", type=Duration(), help="Time in which the users begin one by one [all at once]."),
    click.option("--spacing", type=SpacingParameter(), help="poisson, regular, even or gamma:CV [poisson]."),
)  # fmt: skip


def arrival_options(command: C) -> C:
    """Gives a command these options, as one argument `arrivals`, an `ArrivalOptions`; it has a `--rate` of its own."""

    @wraps(command)
    def with_arrivals(**options: Any) -> Any:
        given = {name: options.pop(name) for name in ArrivalOptions.__dataclass_fields__}
        _refuse_contradictions(given)
        return command(arrivals=ArrivalOptions(**given), **options)

    decorated: Any = with_arrivals
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return cast("C", decorated)


def _refuse_contradictions(given: dict[str, Any]) -> None:
    context = click.get_current_context()
    models = [name for name in MODELS if given.get(name) is not None]
    if context.get_parameter_source("rate") is ParameterSource.COMMANDLINE:
        models.insert(0, "rate")
    if len(models) > 1:
        raise click.UsageError(f"expected one of {_named(MODELS)}, got {_named(models)}")
    for name, other in BELONGS.items():
        if given[name] is not None and given[other] is None:
            raise click.UsageError(f"{_named([name])} needs {_named([other])}")
    if given["spacing"] is not None and given["users"] is not None:
        raise click.UsageError("--spacing does not go with --users, who begin when they have ended")


def _named(names: Any) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
