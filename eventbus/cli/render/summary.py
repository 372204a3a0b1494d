"""A run in figures, as text: its chains by name and its events by type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventbus.chains.pacing.summary import RunSummary


def summary(census: RunSummary) -> str:
    """Two tables."""
    return "\n".join([*_chains(census), "", *_types(census)])


def summary_document(census: RunSummary) -> dict[str, Any]:
    """The same for a machine."""
    return {
        "types": census.types(),
        "by_chain": {
            name: {"begun": chain.begun, "active": chain.active, **chain.outcomes}
            for name, chain in census.chains().items()
        },
    }


def share(part: int, whole: int) -> str:
    """`12.3 %`."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each row: names to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *figures in rows:
        cells = [f"{figure:>{width}}" for figure, width in zip(figures, widths[1:], strict=True)]
        yield "  ".join([f"{name:<{widths[0]}}", *cells])


def _chains(census: RunSummary) -> Iterator[str]:
    chains, outcomes = census.chains(), list(census.outcomes())
    rows = [("chain", "begun", *outcomes, "active", "p50 ms", "p95 ms", "p99 ms")]
    for name, chain in chains.items():
        counts = [chain.begun, *(chain.outcomes[outcome] for outcome in outcomes), chain.active]
        lasted = [
            f"{chain.durations.quantile(q) / 1000:,.0f}" if chain.durations.maximum else "–" for q in (0.5, 0.95, 0.99)
        ]
        rows.append((name, *(f"{count:,}" for count in counts), *lasted))
    return table(rows)


def _types(census: RunSummary) -> Iterator[str]:
    types = census.types()
    whole = sum(types.values())
    return table([("event type", "events", "share"), *((name, f"{n:,}", share(n, whole)) for name, n in types.items())])
