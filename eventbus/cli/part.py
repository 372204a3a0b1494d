"""`--workers`, `--from`, `--until` and `--index`: who makes a run, and which part of it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from eventbus.cli.types import Instant

if TYPE_CHECKING:
    from eventbus.chains.window import Window

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


def chosen_window(chains: int | None, duration: float | None, **options: Any) -> Window:
    """The window that the options name; a run without bounds has 100 chains, unless `--until` ends it.

    Raises:
        click.UsageError: the options contradict each other, or the window would never end.
    """
    from eventbus.chains.window import Window

    window = Window(chains=chains, duration=duration, **options)
    bounds = (window.chains, window.duration, window.until)
    if window.index is not None:
        if any(bound is not None for bound in (*bounds, window.since)) or window.workers != 1:
            raise click.UsageError("--index names a chain, whose events are all there are: no bound goes with it")
        return window
    if window.since and window.until and window.since >= window.until:
        raise click.UsageError(f"expected --from before --until, got {window.since} and {window.until}")
    if any(bound is not None for bound in bounds):
        return window
    if window.since is not None:
        raise click.UsageError("--from alone would never end: add --until, --duration or --chains")
    return replace(window, chains=DEFAULT_CHAINS)
