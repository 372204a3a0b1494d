"""What a run consisted of, at its end: a summary on stderr, and a report as a page or a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from eventbus.cli.command import invocation

if TYPE_CHECKING:
    from eventbus.catalog.model import Arrivals
    from eventbus.chains import Block, ChainGenerator
    from eventbus.chains.pacing.summary import RunSummary
    from eventbus.chains.report import RunReport
    from eventbus.chains.report.run import ExpectedChains
    from eventbus.chains.window import RunWindow


class RunReporter:
    """Counts the events of a run for the summary and the report, if one of them is wanted."""

    def __init__(self, *, summary: bool, report: Path | None) -> None:
        self._prints_summary = summary
        self._report = report
        self._summary: RunSummary | None = None
        #: Injected faults by kind.
        self.faults: Mapping[str, int] = {}

    @property
    def is_wanted(self) -> bool:
        return self._prints_summary or self._report is not None

    def counted(self, blocks: Iterator[Block], generator: ChainGenerator) -> Iterator[Block]:
        """Passes the blocks on, and counts them."""
        if not self.is_wanted:
            return blocks
        self._summary = generator.summary()
        return _counted(blocks, self._summary)

    def finish(self, generator: ChainGenerator, window: RunWindow, *, digest: str, seconds: float) -> None:
        """Prints the summary and writes the report, as far as they are wanted.

        Args:
            digest: SHA-256 of the output.
            seconds: that the run took.
        """
        if self._summary is None:
            return
        if self._prints_summary:
            from eventbus.cli.render.tables import summary_text

            click.echo(summary_text(self._summary), err=True)
        if self._report:
            from eventbus.chains.report import RunReport

            since, until = window.arrival_span(generator, self._summary.last_arrival)
            report = RunReport(
                command=invocation(click.get_current_context()),
                seed=generator.seed,
                digest=digest,
                summary=self._summary,
                seconds=seconds,
                since=since,
                until=until,
                expected=expected_chains(generator) if window.index is None else None,
                zone=time_zone(generator.arrivals),
                faults=self.faults,
            )
            write_report(self._report, report)


def _counted(blocks: Iterator[Block], summary: RunSummary) -> Iterator[Block]:
    for block in blocks:
        summary.add(block.table)
        yield block


def write_report(path: Path, report: RunReport) -> None:
    """Writes the page, or the picture if the path ends in `.svg`; a file that exists is replaced at once.

    Raises:
        click.FileError: it cannot be written.
    """
    from eventbus.chains.report import page, picture

    text = picture(report) if path.suffix == ".svg" else page(report)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise click.FileError(str(path), hint=error.strerror) from error


def expected_chains(generator: ChainGenerator) -> ExpectedChains:
    """How many chains should begin between two virtual times, by the arrivals of the generator's last run."""
    return lambda since, until: generator.expected(_instant(since), _instant(until))


def time_zone(arrivals: Arrivals | None) -> tzinfo:
    """The time zone of the profile by which chains begin; UTC without a profile."""
    from eventbus.catalog.model import OpenWorkload, Profile

    if isinstance(arrivals, OpenWorkload) and isinstance(arrivals.rate, Profile):
        return ZoneInfo(arrivals.rate.time_zone)
    return UTC


def _instant(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1e6, UTC)
