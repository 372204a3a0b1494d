"""The figures of a running stream on a terminal, redrawn in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from eventbus.cli.render.figures import Figures, clock, rates
from eventbus.cli.render.summary import share
from eventbus.cli.render.terminal import BAD, GOOD, colour, figures_table

if TYPE_CHECKING:
    from eventbus.chains.pacing.summary import ChainCounts

BAR = 24
"""Characters of the longest bar."""
OUTCOME_COLOURS = {"completed": GOOD, "failed": BAD}


def panel(
    console: Console, now: Figures, before: Figures, chains: dict[str, ChainCounts], *, title: str, below: str
) -> RenderableType:
    """Totals and rates, chains, and as many event types as there is room for.

    Args:
        before: what the present rates are measured from.
        below: how the sinks are doing.
    """
    upper = Group(
        Text(f"{title} · {clock(now.elapsed)}", style="bold"), _totals(now), _rates(now, before), Text(),
        _chains(chains), Text(),
    )  # fmt: skip
    lower = Text(below, style="dim")
    used = sum(len(console.render_lines(part, pad=False)) for part in (upper, lower))
    return Group(upper, _types(now, max(console.height - used - 4, 1)), Text(), lower)


def _totals(now: Figures) -> Text:
    text = Text.assemble(("events ", "dim"), (f"{now.events:,}", "bold"))
    for noun, group in now.groups.items():
        text.append(f"   {noun} ", "dim").append(f"{group.begun:,}", "bold")
        text.append("   active ", "dim").append(f"{group.active:,}", "yellow")
        for outcome, count in sorted(group.outcomes.items()):
            text.append(f"   {outcome} ", "dim").append(f"{count:,}", OUTCOME_COLOURS.get(outcome, "yellow"))
    for name, count in (("errors", now.errors), ("late", now.late), ("dropped", now.dropped)):
        text.append(f"   {name} ", "dim").append(f"{count:,}", BAD if count else "dim")
    return text.append("   lag p99 ", "dim").append(f"{now.lag_p99_ms:,.0f} ms")


def _rates(now: Figures, before: Figures) -> Text:
    whole = rates(now, Figures(expected=0.0))
    return Text.assemble(("now ", "dim"), (rates(now, before), "cyan"), ("   overall ", "dim"), whole)


def _chains(chains: dict[str, ChainCounts]) -> Table:
    table = figures_table("chain", "begun", "active", "completed", "failed", "p50 ms", "p95 ms", "p99 ms")
    for name, chain in chains.items():
        lasted = [
            f"{chain.durations.quantile(q) / 1000:,.0f}" if chain.durations.maximum else "–" for q in (0.5, 0.95, 0.99)
        ]
        counts = (chain.begun, chain.active, chain.outcomes["completed"])
        failed = chain.outcomes["failed"]
        table.add_row(name, *(f"{n:,}" for n in counts), Text(f"{failed:,}", style=BAD if failed else "dim"), *lasted)
    return table


def _types(now: Figures, most: int) -> Table:
    """The most frequent types, and how many have no line."""
    table = figures_table("event type", "events", "share", "")
    table.columns[-1].justify = "left"
    largest, shown = max(now.types.values(), default=0), list(now.types.items())
    for name, count in shown[:most]:
        bar = "█" * max(round(BAR * count / largest), 1)
        table.add_row(name, f"{count:,}", share(count, now.events), Text(bar, style=colour(name)))
    if len(shown) > most:
        others = sum(count for _, count in shown[most:])
        table.add_row(Text(f"{len(shown) - most} other types", style="dim"), f"{others:,}", share(others, now.events))
    return table
