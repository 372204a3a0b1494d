"""Catalogs as text on a terminal: chains, event types, sites with their visitors, and scenarios."""

from __future__ import annotations

from typing import Any

import orjson
from rich.console import RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from eventbus.catalog.errors import join_names
from eventbus.catalog.model import Chain, Click, EventType, Journey, Range, Visitors, dotted, every_field
from eventbus.catalog.sources.lists import describe_conditions
from eventbus.cli.render.terminal import new_console
from eventbus.cli.render.trees import chain_tree

NUMBERS = {"weight", "share", "states", "from", "to"}
"""Columns with numbers."""
UNITS = {"session_duration": " s", "time_per_page": " s", "action_delay": " s"}


def print_all(*parts: RenderableType) -> None:
    """Prints to stdout, with blank lines between."""
    console = new_console()
    for index, part in enumerate(parts):
        if index:
            console.print()
        console.print(part)


def chain_table(rows: list[dict[str, Any]]) -> Table:
    """A line for each chain."""
    table = _table("chain", "weight", "share", "states", "description")
    for row in rows:
        share = f"{row['share']:.1%}" if row["weight"] else "off"
        style = "" if row["weight"] else "dim"
        table.add_row(row["name"], f"{row['weight']:g}", share, str(row["states"]), row["description"], style=style)
    return table


def event_table(rows: list[dict[str, Any]]) -> Table:
    """A line for each event type."""
    table = _table("event type", "chains", "source", "description")
    for row in rows:
        table.add_row(row["name"], ", ".join(row["chains"]) or "–", row["source"], row["description"])
    return table


def scenario_table(rows: list[dict[str, Any]]) -> Table:
    """A line for each scenario."""
    table = _table("scenario", "begins", "lasts", "")
    for row in rows:
        seconds = row["duration_seconds"]
        lasts = "-" if seconds is None else f"{seconds / 60:g} min" if seconds < 7200 else f"{seconds / 3600:g} h"
        table.add_row(row["name"], row["arrivals"] or "-", lasts, row["description"])
    return table


def _below(description: str) -> str:
    """The line of a description; nothing without one."""
    return f"\n{description}" if description else ""


def chain_view(chain: Chain) -> list[RenderableType]:
    """A chain: its states as a tree, or its site and visitors, and its variables."""
    head = Text.assemble((chain.name, "bold"), f"  weight {chain.weight:g}", (_below(chain.description), "dim"))
    if chain.visitors:
        return [head, *_visitors_view(chain, chain.visitors), _variable_table(chain)]
    tree = chain_tree(chain)
    return [head, tree, _variable_table(chain)] if chain.variables else [head, tree]


def event_view(event: EventType, places: list[tuple[str, str]], example: dict[str, Any]) -> list[RenderableType]:
    """An event type: the chains and states that emit it, its payload as a table, and one example."""
    emitted = join_names(f"{chain} ({state})" for chain, state in places)
    head = Text.assemble(
        (event.name, "bold"),
        (_below(event.description), "dim"),
        f"\nsource {event.source}, schema version {event.schema_version}, emitted by {emitted}",
    )
    text = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
    return [head, _payload_table(event), Syntax(text, "json", background_color="default")]


def _variable_table(chain: Chain) -> Table:
    table = _table("variable", "drawn from")
    for variable in chain.variables.values():
        source = (
            f"list {variable.list}{describe_conditions(variable.where)}"
            if variable.list
            else f"{variable.minimum} to {variable.maximum}"
        )
        if variable.factor is not None:
            source += f", each item with a speed of its own (95 of 100 up to {variable.factor:g} times slower)"
        own = f", one for each {variable.per}" if variable.per else ", the first most often" if variable.zipf else ""
        table.add_row(variable.name, source + own)
    return table


def _payload_table(event: EventType) -> Table:
    table = _table("payload", "type", "value", "description")
    for path, field in every_field(event.payload):
        table.add_row(dotted(path), field.type, field.source.describe(), field.description)
    return table


def _visitors_view(chain: Chain, visitors: Visitors) -> list[RenderableType]:
    """What a session emits, how visitors behave, what they visit, and where they click."""
    return [_session_table(chain), _behaviour_table(visitors), _journey_table(visitors), _page_table(visitors)]


def _session_table(chain: Chain) -> Table:
    table = _table("in a session", "emits", "")
    notes = {
        "created": "then pages, one after the other:",
        "visited": "each is visited,",
        "button": "clicked on,",
        "link": "",
        "closed": "and closed; a link leads to the next",
        "ended": "at last",
    }
    for name, text in notes.items():
        if name in chain.states:
            table.add_row(Text(name, "bold"), chain.states[name].emits, Text(text, "dim"))
    return table


def _behaviour_table(visitors: Visitors) -> Table:
    table = _table("behaviour", "from", "to")
    for name in ("session_duration", "pages_per_session", "time_per_page", "clicks_per_page", "action_delay"):
        bounds: Range = getattr(visitors.behaviour, name)
        unit = UNITS.get(name, "")
        table.add_row(name, f"{bounds.low:g}{unit}", f"{bounds.high:g}{unit}")
    if not visitors.behaviour.human_like_delays:
        table.add_row("human_like_delays", "off", "nobody waits")
    return table


def _journey_table(visitors: Visitors) -> Table:
    table = _table("set", "journey", "share", "way")
    for name, journeys in visitors.sets.items():
        total = sum(journey.weight for journey in journeys)
        style = "" if name == visitors.journeys else "dim"
        for journey in journeys:
            table.add_row(name, journey.name, f"{journey.weight / total:.0%}", _stops_text(journey), style=style)
    return table


def _stops_text(journey: Journey) -> str:
    stops = [f"{stop.page} ({', '.join(stop.clicks)})" if stop.clicks else stop.page for stop in journey.stops]
    return " → ".join(stops) or "from page to page by chance"


def _page_table(visitors: Visitors) -> Table:
    table = _table("page", "path", "clicks")
    for page in visitors.pages.values():
        table.add_row(page.name, page.path, ", ".join(map(_click_text, page.clicks)))
    return table


def _click_text(click: Click) -> str:
    leads = f" → {click.to}" if click.to else ""
    return click.element + leads + (f" ⇒ {click.causes}" if click.causes else "")


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    return table
