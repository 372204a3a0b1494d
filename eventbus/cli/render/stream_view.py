"""What `eventbus stream` shows: figures while it runs, and the account at the end."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import click
from rich.console import Console
from rich.live import Live

from eventbus.chains.clock import AsyncClock, WallClock
from eventbus.cli.faults import told
from eventbus.cli.render.figures import Figures, lines
from eventbus.cli.render.stream_panel import panel
from eventbus.cli.render.summary import summary, summary_document

if TYPE_CHECKING:
    from eventbus.chains import RunStatistics
    from eventbus.cli.watching import Watch
    from eventbus.kafka import DeliveryStatistics

REFRESH = 0.25
"""Seconds between two looks at the figures of a terminal."""
RATE_OVER = 5.0
"""Seconds that its present rates are measured over."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """What the generator scheduled, and what became of it on the bus."""

    run: RunStatistics
    delivery: DeliveryStatistics
    seed: int

    @property
    def rate(self) -> float:
        """Acknowledged events per second."""
        return self.delivery.acknowledged / self.run.elapsed if self.run.elapsed else 0.0

    @property
    def errors(self) -> int:
        return self.delivery.failed

    def line(self) -> str:
        """For a look in passing."""
        done, waiting, failed = self.delivery.acknowledged, self.delivery.in_flight, self.delivery.failed
        return f"kafka: {done:,} acknowledged, {waiting:,} in flight, {failed:,} failed"

    def sinks(self) -> dict[str, dict[str, Any]]:
        """For a report."""
        sent, done, failed = self.delivery.sent, self.delivery.acknowledged, self.delivery.failed
        return {"kafka": {"sent": sent, "acknowledged": done, "failed": failed}}

    def text(self) -> str:
        """For the end; the sums are right, always."""
        run, delivery = self.run, self.delivery
        return "\n".join(
            [
                f"{delivery.sent:,} sent = {delivery.acknowledged:,} acknowledged + {delivery.failed:,} failed",
                f"{run.scheduled:,} scheduled, {run.late:,} late, {run.dropped:,} dropped; "
                f"{run.chains:,} chains begun, {run.chains_finished:,} finished; seed {self.seed}",
                f"{run.elapsed:.1f} s, {self.rate:,.0f} events/s; "
                f"lag p50 {run.lag_p50_ms:.1f} ms, p99 {run.lag_p99_ms:.1f} ms, max {run.lag_max_ms:.1f} ms",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """For a machine."""
        run, delivery = self.run, self.delivery
        return {
            "scheduled": run.scheduled,
            "sent": delivery.sent,
            "acknowledged": delivery.acknowledged,
            "failed": delivery.failed,
            "late": run.late,
            "dropped": run.dropped,
            "chains": run.chains,
            "chains_finished": run.chains_finished,
            "seconds": round(run.elapsed, 3),
            "events_per_second": round(self.rate, 1),
            "lag_ms": {"p50": run.lag_p50_ms, "p99": run.lag_p99_ms, "max": run.lag_max_ms},
            "seed": self.seed,
        }


class Shown(Protocol):
    """The account of one moment."""

    @property
    def run(self) -> RunStatistics: ...
    @property
    def errors(self) -> int: ...
    def line(self) -> str: ...
    def text(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...


@contextmanager
def progress(watch: Watch, account: Callable[[], Shown], *, prints_events: bool = False) -> Iterator[None]:
    """Figures on stderr while something runs: live on a terminal, else as lines from time to time."""
    with ExitStack() as stack:
        if watch.options.is_live(prints_events=prints_events):
            console = Console(stderr=True, highlight=False)
            live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))
            showing = asyncio.ensure_future(_redraw(live, watch, account))
        else:
            showing = asyncio.ensure_future(print_lines(watch, account, WallClock(), partial(click.echo, err=True)))
        stack.callback(showing.cancel)
        yield


def final(watch: Watch, account: Shown, *, as_json: bool) -> str:
    """The account, the summary, and the hash of all events in the order in which they were published."""
    digest, faults = watch.digest.hexdigest(), watch.faults
    if as_json:
        document = {**account.to_dict(), **summary_document(watch.census), "sha256": digest}
        return json.dumps({**document, "faults": dict(faults)} if faults else document)
    texts = [account.text(), *([told(faults)] if faults else []), "", summary(watch.census), ""]
    return "\n".join([*texts, f"sha256 {digest} of the events as lines"])


async def print_lines(
    watch: Watch, account: Callable[[], Shown], clock: AsyncClock, write: Callable[[str], object]
) -> None:
    """Write figures again and again."""
    before = Figures(expected=0.0)
    while True:
        await clock.sleep(watch.options.stats_interval)
        shown = account()
        now = watch.figures(shown.run, shown.errors)
        write("\n".join([*lines(now, before), f"         {shown.line()}"]))
        before = now


async def _redraw(live: Live, watch: Watch, account: Callable[[], Shown]) -> None:
    recent = deque([Figures(expected=0.0)], maxlen=round(RATE_OVER / REFRESH))
    while True:
        shown = account()
        now = watch.figures(shown.run, shown.errors)
        below, chains = shown.line(), watch.census.chains()
        live.update(panel(live.console, now, recent[0], chains, title="eventbus stream", below=below), refresh=True)
        recent.append(now)
        await asyncio.sleep(REFRESH)
