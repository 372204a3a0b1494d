"""How chains and event types look on a terminal: trees and tables, in colour where there is a terminal."""

from __future__ import annotations

from typing import Any

import orjson
from rich.console import RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from eventbus.catalog.errors import join_names
from eventbus.catalog.model import Chain, EventType, dotted, every_field
from eventbus.cli.render.terminal import new_console
from eventbus.cli.render.trees import chain_tree
from eventbus.cli.render.visitors import visitors_view


def print_all(*things: RenderableType) -> None:
    """Print to stdout, a blank line between."""
    console = new_console()
    for index, thing in enumerate(things):
        if index:
            console.print()
        console.print(thing)


def chain_table(rows: list[dict[str, Any]]) -> Table:
    """One line for each chain."""
    table = _table("chain", "weight", "share", "states", "description")
    for row in rows:
        share = f"{row['share']:.1%}" if row["weight"] else "off"
        style = "" if row["weight"] else "dim"
        table.add_row(row["name"], f"{row['weight']:g}", share, str(row["states"]), row["description"], style=style)
    return table


def event_table(rows: list[dict[str, Any]]) -> Table:
    """One line for each event type."""
    table = _table("event type", "chains", "source", "description")
    for row in rows:
        table.add_row(row["name"], ", ".join(row["chains"]) or "–", row["source"], row["description"])
    return table


def scenario_table(rows: list[dict[str, Any]]) -> Table:
    table = _table("scenario", "begins", "lasts", "")
    for row in rows:
        seconds = row["duration_seconds"]
        lasts = "-" if seconds is None else f"{seconds / 60:g} min" if seconds < 7200 else f"{seconds / 3600:g} h"
        table.add_row(row["name"], row["arrivals"] or "-", lasts, row["description"])
    return table


def chain_view(chain: Chain) -> list[RenderableType]:
    """A chain: its walks as a tree, and its variables."""
    head = Text.assemble((chain.name, "bold"), f"  weight {chain.weight:g}", ("\n" + chain.description, "dim"))
    if chain.visitors:
        return [head, *visitors_view(chain, chain.visitors), _variable_table(chain)]
    tree = chain_tree(chain)
    return [head, tree, _variable_table(chain)] if chain.variables else [head, tree]


def event_view(event: EventType, places: list[tuple[str, str]], example: dict[str, Any]) -> list[RenderableType]:
    """An event type: where it stands, its payload as a table, and one example."""
    emitted = join_names(f"{chain} ({state})" for chain, state in places)
    head = Text.assemble(
        (event.name, "bold"),
        ("\n" + event.description, "dim"),
        f"\nsource {event.source}, schema version {event.schema_version}, emitted by {emitted}",
    )
    text = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
    return [head, _payload_table(event), Syntax(text, "json", background_color="default")]


def _variable_table(chain: Chain) -> Table:
    table = _table("variable", "drawn from")
    for variable in chain.variables.values():
        source = f"list {variable.list}" if variable.list else f"{variable.minimum} to {variable.maximum}"
        if variable.factor is not None:
            source += f", each item with a speed of its own (95 of 100 up to {variable.factor:g} times slower)"
        own = f", one for each {variable.per}" if variable.per else ", the first most often" if variable.zipf else ""
        table.add_row(variable.name, source + own)
    return table


def _payload_table(event: EventType) -> Table:
    table = _table("payload", "type", "value", "description")
    for path, one in every_field(event.payload):
        name = dotted(path)
        table.add_row(name, one.type, one.source.describe(), one.description)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in {"weight", "share", "states"} else "left")
    return table
