"""How `eventbus stream` is watched: figures while it runs, a hash at its end, a page with charts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.expectation import expected_chains
from eventbus.cli.options import plain_option
from eventbus.cli.reporting import report_option, write_report
from eventbus.cli.typed import typed
from eventbus.cli.types import Duration, Instant

if TYPE_CHECKING:
    from eventbus.chains import ChainGenerator, RunStatistics
    from eventbus.chains.pacing.observers import Observer
    from eventbus.cli.render.figures import Figures

SECOND = 1_000_000


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """What the user chose."""

    stats_interval: float
    plain: bool
    verbose: bool
    report: Path | None
    start: datetime | None

    def is_live(self, *, prints_events: bool) -> bool:
        """Whether figures are redrawn in place; lines of events would push them away.

        Args:
            prints_events: whether a sink does so on stdout.
        """
        lines = self.verbose or (prints_events and sys.stdout.isatty())
        return sys.stderr.isatty() and not (self.plain or lines)


OPTIONS = (
    click.option(
        "--start", type=Instant(),
        help="When virtual time begins; with it and a seed, a run is the same at any time and speed [default: now].",
    ),
    click.option(
        "--stats-interval", type=Duration(), default="30s", show_default=True,
        help="Between two looks at the figures, in plain lines on stderr; a terminal has them live.",
    ),
    plain_option,
    click.option("--verbose", is_flag=True, help="A line on stderr for every event that is published."),
    report_option,
)  # fmt: skip


def watch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options, as one argument `watching`, a `WatchOptions`."""

    @wraps(command)
    def with_watching(**options: Any) -> Any:
        given = {name: options.pop(name) for name in WatchOptions.__dataclass_fields__}
        if not given["stats_interval"] > 0:
            raise click.UsageError("--stats-interval: expected more than 0 seconds")
        return command(watching=WatchOptions(**given), **options)

    decorated: Callable[..., Any] = with_watching
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated


class Watch:
    """Looks on at one run.

    Args:
        speed: virtual seconds in a second; infinite: without waiting.
        duration: virtual seconds in which chains begin.
        is_paced: whether chains begin at a rate, not as fast as the sinks take them.
        zone: of the hours of the day.
        events_per_chain: on average.
    """

    def __init__(
        self,
        options: WatchOptions,
        generator: ChainGenerator,
        *,
        speed: float,
        duration: float | None,
        is_paced: bool,
        zone: tzinfo,
        events_per_chain: float,
    ) -> None:
        from eventbus.chains.pacing.observers import Digest
        from eventbus.cli.render.verbose import Verbose

        self.options = options
        self.census = generator.census()
        self.digest = Digest()
        self.observers: list[Observer] = [self.census, self.digest]
        if options.verbose:
            self.observers.append(Verbose(self.census.event_types, lambda text: click.echo(text, nl=False, err=True)))
        self._generator = generator
        self._speed = speed
        self._zone = zone
        self._duration = duration
        self._expected = expected_chains(generator) if is_paced else None
        self._events_per_chain = events_per_chain

    def figures(self, run: RunStatistics, errors: int) -> Figures:
        """Those of now."""
        from eventbus.cli.render.figures import Figures

        expected = self._expected if run.began else None
        return Figures.of(
            self.census,
            run,
            errors=errors,
            expected=expected(*self._span(run)) if expected else None,
            events_per_chain=self._events_per_chain,
        )

    @property
    def faults(self) -> Mapping[str, int]:
        """How many events each kind of fault has struck."""
        return self._generator.injected()

    def write_report(self, run: RunStatistics, sinks: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the page, if it is wanted."""
        if self.options.report is None:
            return
        from eventbus.chains.report import Pace, RunReport

        since, until = self._span(run)
        report = RunReport(
            command=typed(click.get_current_context()),
            seed=self._generator.seed,
            digest=self.digest.hexdigest(),
            summary=self.census,
            seconds=run.elapsed,
            since=since,
            until=until,
            expected=self._expected,
            zone=self._zone,
            pace=Pace(began=run.began, speed=self._speed, statistics=run),
            sinks=sinks,
            faults=self.faults,
        )
        write_report(self.options.report, report)

    def _span(self, run: RunStatistics) -> tuple[int, int]:
        """Virtual times between which chains could begin so far."""
        if self._speed == float("inf"):
            return run.start, max(run.start, self.census.last_arrival)
        passed = run.elapsed * self._speed
        if self._duration is not None:
            passed = min(passed, self._duration)
        return run.start, run.start + round(passed * SECOND)
