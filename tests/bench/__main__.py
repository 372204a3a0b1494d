"""`make bench`: every row measured beside its baseline in the same run, printed as one table."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module

from rich.console import Console
from rich.table import Table

from tests.bench.table import Row

PARTS = (
    "generator",
    "arrivals",
    "topology",
    "visitors",
    "formats",
    "faults",
    "learning",
    "watching",
    "bus",
    "kafka",
    "store",
    "processing",
    "api",
    "sinks",
)


def main(parts: list[str]) -> int:
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table(title=f"Python {platform.python_version()}, {os.cpu_count()} cores")
    for heading in ("what", "ours", "unit", "baseline", "", "ratio", "bar", "missed"):
        table.add_column(heading, justify="right" if heading in ("ours", "baseline", "ratio") else "left")
    for part in parts or PARTS:
        console.print(f"[dim]measuring {part} …[/dim]")
        for row in import_module(f"tests.bench.{part}").rows():
            table.add_row(*cells(row))
        table.add_section()
    console.print(table)
    return 0


def cells(row: Row) -> tuple[str, ...]:
    baseline = "" if row.baseline is None else number(row.baseline)
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    missed = "[red]missed[/red]" if row.misses else ""
    return row.name, number(row.ours), row.unit, baseline, row.baseline_name, ratio, row.target, missed


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
