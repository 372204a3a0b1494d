"""`generate --summary` and `--report`: what a run consisted of, told at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.typed import typed

if TYPE_CHECKING:
    from eventbus.chains import Block, ChainGenerator
    from eventbus.chains.pacing.summary import RunSummary
    from eventbus.chains.report import RunReport
    from eventbus.chains.window import Window


class ReportPath(click.Path):
    """A page or a picture in a folder that exists: a long run shall not end with the news that it cannot be written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"expected a file in a folder that exists, got {value!r}", param, ctx)
        if path.suffix not in (".html", ".htm", ".svg"):
            self.fail(f"expected a name that ends in .html or .svg, got {value!r}", param, ctx)
        return path


report_option = click.option(
    "--report",
    type=ReportPath(dir_okay=False, writable=True),
    metavar="FILE.html",
    help="Write a page with charts at the end, which needs no other file; FILE.svg: the chart of the day alone.",
)
summary_option = click.option("--summary", is_flag=True, help="Print chains by outcome and events by type at the end.")


class Reporting:
    """Counts what passes by, if somebody wants to know."""

    def __init__(self, report: Path | None, *, summary: bool) -> None:
        self._report = report
        self._summary = summary
        self._census: RunSummary | None = None
        #: How many of each kind are injected.
        self.faults: Mapping[str, int] = {}

    @property
    def is_wanted(self) -> bool:
        return self._summary or self._report is not None

    def watched(self, blocks: Iterator[Block], generator: ChainGenerator) -> Iterator[Block]:
        """The same blocks."""
        if not self.is_wanted:
            return blocks
        self._census = generator.census()
        return self._counted(blocks, self._census)

    def finish(self, generator: ChainGenerator, window: Window, *, digest: str, seconds: float) -> None:
        """Print and write what is wanted."""
        if self._census is None:
            return
        from eventbus.cli.render.summary import summary

        if self._summary:
            click.echo(summary(self._census), err=True)
        if self._report:
            from eventbus.chains.report import RunReport
            from eventbus.cli.expectation import expected_chains, zone_of

            since, until = window.arrival_span(generator, self._census.last_arrival)
            report = RunReport(
                command=typed(click.get_current_context()),
                seed=generator.seed,
                digest=digest,
                summary=self._census,
                seconds=seconds,
                since=since,
                until=until,
                expected=expected_chains(generator) if window.index is None else None,
                zone=zone_of(generator.arrivals),
                faults=self.faults,
            )
            write_report(self._report, report)

    @staticmethod
    def _counted(blocks: Iterator[Block], census: RunSummary) -> Iterator[Block]:
        for block in blocks:
            census.add(block.table)
            yield block


def reporting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--summary` and `--report`, as one argument `reporting`."""

    @wraps(command)
    def with_reporting(*, report: Path | None, summary: bool, **options: Any) -> Any:
        return command(reporting=Reporting(report, summary=summary), **options)

    return summary_option(report_option(with_reporting))


def write_report(path: Path, report: RunReport) -> None:
    """Write the page, or the picture, whole or not at all."""
    from eventbus.chains.report import page, picture

    text = picture(report) if path.suffix == ".svg" else page(report)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise click.FileError(str(path), hint=error.strerror) from error
