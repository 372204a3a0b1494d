"""`--workers`, `--from`, `--until` and `--index`: who makes a run, and which part of it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from eventbus.cli.types import Instant

if TYPE_CHECKING:
    from eventbus.chains import Block, ChainGenerator
    from eventbus.chains.rendering import Format

C = TypeVar("C", bound=Callable[..., Any])

DEFAULT_CHAINS = 100


def part_options(command: C) -> C:
    """Options `workers`, `since`, `until` and `index`."""
    for option in (
        click.option("--index", type=click.IntRange(min=0), help="Only this chain of the run, counted from 0."),
        click.option("--until", type=Instant(), help="Only events before this time."),
        click.option("--from", "since", type=Instant(), help="Only events from this time on."),
        click.option("--workers", type=int, default=1, show_default=True, help="Processes; never changes a byte."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Part:
    """What is wanted of a run."""

    chains: int | None
    duration: float | None
    since: datetime | None = None
    until: datetime | None = None
    index: int | None = None
    workers: int = 1

    @classmethod
    def chosen(cls, chains: int | None, duration: float | None, **options: Any) -> Part:
        """The part that the options name; a run without bounds has 100 chains, unless `--until` ends it.

        Raises:
            click.UsageError: the options contradict each other, or the part would never end.
        """
        part = cls(chains, duration, **options)
        bounds = (part.chains, part.duration, part.until)
        if part.index is not None:
            if any(bound is not None for bound in (*bounds, part.since)) or part.workers != 1:
                raise click.UsageError("--index names a chain, whose events are all there are: no bound goes with it")
            return part
        if part.since and part.until and part.since >= part.until:
            raise click.UsageError(f"expected --from before --until, got {part.since} and {part.until}")
        if any(bound is not None for bound in bounds):
            return part
        if part.since is not None:
            raise click.UsageError("--from alone would never end: add --until, --duration or --chains")
        return cls(DEFAULT_CHAINS, duration, **options)

    @property
    def is_whole(self) -> bool:
        """Whether this is all of the run."""
        return self.since is None and self.until is None and self.index is None

    def span(self, generator: ChainGenerator, last_arrival: int) -> tuple[int, int]:
        """When chains of this part can begin: from, and up to; microseconds since the Unix epoch.

        Args:
            last_arrival: when the last chain began, which bounds a part that has no other bound.
        """
        from eventbus.event import microseconds

        begin = microseconds(generator.start)
        since = begin if self.since is None else max(begin, microseconds(self.since))
        ends = [
            last_arrival + 1 if self.chains is not None or self.index is not None else None,
            None if self.until is None else microseconds(self.until),
            None if self.duration is None else begin + round(self.duration * 1e6),
        ]
        return since, max(since, min(end for end in ends if end is not None))

    def blocks(self, generator: ChainGenerator, format: Format | None = None) -> Iterator[Block]:
        """The events.

        Args:
            format: their form. None: the JSON event.

        Raises:
            click.UsageError: the generator does not take the options.
        """
        from eventbus.chains import InvalidSetting
        from eventbus.chains.rendering import JSON

        format = format or JSON
        if self.index is not None:
            return iter([generator.alone(self.index, format=format)])
        try:
            return generator.window(
                self.since,
                self.until,
                chains=self.chains,
                duration=self.duration,
                workers=self.workers,
                format=format,
            )
        except InvalidSetting as error:
            raise click.UsageError(str(error)) from error
