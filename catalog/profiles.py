"""Profiles of the day and the week: the shipped ones by name, others from a file or a section of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eventbus.catalog.arrivals import WEEK, Profile
from eventbus.catalog.checks.arrivals import profile_problems
from eventbus.catalog.errors import InvalidCatalog, Mistake, UnknownName
from eventbus.catalog.reading.source import Node, read
from eventbus.catalog.words import listed, suggestion

FOLDER = Path(__file__).with_name("data") / "profiles"
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
    node = read(path, mistakes)
    profile = None if node is None else profile_of(node)
    if node is not None and profile is not None and not mistakes:
        for place, problem in profile_problems(profile):
            node.at(place).complain(problem)
    if profile is None or mistakes:
        raise InvalidCatalog(mistakes)
    return profile


def profile_of(node: Node) -> Profile:
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
    raise UnknownName(f"expected a profile ({listed(known)}) or a file, got {name!r}{suggestion(name, known)}")


def _shipped(node: Node) -> Profile:
    name = node.one_of(tuple(profile_names()))
    return Profile(hours=((1.0,) * 24,)) if name is None else load_profile(name)


def _hours(node: Node, unit: Node | None) -> tuple[tuple[float, ...], ...]:
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


def _numbers(node: Node, factor: float = 1.0) -> tuple[float, ...]:
    numbers = [item.number() for item in node.items()]
    return tuple((number or 0.0) * factor for number in numbers)


def _days(node: Node) -> tuple[float, ...]:
    """Seven factors, or some by the name of the day; the others are 1."""
    if not node.is_mapping:
        return _numbers(node)
    members: Mapping[str, Node] = node.members(WEEK)
    factors = {name: member.number() for name, member in members.items()}
    return tuple(1.0 if factors.get(day) is None else float(factors[day] or 0.0) for day in WEEK)
