"""An `arrivals` section: one node → one `Arrivals`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from eventbus.catalog.errors import InvalidCatalog, Mistake, UnknownName, did_you_mean, format_value, join_names
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
from eventbus.catalog.reading.document import YamlNode, read_document
from eventbus.catalog.reading.scalars import per_second, seconds
from eventbus.catalog.validation.workload import arrivals_problems, profile_problems

# Profiles of the day and the week: the shipped ones by name, others from a file or a section of one.


FOLDER = Path(__file__).parents[1] / "data" / "profiles"
PROFILE = ("name", "hours", "days", "time_zone", "per_day", "unit", "interpolate")
UNITS = {"per hour": 1.0, "per minute": 60.0, "per second": 3600.0}
"""How many of each are in an hour."""


def profile_names() -> list[str]:
    """The profiles that come with the catalog."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(name: str | Path) -> Profile:
    """A profile by its name, or from a file of its own.

    Raises:
        UnknownName: no shipped profile is called that, and there is no such file.
        InvalidCatalog: the file has mistakes.
    """
    path = _path(str(name))
    mistakes: list[Mistake] = []
    node = read_document(path, mistakes)
    profile = None if node is None else profile_of(node)
    if node is not None and profile is not None and not mistakes:
        for place, problem in profile_problems(profile):
            node.at(place).complain(problem)
    if profile is None or mistakes:
        raise InvalidCatalog(mistakes)
    return profile


def profile_of(node: YamlNode) -> Profile:
    """A section's profile: the name of a shipped one, or its numbers, or a shipped one with changes."""
    if not node.is_mapping:
        return _shipped(node)
    members = node.members(PROFILE)
    base = _shipped(members["name"]) if "name" in members else None
    if node.is_mapping and "hours" not in members and base is None:
        node.complain("expected `hours`, or the `name` of a shipped profile")
    if "unit" in members and "per_day" in members:
        members["unit"].complain("with `per_day`, the hours are relative and have no unit")
    base = base or Profile(hours=((1.0,) * 24,))
    return Profile(
        hours=_hours(members["hours"], members.get("unit")) if "hours" in members else base.hours,
        days=_days(members["days"]) if "days" in members else base.days,
        per_day=members["per_day"].number() if "per_day" in members else base.per_day,
        time_zone=members["time_zone"].text() or "UTC" if "time_zone" in members else base.time_zone,
        interpolate=members["interpolate"].flag() is not False if "interpolate" in members else base.interpolate,
    )


def _path(name: str) -> Path:
    if name in profile_names():
        return FOLDER / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    known = profile_names()
    raise UnknownName(f"expected a profile ({join_names(known)}) or a file, got {name!r}{did_you_mean(name, known)}")


def _shipped(node: YamlNode) -> Profile:
    name = node.one_of(tuple(profile_names()))
    return Profile(hours=((1.0,) * 24,)) if name is None else load_profile(name)


def _hours(node: YamlNode, unit: YamlNode | None) -> tuple[tuple[float, ...], ...]:
    """24 numbers, or 7 lists of them, or such lists by the name of the day; in chains per hour."""
    name = None if unit is None else unit.one_of(tuple(UNITS))
    factor = UNITS[name or "per hour"]
    if node.is_mapping:
        days = node.members(WEEK, required=WEEK)
        return tuple(_numbers(days[day], factor) for day in WEEK if day in days)
    items = node.items()
    if items and all(item.is_list for item in items):
        return tuple(_numbers(item, factor) for item in items)
    return (_numbers(node, factor),)


def _numbers(node: YamlNode, factor: float = 1.0) -> tuple[float, ...]:
    numbers = [item.number() for item in node.items()]
    return tuple((number or 0.0) * factor for number in numbers)


def _days(node: YamlNode) -> tuple[float, ...]:
    """Seven factors, or some by the name of the day; the others are 1."""
    if not node.is_mapping:
        return _numbers(node)
    members: Mapping[str, YamlNode] = node.members(WEEK)
    factors = {name: member.number() for name, member in members.items()}
    return tuple(1.0 if factors.get(day) is None else float(factors[day] or 0.0) for day in WEEK)


