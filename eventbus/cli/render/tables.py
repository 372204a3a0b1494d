"""Tables of chains and event types: as rich tables on a terminal, as aligned text anywhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table
from rich.text import Text

from eventbus.cli.render.terminal import BAD

if TYPE_CHECKING:
    from eventbus.chains.pacing.summary import ChainSummary, RunSummary

PERCENTILES = (50, 95, 99)
DURATIONS = tuple(f"p{percent} ms" for percent in PERCENTILES)
"""Columns of the durations of chains."""


class ChainRow(NamedTuple):
    """The chains of one name."""

    name: str
    counts: Mapping[str, int]
    """By column."""
    durations_ms: Sequence[float | None]
    """Percentiles of the time from the first event to the outcome; None without any."""

    @classmethod
    def stored(cls, name: str, statistics: Mapping[str, Any]) -> ChainRow:
        """From an entry of `by_chain` in the statistics of the store."""
        return cls(name, statistics, [statistics[f"p{percent}_ms"] for percent in PERCENTILES])

    @classmethod
    def counted(cls, name: str, chain: ChainSummary) -> ChainRow:
        """From the counts of a run."""
        counts = {"begun": chain.begun, "active": chain.active, **chain.outcomes}
        histogram = chain.durations
        durations = [histogram.quantile(percent / 100) / 1000 if histogram.maximum else None for percent in PERCENTILES]
        return cls(name, counts, durations)

    def cells(self, columns: Iterable[str]) -> list[str]:
        """The counts of these columns, and the durations."""
        counts = [f"{self.counts.get(column, 0):,}" for column in columns]
        return [*counts, *("–" if value is None else f"{value:,.0f}" for value in self.durations_ms)]


def figures_table(*columns: str) -> Table:
    """A table with names on the left and numbers on the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def chain_table(rows: Iterable[ChainRow], *columns: str) -> Table:
    """Counts and durations of chains; failed chains are highlighted.

    Args:
        columns: names of counts.
    """
    table = figures_table("chain", *columns, *DURATIONS)
    for row in rows:
        cells: list[str | Text] = [*row.cells(columns)]
        if "failed" in columns:
            failed = columns.index("failed")
            cells[failed] = Text(row.cells(columns)[failed], style=BAD if row.counts.get("failed") else "dim")
        table.add_row(row.name, *cells)
    return table


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row, with names on the left and numbers on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *numbers in rows:
        cells = [f"{number:>{width}}" for number, width in zip(numbers, widths[1:], strict=True)]
        yield "  ".join([f"{name:<{widths[0]}}", *cells])


def summary_text(summary: RunSummary) -> str:
    """The chains of a run by name and its events by type."""
    if not summary.events:
        return "no events"
    columns = ("begun", *summary.outcomes(), "active")
    chains = [ChainRow.counted(name, chain) for name, chain in summary.chains().items()]
    types = summary.types()
    total = sum(types.values())
    return "\n".join(
        [
            *aligned([("chain", *columns, *DURATIONS), *((row.name, *row.cells(columns)) for row in chains)]),
            "",
            *aligned(
                [
                    ("event type", "events", "share"),
                    *((name, f"{count:,}", percentage(count, total)) for name, count in types.items()),
                ]
            ),
        ]
    )


def summary_document(summary: RunSummary) -> dict[str, Any]:
    """The summary in JSON."""
    return {
        "types": summary.types(),
        "by_chain": {
            name: {"begun": chain.begun, "active": chain.active, **chain.outcomes}
            for name, chain in summary.chains().items()
        },
    }


def percentage(part: int, total: int) -> str:
    """`12.3 %`."""
    return f"{100 * part / total:.1f} %" if total else "–"
