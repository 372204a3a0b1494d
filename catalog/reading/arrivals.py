"""Reads `arrivals` sections and profiles: one node → one `Arrivals` or `Profile`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from eventbus.catalog.errors import InvalidCatalog, Mistake, UnknownName, did_you_mean, join_names
from eventbus.catalog.model import (
    THINK,
    WEEK,
    Arrivals,
    ClosedWorkload,
    ConstantRate,
    OpenWorkload,
    Profile,
    Spacing,
    SpacingName,
    Stage,
    Stages,
)
from eventbus.catalog.reading.chains import read_delay
from eventbus.catalog.reading.document import Members, YamlNode, read_document
from eventbus.catalog.reading.scalars import coerce_duration, coerce_rate
from eventbus.catalog.validation.workload import arrivals_problems, profile_problems

FOLDER = Path(__file__).parents[1] / "data" / "profiles"
PROFILE = ("name", "hours", "days", "time_zone", "per_day", "unit", "interpolate")
UNITS = {"per hour": 1.0, "per minute": 60.0, "per second": 3600.0}
"""How many of each are in an hour."""
FLAT = Profile(hours=((1.0,) * 24,))
"""The base of profiles that name no other one, and what stands in for one that could not be read."""
MODELS = ("rate", "stages", "profile", "users")
BELONGS: Mapping[str, tuple[str, ...]] = {
    "rate": ("spacing", "cv"),
    "stages": ("repeat", "spacing", "cv"),
    "profile": ("spacing", "cv"),
    "users": ("think", "stagger"),
}
"""The members that each model may have beside its own."""
STAGE = ("rate", "from", "to", "duration")
SPACINGS: tuple[SpacingName, ...] = get_args(SpacingName)
PLACEHOLDER = 1.0
"""Stands in for a number that could not be read."""


def profile_names() -> list[str]:
    """The names of the shipped profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(name: str | Path) -> Profile:
    """A shipped profile by its name, or the profile in a file.

    Raises:
        UnknownName: there is neither a shipped profile nor a file of this name.
        InvalidCatalog: the file has mistakes.
    """
    path = _profile_path(str(name))
    mistakes: list[Mistake] = []
    node = read_document(path, mistakes)
    profile = None if node is None else read_checked_profile(node)
    if profile is None or mistakes:
        raise InvalidCatalog(mistakes)
    return profile


def read_checked_profile(node: YamlNode) -> Profile:
    """The profile of a section, checked if it could be read."""
    before, profile = len(node.mistakes), read_profile(node)
    if len(node.mistakes) == before:
        for loc, problem in profile_problems(profile):
            node.at(loc).complain(problem)
    return profile


def read_profile(node: YamlNode) -> Profile:
    """The profile of a section: the name of a shipped one, its own numbers, or a shipped one with changes."""
    if not node.is_mapping:
        return _shipped(node)
    members = node.members(PROFILE)
    base = _shipped(members["name"]) if "name" in members else None
    if "hours" not in members and base is None:
        node.complain("expected `hours`, or the `name` of a shipped profile")
    if "unit" in members and "per_day" in members:
        members["unit"].complain("with `per_day`, the hours are relative and have no unit")
    base = base or FLAT
    return Profile(
        hours=_hours(members["hours"], members["unit"]) if "hours" in members else base.hours,
        days=_days(members["days"]) if "days" in members else base.days,
        per_day=members["per_day"].number() if "per_day" in members else base.per_day,
        time_zone=members["time_zone"].text() or "UTC" if "time_zone" in members else base.time_zone,
        interpolate=members["interpolate"].flag(True) if "interpolate" in members else base.interpolate,
    )


def _profile_path(name: str) -> Path:
    shipped = profile_names()
    if name in shipped:
        return FOLDER / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    near = did_you_mean(name, shipped)
    raise UnknownName(f"expected a profile ({join_names(shipped)}) or a file, got {name!r}{near}")


def _shipped(node: YamlNode) -> Profile:
    name = node.one_of(tuple(profile_names()))
    return FLAT if name is None else load_profile(name)


