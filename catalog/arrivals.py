"""When chains begin, as frozen values: how many, when in the day, and how they are spaced.

Two models. In the open one, chains begin at a rate, whatever became of those before them: `Open`. In the closed one
there is a number of users, each of whom begins the next chain some time after the last one has ended: `Users`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from eventbus.catalog.model_delays import Delay, Fixed

SpacingName = Literal["poisson", "regular", "even", "gamma"]
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
THINK = Fixed(value=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """How chains lie around the times that a rate alone would give them.

    `poisson`: independent of each other; `regular`: as far apart as the rate says; `even`: exactly one in each
    share of time that the rate gives to a chain, anywhere in it; `gamma`: in bursts, or more regular than chance.
    """

    name: SpacingName = "poisson"
    cv: float = 1.0
    """Of `gamma`: standard deviation of the gaps divided by their mean; 1 is like `poisson`, more comes in bursts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One rate for ever, chains per second."""

    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stretch of time in which the rate rises or falls steadily."""

    duration: float
    """Seconds."""
    begin: float
    """Chains per second."""
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """Stretches of time, one after the other; no chain begins after the last one."""

    stages: tuple[Stage, ...]
    repeat: bool = False
    """Begin anew instead, for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A rate that follows the clock on the wall.

    An hour has as many chains as its number says, also where the rate is interpolated inside it.
    """

    hours: tuple[tuple[float, ...], ...]
    """Chains per hour: 24 numbers for every day alike, or 7 times 24, from Monday on."""
    days: tuple[float, ...] = (1.0,) * 7
    """What the numbers of each day are multiplied with, from Monday on."""
    per_day: float | None = None
    """Chains in 24 hours whose factor is 1: makes the hours relative, and a day of 23 or 25 hours no different."""
    time_zone: str = "UTC"
    """An IANA name: `Europe/Berlin`."""
    interpolate: bool = True
    """Change the rate steadily, not on the hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Chains that begin at a rate."""

    rate: Constant | Stages | Profile
    spacing: Spacing = Spacing()

    @property
    def lasts(self) -> float | None:
        """Seconds after which no chain begins; None: there is no end."""
        if not isinstance(self.rate, Stages) or self.rate.repeat:
            return None
        return math.fsum(stage.duration for stage in self.rate.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """A number of users, each with one chain at a time."""

    users: int
    think: Delay = THINK
    """Between the last event of a user's chain and the first of the next one."""
    stagger: float = 0.0
    """Seconds in which they begin, one after the other."""

    @property
    def lasts(self) -> None:
        """There is no end."""
        return None


Arrivals = Open | Users
