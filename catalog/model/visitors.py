"""The visitors of a web site: its pages, the journeys over them, and how visitors behave there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

ClickKind = Literal["button", "link"]

VISITOR_PREFIX = "omninode.visitor."
ALIASES: Mapping[str, str] = {
    "session_start": "session_created",
    "page_visit": "page_visited",
    "screen_view": "page_visited",
    "button_click": "button_clicked",
    "link_click": "link_clicked",
    "page_close": "page_closed",
    "session_end": "session_ended",
}
"""Aliases of the short names of visitor events."""


def full_name(name: str) -> str:
    """The event type that a name stands for: `page_visit` → `omninode.visitor.page.visited.v1`.

    A name without a dot is the short name of a visitor event, or an alias of one; any other name is returned unchanged.
    """
    if "." in name or not name:
        return name
    return f"{VISITOR_PREFIX}{ALIASES.get(name, name).replace('_', '.')}.v1"


def short_name(event_type: str) -> str:
    """The short name of a visitor event (`omninode.visitor.page.visited.v1` → `page_visited`); others are unchanged."""
    if not event_type.startswith(VISITOR_PREFIX):
        return event_type
    return "_".join(event_type.removeprefix(VISITOR_PREFIX).split(".")[:-1])


SESSION_STATES = ("created", "visited", "button", "link", "closed", "ended")
"""The states of a chain of sessions."""
LIFE_CYCLE = ("created", "visited", "closed", "ended")
"""Those of them that are not clicks."""
SESSION_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "page.path": SESSION_STATES,
    "page.title": SESSION_STATES,
    "referrer": ("created", "visited"),
    "click.element": ("button", "link"),
    "click.text": ("button", "link"),
    "click.href": ("button", "link"),
    "number": ("visited", "button", "link", "closed"),
    "pages": ("ended",),
    "clicks": ("closed", "ended"),
    "duration_ms": ("ended",),
}
"""Session attributes available to payloads, with the states whose events have them.

