"""Who visits a site and what for: pages, journeys over them, and how people behave there. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
"""Other words for the short names of visitor events."""


def full_name(name: str) -> str:
    """The event type that a name means: `page_visit` → `omninode.visitor.page.visited.v1`.

    A name without a dot is the short name of a visitor event, or an alias of one; any other stays as it is.
    """
    if "." in name or not name:
        return name
    return f"{VISITOR_PREFIX}{ALIASES.get(name, name).replace('_', '.')}.v1"


def short_name(event_type: str) -> str:
    """The short name of a visitor event (`omninode.visitor.page.visited.v1` → `page_visited`); others keep theirs."""
    if not event_type.startswith(VISITOR_PREFIX):
        return event_type
    return "_".join(event_type.removeprefix(VISITOR_PREFIX).split(".")[:-1])


SESSION_STATES = ("created", "visited", "button", "link", "closed", "ended")
"""What the states of a chain of sessions are called."""
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
"""What an event of a session can tell of it, and in which states; `number` counts its pages, `clicks` those on the page
that is closed, or in the whole session."""
INTEGER_ATTRIBUTES = ("number", "pages", "clicks", "duration_ms")
"""Those of `VISITS` that are whole numbers."""


class Range(NamedTuple):
    """From `low` to `high`, both included."""

    low: float
    high: float

    def capped(self, maximum: float) -> Range:
        """The same, but never above a bound."""
        return Range(min(self.low, maximum), min(self.high, maximum))


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """Something on a page that can be clicked."""

    element: str
    """What tells it apart on its page: `add_to_cart`."""
    kind: ClickKind = "button"
    text: str = ""
    """What it says."""
    to: str | None = None
    """The page that it leads to."""
    causes: str | None = None
    """The chain of the catalog that begins behind the scenes: one that the state of its kind causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the site."""

    name: str
    path: str
    title: str
    clicks: tuple[Click, ...] = ()

    def click(self, element: str) -> Click | None:
        return next((click for click in self.clicks if click.element == element), None)


class Stop(NamedTuple):
    """A page of a journey, and what is clicked there, in this order, whatever else is."""

    page: str
    clicks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What a visitor came for."""

    name: str
    weight: float
    """Relative to the other journeys of its set."""
    stops: tuple[Stop, ...] = ()
    """The way through the site; none: from page to page by chance, beginning anywhere."""
    clicks_per_page: Range | None = None
    """In place of the behaviour's, but never above its maximum."""
    time_per_page: Range | None = None
    """In place of the behaviour's, but never above its maximum; seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Bounds of what visitors do; times are seconds, drawn evenly.

    A session is over when its duration is, whatever was planned; the page that is open then is closed. A journey's way
    is kept, so that the bounds of `pages_per_session` are for those that have none.
    """

    session_duration: Range = field(default=Range(60, 600))
    pages_per_session: Range = field(default=Range(3, 15))
    time_per_page: Range = field(default=Range(10, 120))
    clicks_per_page: Range = field(default=Range(0, 8))
    action_delay: Range = field(default=Range(2, 15))
    """Between one action on a page and the next."""
    human_like_delays: bool = True
    """False: nobody waits, and everything happens in its order, a millisecond apart."""


@dataclass(frozen=True, kw_only=True)
class Visitors:
    """A site and those who visit it: makes a chain one of sessions."""

    pages: Mapping[str, Page]
    sets: Mapping[str, tuple[Journey, ...]]
    """Journeys by the name of their set."""
    journeys: str
    """The set that takes part."""
    behaviour: Behaviour = field(default_factory=Behaviour)
    site: str = ""
    """The address before every path: `https://demo.example`."""
    referrer: str | None = None
    """`variable.attribute` of the chain that says where a visitor came from."""

    @property
    def clicks(self) -> list[tuple[Page, Click]]:
        """Everything that can be clicked, in the order of the pages."""
        return [(page, click) for page in self.pages.values() for click in page.clicks]

    def texts(self, visit: str) -> tuple[str, ...]:
        """The text for each page or click, of those `VISITS` that are texts."""
        match visit:
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
        """The journeys that take part."""
        return self.sets.get(self.journeys, ())

    @property
    def max_pages(self) -> int:
        """No session has more."""
        wandering = int(self.behaviour.pages_per_session.high)
        return max((len(journey.stops) or wandering for journey in self.active_journeys), default=wandering)

    @property
    def max_clicks(self) -> int:
        """No page has more."""
        asked = max((len(stop.clicks) for journey in self.active_journeys for stop in journey.stops), default=0)
        return max(asked, int(self.behaviour.clicks_per_page.high))

    @property
    def max_events(self) -> int:
        """No session has more."""
        return 2 + self.max_pages * (2 + self.max_clicks)
