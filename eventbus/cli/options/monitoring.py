"""What a run shows of itself: statistics while it runs, a summary and a report at its end."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from eventbus.cli import types
from eventbus.cli.command import option, option_group
from eventbus.cli.options.common import plain_option

SUMMARY = "Summary and report"


class ReportPath(click.Path):
    """A file to write in a folder that exists, so that a long run cannot fail at its end for want of one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"expected a file in a folder that exists, got {value!r}", param, ctx)
        if path.suffix not in (".html", ".htm", ".svg"):
            self.fail(f"expected a name that ends in .html or .svg, got {value!r}", param, ctx)
        return path


report_option = option(
    "--report",
    type=ReportPath(dir_okay=False, writable=True),
    metavar="FILE.html",
    help="Write a page with charts at the end, complete in this one file; FILE.svg is the chart of the day alone.",
)
summary_option = option("--summary", is_flag=True, help="Print chains by outcome and events by type at the end.")


@dataclass(frozen=True, kw_only=True)
class MonitorOptions:
    """The values of the options of a stream."""

    stats_interval: float
    plain: bool
    verbose: bool
    report: Path | None

    def is_live(self, *, prints_events: bool) -> bool:
        """Whether statistics are redrawn in place; lines of events would scroll them away.

        Args:
            prints_events: whether a sink writes events to stdout.
        """
        lines = self.verbose or (prints_events and sys.stdout.isatty())
        return sys.stderr.isatty() and not (self.plain or lines)


def _checked(**values: Any) -> MonitorOptions:
    if not values["stats_interval"] > 0:
        raise click.UsageError("--stats-interval: expected more than 0 seconds")
    return MonitorOptions(**values)


monitor_options = option_group(
    "Watching",
    option(
        "--stats-interval", type=types.duration, default="30s",
        help="Time between two prints of statistics to stderr; on a terminal they are live instead.",
    ),
    plain_option,
    option("--verbose", is_flag=True, help="Print a line to stderr for every event that is published."),
    report_option,
    into=_checked,
    argument="monitoring",
)  # fmt: skip
