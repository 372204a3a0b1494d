"""An `arrivals` section: one node → one `Arrivals`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from eventbus.catalog.arrivals import THINK, Arrivals, Constant, Open, Spacing, SpacingName, Stage, Stages, Users
from eventbus.catalog.checks.arrivals import arrivals_problems
from eventbus.catalog.profiles import profile_of
from eventbus.catalog.reading.delays import read_delay
from eventbus.catalog.reading.quantities import per_second, seconds
from eventbus.catalog.reading.source import Node
from eventbus.catalog.words import listed, shown

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


def read_arrivals(node: Node) -> Arrivals:
    """When chains begin; what cannot be read or makes no sense is noted, and stands in as something harmless."""
    before = len(node.mistakes)
    arrivals = _arrivals(node)
    if len(node.mistakes) == before:
        for place, problem in arrivals_problems(arrivals):
            node.at(place).complain(problem)
    return arrivals


def _arrivals(node: Node) -> Arrivals:
    members = node.members((*MODELS, "repeat", "spacing", "cv", "think", "stagger"))
    given = [name for name in MODELS if name in members]
    if len(given) != 1:
        if node.is_mapping:
            node.complain(f"expected exactly one of {listed(MODELS)}, got {listed(given)}")
        return Open(rate=Constant(rate=HARMLESS))
    _refuse_strangers(members, given[0])
    return _users(members) if given[0] == "users" else _open(members)


def _refuse_strangers(members: Mapping[str, Node], model: str) -> None:
    every = {name for names in BELONGS.values() for name in names}
    for name, member in members.items():
        if name in every and name not in BELONGS[model]:
            member.complain(f"{name!r} does not go with {model!r}; {listed(BELONGS[model])} do")


def _users(members: Mapping[str, Node]) -> Users:
    users = members["users"].integer()
    return Users(
        users=1 if users is None else users,
        think=read_delay(members["think"]) if "think" in members else THINK,
        stagger=read_seconds(members["stagger"]) if "stagger" in members else 0.0,
    )


def _open(members: Mapping[str, Node]) -> Open:
    spacing = _spacing(members)
    if "rate" in members:
        return Open(rate=Constant(rate=read_rate(members["rate"])), spacing=spacing)
    if "profile" in members:
        return Open(rate=profile_of(members["profile"]), spacing=spacing)
    repeat = members["repeat"].flag() if "repeat" in members else False
    stages = tuple(_stage(item) for item in members["stages"].items())
    return Open(rate=Stages(stages=stages, repeat=bool(repeat)), spacing=spacing)


def _spacing(members: Mapping[str, Node]) -> Spacing:
    name = members["spacing"].one_of(SPACINGS) if "spacing" in members else None
    cv = members["cv"].number() if "cv" in members else None
    return Spacing(name=name or "poisson", cv=HARMLESS if cv is None else cv)


def _stage(node: Node) -> Stage:
    members = node.members(STAGE, required=("duration",))
    given = members.keys() & set(STAGE) - {"duration"}
    if node.is_mapping and given not in ({"rate"}, {"from", "to"}):
        node.complain("expected either `rate`, or `from` and `to`")
    rates = [read_rate(members[name]) for name in ("rate", "from", "to") if name in members] or [HARMLESS]
    duration = read_seconds(members["duration"]) if "duration" in members else HARMLESS
    return Stage(duration=duration, begin=rates[0], end=rates[-1])


def read_seconds(node: Node) -> float:
    """A duration: seconds as a number, or a text such as `1h30m`."""
    value = node.plain()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return node.number() or 0.0
    found = seconds(value) if isinstance(value, str) else None
    if found is None:
        node.complain(f"expected seconds, or a duration such as 30s or 1h30m, got {shown(value)}")
    return HARMLESS if found is None else found


def read_rate(node: Node) -> float:
    """A rate: chains per second as a number, or a text such as `600/h`."""
    value = node.plain()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return node.number() or 0.0
    found = per_second(value) if isinstance(value, str) else None
    if found is None:
        node.complain(f"expected chains per second, or a rate such as 600/h or 12/min, got {shown(value)}")
    return HARMLESS if found is None else found
