"""How a site and its visitors look on a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from eventbus.catalog.model import Chain, Click, Journey, Range, Visitors

UNITS = {"session_duration": " s", "time_per_page": " s", "action_delay": " s"}


def visitors_view(chain: Chain, visitors: Visitors) -> list[RenderableType]:
    """What a session emits, how visitors behave, what they come for, and where they click."""
    return [_states(chain), _behaviour(visitors), _journeys(visitors), _pages(visitors)]


def _states(chain: Chain) -> Table:
    table = _table("in a session", "emits", "")
    then = {
        "created": "then pages, one after the other:",
        "visited": "each is visited,",
        "button": "clicked on,",
        "link": "",
        "closed": "and closed; a link leads to the next",
        "ended": "at last",
    }
    for name, text in then.items():
        if name in chain.states:
            table.add_row(Text(name, "bold"), chain.states[name].emits, Text(text, "dim"))
    return table


def _behaviour(visitors: Visitors) -> Table:
    table = _table("behaviour", "from", "to")
    for name in ("session_duration", "pages_per_session", "time_per_page", "clicks_per_page", "action_delay"):
        bounds: Range = getattr(visitors.behaviour, name)
        unit = UNITS.get(name, "")
        table.add_row(name, f"{bounds.low:g}{unit}", f"{bounds.high:g}{unit}")
    if not visitors.behaviour.human_like_delays:
        table.add_row("human_like_delays", "off", "nobody waits")
    return table


def _journeys(visitors: Visitors) -> Table:
    table = _table("set", "journey", "share", "way")
    for name, journeys in visitors.sets.items():
        total = sum(journey.weight for journey in journeys)
        style = "" if name == visitors.journeys else "dim"
        for journey in journeys:
            table.add_row(name, journey.name, f"{journey.weight / total:.0%}", _way(journey), style=style)
    return table


def _way(journey: Journey) -> str:
    stops = [f"{stop.page} ({', '.join(stop.clicks)})" if stop.clicks else stop.page for stop in journey.stops]
    return " → ".join(stops) or "from page to page by chance"


def _pages(visitors: Visitors) -> Table:
    table = _table("page", "path", "clicks")
    for page in visitors.pages.values():
        table.add_row(page.name, page.path, ", ".join(map(_click, page.clicks)))
    return table


def _click(click: Click) -> str:
    leads = f" → {click.to}" if click.to else ""
    return click.element + leads + (f" ⇒ {click.causes}" if click.causes else "")


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in {"share", "from", "to"} else "left")
    return table
