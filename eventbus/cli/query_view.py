"""How stored events, chains and statistics look on a terminal, in colour where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from catalog import Catalog
from catalog.conformance import Conformance
from eventbus.event import Event, format_timestamp
from processors.store import StoredChain

WIDE = 200  # columns where nobody looks: a pipe gets every line whole
COLOURS = {"requested": "cyan", "started": "blue", "failed": "red"}
GOOD, BAD = "green", "red"

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
    """A line for each event: time, type, chain and source, then as much of the payload as there is room for."""
    console = _console()
    for event in events:
        line = Text.assemble(
            (_clock(event.timestamp), "dim"),
            ("  " + event.event_type.ljust(48), _colour(event.event_type)),
            f"  {event.correlation_id}  ",
            (f"{_printable(event.source)}  ", "dim"),
            orjson.dumps(event.payload).decode(),
        )
        if console.is_terminal:
            line.truncate(max(console.width, 100), overflow="ellipsis")
        console.print(line, soft_wrap=True)


def print_chain(chain: StoredChain) -> None:
    """The chain in a line, its events as a tree, and what is to be said about it."""
    console = _console()
    console.print(_headline(chain), soft_wrap=True)
    for tree in _trees(chain.events):
        console.print(tree, soft_wrap=True)
    console.print(Text(f"{chain.verdict}: {VERDICTS[chain.verdict]}", _verdict_colour(chain)))
    for line in explanation(chain):
        console.print(f"  {line}", soft_wrap=True)


def print_statistics(statistics: dict[str, Any]) -> None:
    """Events by type, and chains with their durations."""
    events, chains = statistics["events"], statistics["chains"]
    console = _console()
    console.print(f"{events['total']:,} events, {events['per_second']:,.1f} per second", style="bold")
    by_type = _table("event type", "events")
    for name, count in sorted(events["by_type"].items(), key=lambda item: -item[1]):
        by_type.add_row(Text(name, _colour(name)), f"{count:,}")
    console.print(by_type)
    console.print(
        f"{chains['total']:,} chains: {chains['completed']:,} completed, {chains['failed']:,} failed, "
        f"{chains['in_flight']:,} in flight",
        style="bold",
    )
    by_chain = _table("chain", "total", "completed", "failed", "p50 ms", "p95 ms", "p99 ms")
    for name, one in chains["by_chain"].items():
        counts = [f"{one[key]:,}" for key in ("total", "completed", "failed")]
        by_chain.add_row(name, *counts, *(_number(one[f"p{percent}_ms"]) for percent in (50, 95, 99)))
    console.print(by_chain)


def chain_dict(chain: StoredChain) -> dict[str, Any]:
    """The chain as JSON, its events in causal order."""
    return {
        "correlation_id": chain.correlation_id,
        "chain": chain.chain,
        "tenant_id": chain.tenant_id,
        "state": chain.state,
        "outcome": chain.outcome,
        "verdict": chain.verdict,
        "requested_at": _instant(chain.requested_at),
        "started_at": _instant(chain.started_at),
        "ended_at": _instant(chain.ended_at),
        "duration_ms": _duration_ms(chain),
        "explanation": explanation(chain),
        "events": [event.to_dict() for event in chain.events],
    }


def explanation(chain: StoredChain) -> list[str]:
    """How the chain differs from the nearest way that the catalog knows; nothing when it does not."""
    catalog = Catalog.default()
    if chain.chain is None:
        return []
    if chain.chain not in catalog.chains:
        return [f"{chain.chain} is not in the shipped catalog"]
    seen = {event.event_type for event in chain.events}
    return Conformance(catalog).explain(chain.chain, seen, ended=chain.outcome is not None)


def _headline(chain: StoredChain) -> Text:
    duration = _duration_ms(chain)
    return Text.assemble(
        (chain.chain or "a chain without a request", "bold"),
        "  ",
        (chain.state, _colour(chain.state)),
        f" after {duration:,.0f} ms" if duration is not None else "",
        (f"  {_clock(chain.requested_at)} UTC" if chain.requested_at else "", "dim"),
        (f"  tenant {_printable(chain.tenant_id)}", "dim"),
    )


def _trees(events: Sequence[Event]) -> list[Tree]:
    """Roots with what they caused; events come in causal order, so a cause has its branch before its effects."""
    begin = min(event.timestamp for event in events)
    branches: dict[str, tuple[Event, Tree]] = {}
    roots: list[Tree] = []
    for event in events:
        cause, parent = branches.get(event.causation_id or "", (None, None))
        text = _event_text(event, begin, cause)
        branch = parent.add(text) if parent else Tree(text, guide_style="dim")
        if parent is None:
            roots.append(branch)
        branches[event.event_id] = event, branch
    return roots


def _event_text(event: Event, begin: datetime, cause: Event | None) -> Text:
    gap = f"  +{_ms(cause.timestamp, event.timestamp):,.0f} ms" if cause else ""
    return Text.assemble(
        (f"{_ms(begin, event.timestamp):>6,.0f} ms  ", "dim"),
        (event.event_type, _colour(event.event_type)),
        (gap, "bold"),
        (f"  {_printable(event.source)}  {event.event_id}", "dim"),
    )


def _printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _colour(name: str) -> str:
    """Of an event type by its action, or of a state."""
    action = name.split(".")[-2] if "." in name else name
    return COLOURS.get(action, GOOD)


def _verdict_colour(chain: StoredChain) -> str:
    return {"conforms": GOOD, "in_flight": "cyan"}.get(chain.verdict, BAD)


def _duration_ms(chain: StoredChain) -> float | None:
    if chain.requested_at is None or chain.ended_at is None:
        return None
    return _ms(chain.requested_at, chain.ended_at)


def _ms(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _clock(when: datetime) -> str:
    return when.isoformat(sep=" ", timespec="milliseconds")[:23]


def _instant(when: datetime | None) -> str | None:
    return format_timestamp(when) if when else None
