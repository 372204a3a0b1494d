"""Stored events, chains and statistics as text on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.text import Text
from rich.tree import Tree

from eventbus.cli.render.tables import ChainRow, chain_table, figures_table
from eventbus.cli.render.terminal import BAD, GOOD, colour, new_console, printable
from eventbus.event import Event
from eventbus.processors.store import StoredChain
from eventbus.views import ChainTreeNode, chain_tree, duration_ms, explain

VERDICTS = {
    "conforms": "as the catalog describes it",
    "in_flight": "not ended yet",
    "incomplete": "ended, but events are missing",
    "unexpected": "with events that the catalog does not hold together",
    "out_of_order": "started or ended before what it follows",
    "orphan": "its request was never seen",
    "conflict": "both completed and failed",
}


def print_events(events: Sequence[Event]) -> None:
    """Prints a line for each event: time, type, chain, source, and as much of the payload as fits."""
    console = new_console()
    for event in events:
        line = Text.assemble(
            (_timestamp(event.timestamp), "dim"),
            ("  " + event.event_type.ljust(48), colour(event.event_type)),
            f"  {event.correlation_id}  ",
            (f"{printable(event.source)}  ", "dim"),
            printable(orjson.dumps(event.payload).decode()),
        )
        if console.is_terminal:
            line.truncate(max(console.width, 100), overflow="ellipsis")
        console.print(line, soft_wrap=True)


def print_chain(chain: StoredChain, differences: Sequence[str]) -> None:
    """Prints a headline, the events as a tree, the verdict, an explanation, and the differences from the catalog."""
    console = new_console()
    console.print(_headline(chain), soft_wrap=True)
    for tree in _trees(chain_tree(chain.events)):
        console.print(tree, soft_wrap=True)
    console.print(Text(f"{chain.verdict}: {VERDICTS[chain.verdict]}", _verdict_colour(chain)))
    for line in (explain(chain), *differences):
        console.print(f"  {printable(line)}", soft_wrap=True)


def print_statistics(statistics: dict[str, Any]) -> None:
    """Prints events by type, and chains with their durations."""
    events, chains = statistics["events"], statistics["chains"]
    console = new_console()
    console.print(f"{events['total']:,} events, {events['per_second']:,.1f} per second", style="bold")
    by_type = figures_table("event type", "events")
    for name, count in sorted(events["by_type"].items(), key=lambda item: -item[1]):
        by_type.add_row(Text(name, colour(name)), f"{count:,}")
    console.print(by_type)
    console.print(
        f"{chains['total']:,} chains: {chains['completed']:,} completed, {chains['failed']:,} failed, "
        f"{chains['in_flight']:,} in flight",
        style="bold",
    )
    rows = [ChainRow.stored(name, chain) for name, chain in chains["by_chain"].items()]
    console.print(chain_table(rows, "total", "completed", "failed"))


def _headline(chain: StoredChain) -> Text:
    duration = duration_ms(chain)
    return Text.assemble(
        (chain.chain or "a chain without a request", "bold"),
        "  ",
        (chain.state, colour(chain.state)),
        f" after {duration:,.0f} ms" if duration is not None else "",
        (f"  {_timestamp(chain.requested_at)} UTC" if chain.requested_at else "", "dim"),
        (f"  tenant {printable(chain.tenant_id)}", "dim"),
    )


def _trees(nodes: Sequence[ChainTreeNode], parent: Tree | None = None) -> list[Tree]:
    """A tree for each root; an event hangs on the event that caused it."""
    trees = []
    for node in nodes:
        text = _event_text(node)
        branch = Tree(text, guide_style="dim") if parent is None else parent.add(text)
        trees.append(branch)
        _trees(node.effects, branch)
    return trees


def _event_text(node: ChainTreeNode) -> Text:
    gap = "" if node.gap_ms is None else f"  +{node.gap_ms:,.0f} ms"
    return Text.assemble(
        (f"{node.offset_ms:>6,.0f} ms  ", "dim"),
        (node.event.event_type, colour(node.event.event_type)),
        (gap, "bold"),
        (f"  {printable(node.event.source)}  {node.event.event_id}", "dim"),
    )


def _verdict_colour(chain: StoredChain) -> str:
    return {"conforms": GOOD, "in_flight": "cyan"}.get(chain.verdict, BAD)


def _timestamp(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="milliseconds")[:23]