MODELS = ("rate", "stages", "profile", "users")
BELONGS: Mapping[str, tuple[str, ...]] = {  # the members that a model has besides
    "rate": ("spacing", "cv"),
    "stages": ("repeat", "spacing", "cv"),
    "profile": ("spacing", "cv"),
    "users": ("think", "stagger"),
}
STAGE = ("rate", "from", "to", "duration")
SPACINGS: tuple[SpacingName, ...] = get_args(SpacingName)
HARMLESS = 1.0
"""A number in place of one that could not be read."""


def read_arrivals(node: YamlNode) -> Arrivals:
    """When chains begin; what cannot be read or makes no sense is noted, and stands in as something harmless."""
    before = len(node.mistakes)
    arrivals = _arrivals(node)
    if len(node.mistakes) == before:
        for place, problem in arrivals_problems(arrivals):
            node.at(place).complain(problem)
    return arrivals


def _arrivals(node: YamlNode) -> Arrivals:
    members = node.members((*MODELS, "repeat", "spacing", "cv", "think", "stagger"))
    given = [name for name in MODELS if name in members]
    if len(given) != 1:
        if node.is_mapping:
            node.complain(f"expected exactly one of {join_names(MODELS)}, got {join_names(given)}")
        return OpenWorkload(rate=ConstantRate(rate=HARMLESS))
    _refuse_strangers(members, given[0])
    return _users(members) if given[0] == "users" else _open(members)


def _refuse_strangers(members: Mapping[str, YamlNode], model: str) -> None:
    every = {name for names in BELONGS.values() for name in names}
    for name, member in members.items():
        if name in every and name not in BELONGS[model]:
            member.complain(f"{name!r} does not go with {model!r}; {join_names(BELONGS[model])} do")


def _users(members: Mapping[str, YamlNode]) -> ClosedWorkload:
    users = members["users"].integer()
    return ClosedWorkload(
        users=1 if users is None else users,
        think=read_delay(members["think"]) if "think" in members else THINK,
        ramp_up=read_seconds(members["stagger"]) if "stagger" in members else 0.0,
    )


def _open(members: Mapping[str, YamlNode]) -> OpenWorkload:
    spacing = _spacing(members)
    if "rate" in members:
        return OpenWorkload(rate=ConstantRate(rate=read_rate(members["rate"])), spacing=spacing)
    if "profile" in members:
        return OpenWorkload(rate=profile_of(members["profile"]), spacing=spacing)
    repeat = members["repeat"].flag() if "repeat" in members else False
    stages = tuple(_stage(item) for item in members["stages"].items())
    return OpenWorkload(rate=Stages(stages=stages, repeat=bool(repeat)), spacing=spacing)


def _spacing(members: Mapping[str, YamlNode]) -> Spacing:
    name = members["spacing"].one_of(SPACINGS) if "spacing" in members else None
    cv = members["cv"].number() if "cv" in members else None
    return Spacing(name=name or "poisson", cv=HARMLESS if cv is None else cv)


def _stage(node: YamlNode) -> Stage:
    members = node.members(STAGE, required=("duration",))
    given = members.keys() & set(STAGE) - {"duration"}
    if node.is_mapping and given not in ({"rate"}, {"from", "to"}):
        node.complain("expected either `rate`, or `from` and `to`")
    rates = [read_rate(members[name]) for name in ("rate", "from", "to") if name in members] or [HARMLESS]
    duration = read_seconds(members["duration"]) if "duration" in members else HARMLESS
    return Stage(duration=duration, begin=rates[0], end=rates[-1])


def read_seconds(node: YamlNode) -> float:
    """A duration: seconds as a number, or a text such as `1h30m`."""
    value = node.plain()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return node.number() or 0.0
    found = seconds(value) if isinstance(value, str) else None
    if found is None:
        node.complain(f"expected seconds, or a duration such as 30s or 1h30m, got {format_value(value)}")
    return HARMLESS if found is None else found


def read_rate(node: YamlNode) -> float:
    """A rate: chains per second as a number, or a text such as `600/h`."""
    value = node.plain()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return node.number() or 0.0
    found = per_second(value) if isinstance(value, str) else None
    if found is None:
        node.complain(f"expected chains per second, or a rate such as 600/h or 12/min, got {format_value(value)}")
    return HARMLESS if found is None else found