def _hours(node: YamlNode, unit: YamlNode) -> tuple[tuple[float, ...], ...]:
    """24 numbers, 7 lists of 24, or such lists by the name of the day; in chains per hour."""
    factor = UNITS[unit.one_of(tuple(UNITS)) or "per hour"]
    if node.is_mapping:
        days = node.members(WEEK, required=WEEK)
        return tuple(_numbers(days[day], factor) for day in WEEK if day in days)
    items = node.items()
    if items and all(item.is_list for item in items):
        return tuple(_numbers(item, factor) for item in items)
    return (_numbers(node, factor),)


def _numbers(node: YamlNode, factor: float = 1.0) -> tuple[float, ...]:
    return tuple(item.number(0.0) * factor for item in node.items())


def _days(node: YamlNode) -> tuple[float, ...]:
    """Seven factors, or some by the name of the day; the others are 1."""
    if not node.is_mapping:
        return _numbers(node)
    members = node.members(WEEK)
    return tuple(float(members[day].number(1.0)) for day in WEEK)


def read_arrivals(node: YamlNode) -> Arrivals:
    """The arrivals of a section; placeholders stand in for what is wrong, after a mistake."""
    before = len(node.mistakes)
    arrivals = _arrivals(node)
    if len(node.mistakes) == before:
        for loc, problem in arrivals_problems(arrivals):
            node.at(loc).complain(problem)
    return arrivals


def _arrivals(node: YamlNode) -> Arrivals:
    members = node.members((*MODELS, "repeat", "spacing", "cv", "think", "stagger"))
    models = [name for name in MODELS if name in members]
    if len(models) != 1:
        if node.is_mapping:
            node.complain(f"expected exactly one of {join_names(MODELS)}, got {join_names(models)}")
        return OpenWorkload(rate=ConstantRate(rate=PLACEHOLDER))
    _refuse_foreign(members, models[0])
    return _closed(members) if models[0] == "users" else _open(members)


def _refuse_foreign(members: Mapping[str, YamlNode], model: str) -> None:
    """Refuse the members of other models."""
    optional = {name for names in BELONGS.values() for name in names}
    for name, member in members.items():
        if name in optional and name not in BELONGS[model]:
            member.complain(f"{name!r} cannot be combined with {model!r}; {join_names(BELONGS[model])} do")


def _closed(members: Members) -> ClosedWorkload:
    return ClosedWorkload(
        users=members["users"].integer(1),
        think=read_delay(members["think"]) if "think" in members else THINK,
        ramp_up=read_seconds(members["stagger"]) if "stagger" in members else 0.0,
    )


def _open(members: Members) -> OpenWorkload:
    spacing = Spacing(name=members["spacing"].one_of(SPACINGS) or "poisson", cv=members["cv"].number(PLACEHOLDER))
    if "rate" in members:
        return OpenWorkload(rate=ConstantRate(rate=read_rate(members["rate"])), spacing=spacing)
    if "profile" in members:
        return OpenWorkload(rate=read_profile(members["profile"]), spacing=spacing)
    repeat = members["repeat"].flag(False)
    stages = tuple(_stage(item) for item in members["stages"].items())
    return OpenWorkload(rate=Stages(stages=stages, repeat=repeat), spacing=spacing)


def _stage(node: YamlNode) -> Stage:
    members = node.members(STAGE, required=("duration",))
    if node.is_mapping and members.keys() & set(STAGE) - {"duration"} not in ({"rate"}, {"from", "to"}):
        node.complain("expected either `rate`, or `from` and `to`")
    rates = [read_rate(members[name]) for name in ("rate", "from", "to") if name in members] or [PLACEHOLDER]
    duration = read_seconds(members["duration"]) if "duration" in members else PLACEHOLDER
    return Stage(duration=duration, begin=rates[0], end=rates[-1])


def read_seconds(node: YamlNode) -> float:
    """A duration: seconds as a number, or a text such as `1h30m`."""
    seconds = coerce_duration(node)
    return PLACEHOLDER if seconds is None else seconds


def read_rate(node: YamlNode) -> float:
    """A rate: chains per second as a number, or a text such as `600/h`."""
    rate = coerce_rate(node)
    return PLACEHOLDER if rate is None else rate
