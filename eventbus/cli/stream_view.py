"""What `eventbus stream` shows: figures while it runs, and the account at the end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.status import Status

    from chains import RunStatistics
    from eventbus.kafka import DeliveryStatistics

REFRESH = 0.25
"""Seconds between two looks at the figures."""


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

    def line(self) -> str:
        """For a look in passing."""
        run, delivery = self.run, self.delivery
        trouble = "".join(
            f" · {count:,} {name}"
            for name, count in (("failed", delivery.failed), ("late", run.late), ("dropped", run.dropped))
            if count
        )
        return (
            f"{run.elapsed:,.0f} s · {delivery.acknowledged:,} acknowledged, {self.rate:,.0f}/s · "
            f"{delivery.in_flight:,} in flight · lag p99 {run.lag_p99_ms:,.0f} ms{trouble}"
        )

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
    """Has figures for a look in passing."""

    def line(self) -> str: ...


@contextmanager
def progress(account: Callable[[], Shown]) -> Iterator[None]:
    """A line of figures on stderr when that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False).status("streaming …") as status:
        refreshing = asyncio.ensure_future(_refresh(status, account))
        try:
            yield
        finally:
            refreshing.cancel()


async def _refresh(status: Status, account: Callable[[], Shown]) -> None:
    while True:
        status.update(account().line())
        await asyncio.sleep(REFRESH)