`number` counts the pages so far; `clicks` counts the clicks on the page that closes, or in the whole session.
"""
MAX_SECONDS, MAX_PAGES, MAX_CLICKS = 14_400, 1000, 60
"""Of a session, in a session and on a page: the limits of the bit fields that the generator keeps for an event."""
MIN_GAP = 0.001
"""Seconds between two events of a session, at least: what every clock can tell apart."""
INTEGER_ATTRIBUTES = ("number", "pages", "clicks", "duration_ms")
"""Those of `SESSION_ATTRIBUTES` that are integers; the others are texts."""


class Range(NamedTuple):
    """From `low` to `high`, both included."""

    low: float
    high: float

    def capped(self, maximum: float) -> Range:
        """The range with both bounds capped at a maximum."""
        return Range(min(self.low, maximum), min(self.high, maximum))

    def scaled(self, factor: float) -> Range:
        """The range with both bounds multiplied by a factor."""
        return Range(self.low * factor, self.high * factor)

    def nearest(self, number: float) -> float:
        """The number of the range that is nearest to a number."""
        return min(max(number, self.low), self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """An element of a page that can be clicked."""

    element: str
    """Its name, unique on the page: `add_to_cart`."""
    kind: ClickKind = "button"
    text: str = ""
    """The text on it."""
    to: str | None = None
    """The page that it opens."""
    causes: str | None = None
    """The chain that the click starts: one of those that the state of its kind causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the site."""

    name: str
    path: str
    title: str
    clicks: tuple[Click, ...] = ()

    def click(self, element: str) -> Click | None:
        """The element of a name, if the page has it."""
        return next((click for click in self.clicks if click.element == element), None)


class Stop(NamedTuple):
    """A page of a journey, and the clicks that happen there in this order, possibly among others."""

    page: str
    clicks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A path through the site, or a way of wandering over it."""

    name: str
    weight: float
    """Relative to the other journeys of its set."""
    stops: tuple[Stop, ...] = ()
    """The pages in order; none: random pages, starting anywhere."""
    clicks_per_page: Range | None = None
    """Replaces the behaviour's, capped at its maximum."""
    time_per_page: Range | None = None
    """Seconds; replaces the behaviour's, capped at its maximum."""

    def slowed(self, factor: float) -> Journey:
        """With the time on pages multiplied by a factor."""
        return replace(self, time_per_page=self.time_per_page and self.time_per_page.scaled(factor))


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How visitors behave, as ranges; times are in seconds.

    Values are uniformly distributed within what the other ranges leave: with c clicks a page is open for c + 1 gaps of
    `action_delay`, and a session that would be too short or too long for `session_duration` gets a duration from it.
    Where ranges cannot hold together, `session_duration` wins over `time_per_page`, that over `action_delay`, and that
    over `clicks_per_page`. `pages_per_session` applies to journeys without stops.
    """

    session_duration: Range = field(default=Range(60, 600))
    pages_per_session: Range = field(default=Range(3, 15))
    time_per_page: Range = field(default=Range(10, 120))
    clicks_per_page: Range = field(default=Range(0, 8))
    action_delay: Range = field(default=Range(2, 15))
    """Between two events of a session."""
    human_like_delays: bool = True
    """False: events follow each other in order, one millisecond apart."""

    def clicks_of(self, journey: Journey) -> Range:
        """Clicks on a page: as many as its time has room for, at most."""
        clicks = (journey.clicks_per_page or self.clicks_per_page).capped(self.clicks_per_page.high)
        return clicks.capped(self.max_clicks(self.time_of(journey)))

    def max_clicks(self, time: Range) -> float:
        """The most clicks that a page has time for: each comes after an action delay, as does what follows the last.

        The page has the time that the longest session leaves it, after what comes before the page and after it.

        Args:
            time: seconds on a page.
        """
        if not self.human_like_delays:
            return math.inf
        delay = self.action_delay.low
        return max(min(time.high, self.session_duration.high - 2 * delay) // max(delay, MIN_GAP) - 1, 0)

    def time_of(self, journey: Journey) -> Range:
        """Seconds on a page."""
        return (journey.time_per_page or self.time_per_page).capped(self.time_per_page.high)

    def slowed(self, factor: float) -> Behaviour:
        """With all times multiplied by a factor."""
        return replace(
            self,
            session_duration=self.session_duration.scaled(factor),
            time_per_page=self.time_per_page.scaled(factor),
            action_delay=self.action_delay.scaled(factor),
        )


class SessionMeans(NamedTuple):
    """What an average session has, so that its events have given shares of the stream."""

    ends: float
    """Probability that the session ends; otherwise it is abandoned."""
    pages: float
    closes: float
    """Pages that are closed before another page opens or the session ends."""
    clicks: Mapping[str, float]
    """Per page, by state: `button`, `link`."""
    others: Mapping[str, float]
    """Per page, by state: events of other types."""

    @classmethod
    def of(cls, shares: Mapping[str, float]) -> SessionMeans:
        """The means of sessions whose states have these shares of the stream."""
        sessions, pages = shares.get("created") or 1.0, shares.get("visited", 0.0)
        per_page = {name: share / pages for name, share in shares.items() if pages and name not in LIFE_CYCLE}
        clicks = {name: mean for name, mean in per_page.items() if name in SESSION_STATES}
        return cls(
            ends=min(shares.get("ended", 0.0) / sessions, 1.0),
            pages=pages / sessions,
            closes=shares.get("closed", 0.0) / sessions,
            clicks=clicks,
            others={name: mean for name, mean in per_page.items() if name not in clicks},
        )

    @property
    def clicks_per_page(self) -> float:
        """Button and link clicks on a page."""
        return math.fsum(self.clicks.values())

    @property
    def others_per_page(self) -> float:
        """Events of other types on a page."""
        return math.fsum(self.others.values())

    def max_others(self, behaviour: Behaviour) -> int:
        """The maximum number of events of other types on a page: twice their mean, or as many as there are clicks."""
        mean = self.others_per_page
        return int(max(math.ceil(2 * mean), min(behaviour.clicks_per_page.high, 8))) if mean else 0


@dataclass(frozen=True, kw_only=True)
class Visitors:
    """A site and its visitors; a chain that has them is a chain of sessions."""

    pages: Mapping[str, Page]
    sets: Mapping[str, tuple[Journey, ...]]
    """Sets of journeys by name."""
    journeys: str
    """The name of the set in use."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    site: str = ""
    """The address that precedes every path: `https://demo.example`."""
    referrer: str | None = None
    """`variable.attribute` of the chain that holds where a visitor came from."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """The share of each state in the stream. They set the mean numbers of pages and clicks, within the ranges of the
    behaviour, in place of the journeys' stops and clicks. States beyond those of a session happen on an open page."""

    @property
    def means(self) -> SessionMeans | None:
        """What the shares make of an average session; None without shares."""
        return SessionMeans.of(self.shares) if self.shares else None

    @property
    def max_others(self) -> int:
        """The maximum number of events of other types on a page."""
        return self.means.max_others(self.behaviour) if self.means else 0

    def slowed(self, factor: float) -> Visitors:
        """With all times that visitors take multiplied by a factor; the same value if it is 1."""
        if factor == 1:
            return self
        sets = {name: tuple(journey.slowed(factor) for journey in journeys) for name, journeys in self.sets.items()}
        return replace(self, sets=sets, behaviour=self.behaviour.slowed(factor))

    @property
    def clicks(self) -> list[tuple[Page, Click]]:
        """All elements that can be clicked with their pages, in the order of the pages."""
        return [(page, click) for page in self.pages.values() for click in page.clicks]

    def texts(self, attribute: str) -> tuple[str, ...]:
        """The value of a session attribute for each page, or for each click; only of attributes that are texts."""
        match attribute:
            case "page.path":
                return tuple(page.path for page in self.pages.values())
            case "page.title":
                return tuple(page.title for page in self.pages.values())
            case "referrer":
                return tuple(self.site + page.path for page in self.pages.values())
            case "click.element":
                return tuple(click.element for _, click in self.clicks)
            case "click.text":
                return tuple(click.text for _, click in self.clicks)
            case _:
                return tuple(self.pages[click.to].path if click.to else f"#{click.element}" for _, click in self.clicks)

    @property
    def active_journeys(self) -> tuple[Journey, ...]:
        """The journeys of the set in use."""
        return self.sets.get(self.journeys, ())

    @property
    def max_pages(self) -> int:
        """The maximum number of pages in a session."""
        wandering = int(self.behaviour.pages_per_session.high)
        if self.shares:
            return wandering
        return max((len(journey.stops) or wandering for journey in self.active_journeys), default=wandering)

    @property
    def max_clicks(self) -> int:
        """The maximum number of clicks on a page."""
        if self.shares:
            return int(self.behaviour.clicks_per_page.high)
        planned = max((len(stop.clicks) for journey in self.active_journeys for stop in journey.stops), default=0)
        return max(planned, int(self.behaviour.clicks_per_page.high))

    @property
    def max_events(self) -> int:
        """The maximum number of events in a session."""
        return 2 + self.max_pages * (2 + self.max_clicks + self.max_others)
