"""How chains and event types look on a terminal: trees and tables, in colour where there is a terminal."""

from __future__ import annotations

from typing import Any

import orjson
from rich.console import RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from catalog.model import Chain, Delay, EventType, Exponential, Fixed, PayloadField, State, Transition, Uniform
from catalog.resolve import every_field
from catalog.words import listed
from eventbus.cli.terminal import new_console

COLOURS = {"completed": "green", "failed": "red"}


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
    """A chain as a tree of its walks; a state seen before is named, not drawn again."""
    head = Text.assemble((chain.name, "bold"), f"  weight {chain.weight:g}", ("\n" + chain.description, "dim"))
    tree = Tree(_state_text(chain.states[chain.start]), guide_style="dim")
    _grow(tree, chain, chain.states[chain.start], {chain.start})
    return [head, tree, _variable_table(chain)] if chain.variables else [head, tree]


def event_view(event: EventType, places: list[tuple[str, str]], example: dict[str, Any]) -> list[RenderableType]:
    """An event type: where it stands, its payload as a table, and one example."""
    emitted = listed(f"{chain} ({state})" for chain, state in places)
    head = Text.assemble(
        (event.name, "bold"),
        ("\n" + event.description, "dim"),
        f"\nsource {event.source}, schema version {event.schema_version}, emitted by {emitted}",
    )
    text = orjson.dumps(example, option=orjson.OPT_INDENT_2).decode()
    return [head, _payload_table(event), Syntax(text, "json", background_color="default")]


def delay_text(delay: Delay) -> str:
    """`100–300 ms`, `100 ms`, `~400 ms (p95 2000 ms)`."""
    if isinstance(delay, Fixed):
        return f"{delay.value:g} ms"
    if isinstance(delay, Uniform):
        return f"{delay.minimum:g}–{delay.maximum:g} ms"
    if isinstance(delay, Exponential):
        return f"mean {delay.mean:g} ms"
    return f"median {delay.median:g} ms, p95 {delay.p95:g} ms"


def _grow(tree: Tree, chain: Chain, state: State, seen: set[str]) -> None:
    for transition in state.next:
        label = _transition_text(state, transition)
        target = chain.states[transition.to]
        if target.name in seen:
            tree.add(label.append_text(Text(f"↺ {target.name}", "dim")))
        else:
            seen.add(target.name)
            _grow(tree.add(label.append_text(_state_text(target))), chain, target, seen)


def _transition_text(state: State, transition: Transition) -> Text:
    share = f"{transition.weight / state.total:.0%}  " if len(state.next) > 1 else ""
    return Text.assemble((share, "yellow"), (f"{delay_text(transition.delay)} → ", "cyan"))


def _state_text(state: State) -> Text:
    colour = COLOURS.get(state.outcome or "", "")
    end = f"  ■ {state.outcome}" if state.outcome else ""
    return Text.assemble((state.name, f"bold {colour}".strip()), "  ", state.emits, (end, colour))


def _variable_table(chain: Chain) -> Table:
    table = _table("variable", "drawn from")
    for variable in chain.variables.values():
        source = f"list {variable.list}" if variable.list else f"{variable.minimum} to {variable.maximum}"
        table.add_row(variable.name, source)
    return table


def _payload_table(event: EventType) -> Table:
    table = _table("payload", "type", "value", "description")
    for path, one in every_field(event.payload):
        name = ".".join(part for part in path if part != "fields")
        table.add_row(name, one.type, _value_text(one), one.description)
    return table


def _value_text(one: PayloadField) -> str:
    if one.value is not None:
        return f"always {one.value!r}"
    if one.choices is not None:
        return f"one of {listed(dict.fromkeys(map(str, one.choices)), 6)}"
    if one.pick is not None:
        return f"from list {one.pick}"
    if one.var is not None:
        return f"of the chain: {one.var}"
    if one.elapsed:
        return "since the event that caused it"
    return "" if one.minimum is None else f"{one.minimum:g} to {one.maximum:g}"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in {"weight", "share", "states"} else "left")
    return table
