"""`eventbus stream --to …`: one stream into several sinks, and an account for each."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from eventbus.bus import EventBus
    from eventbus.chains import ChainGenerator, RunStatistics
    from eventbus.chains.rendering import Format, FormatName
    from eventbus.chains.sinks import FanOut, Sink, SinkStatistics
    from eventbus.cli.commands.stream import Plan
    from eventbus.cli.sinks import SinkOptions, WhenFull
    from eventbus.cli.watching import Watch
    from eventbus.kafka import KafkaBus

FLUSH_WITHIN = 1.0
"""Seconds that sinks get at the end when the user wants no more."""


@dataclass(frozen=True, kw_only=True)
class SinkAccount:
    """What the generator scheduled, and what became of it in each sink."""

    run: RunStatistics
    sinks: dict[str, SinkStatistics]
    when_full: WhenFull
    seed: int

    @property
    def errors(self) -> int:
        return sum(figures.lost for figures in self.sinks.values())

    def line(self) -> str:
        """For a look in passing."""
        parts = []
        for name, figures in self.sinks.items():
            trouble = f", {figures.lost:,} lost" if figures.lost else ""
            parts.append(f"{name}: {figures.written:,} written, {figures.pending:,} pending{trouble}")
        return " · ".join(parts)

    def text(self) -> str:
        """For the end; the sums are right, always."""
        run = self.run
        rate = run.emitted / run.elapsed if run.elapsed else 0.0
        return "\n".join(
            [
                *(_sentence(name, figures) for name, figures in self.sinks.items()),
                f"{run.scheduled:,} scheduled, {run.late:,} late, {run.dropped:,} dropped; "
                f"{run.chains:,} chains begun, {run.chains_finished:,} finished; "
                f"full queues: {self.when_full}; seed {self.seed}",
                f"{run.elapsed:.1f} s, {rate:,.0f} events/s; "
                f"lag p50 {run.lag_p50_ms:.1f} ms, p99 {run.lag_p99_ms:.1f} ms, max {run.lag_max_ms:.1f} ms",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """For a machine."""
        run = self.run
        return {
            "scheduled": run.scheduled,
            "late": run.late,
            "dropped": run.dropped,
            "chains": run.chains,
            "chains_finished": run.chains_finished,
            "seconds": round(run.elapsed, 3),
            "lag_ms": {"p50": run.lag_p50_ms, "p99": run.lag_p99_ms, "max": run.lag_max_ms},
            "seed": self.seed,
            "when_full": self.when_full,
            "sinks": {name: figures.to_dict() for name, figures in self.sinks.items()},
        }


def _sentence(name: str, figures: SinkStatistics) -> str:
    """`jsonl:f: 12 events = 10 written + 2 dropped; 3 retried`: the sum of what is not zero."""
    parts = [
        f"{count:,} {word}"
        for word, count in (
            ("written", figures.written),
            ("omitted", figures.omitted),
            ("dead letters", figures.dead),
            ("failed", figures.failed),
            ("pending", figures.pending),
            ("dropped at a full queue", figures.dropped),
        )
        if count or word == "written"
    ]
    beside = [
        f"; {text}"
        for text, there in (
            (f"{figures.retried:,} retried", figures.retried),
            (f"everything waited {figures.waited:.1f} s for it", figures.waited >= 0.05),
            (f"last trouble: {figures.trouble}", figures.trouble),
        )
        if there
    ]
    return f"{name}: {figures.accepted + figures.dropped:,} events = {' + '.join(parts)}{''.join(beside)}"


async def run_into(
    options: SinkOptions,
    kafka: Callable[[], KafkaBus],
    generator: ChainGenerator,
    plan: Plan,
    *,
    watch: Watch,
    form: FormatName,
    format: Format,
    as_json: bool,
) -> None:
    """Stream until the plan is done or the user wants no more, then print the account: on stderr if events go to
    stdout.

    Raises:
        SinkUnusable: an address or a file is not one.
        EventBusError: the broker cannot be reached, or refuses.
        click.exceptions.Exit: a sink did not get everything.
    """
    from eventbus.chains.clock import WallClock
    from eventbus.chains.rendering import JSON
    from eventbus.chains.sinks import Channel, DeadLetters, FanOut
    from eventbus.cli.commands.stream import generate
    from eventbus.cli.render.stream_view import final, progress
    from eventbus.cli.signals import stop_on_signals

    letters = DeadLetters(options.dead_letters)
    when_full: WhenFull = options.when_full or ("wait" if math.isinf(plan.rate * plan.speed) else "drop")
    stop, gone = stop_on_signals(), asyncio.Event()

    def reader_gone() -> None:
        gone.set()
        stop.set()

    sinks = options.sinks(form, letters, lambda kind: _bus(kind, kafka, generator, plan), reader_gone)
    clock = WallClock()
    prints_events = any(target.kind == "stdout" for target in options.to)
    format = JSON if options.mixed else format
    fan = FanOut([Channel(sink, when_full, clock, convert=convert) for sink, convert in sinks])

    def account() -> SinkAccount:
        return SinkAccount(run=generator.statistics(), sinks=fan.statistics(), when_full=when_full, seed=plan.seed)

    await fan.open()
    try:
        with progress(watch, account, prints_events=prints_events):
            await generate(cast("EventBus", fan), generator, plan, stop, format, watch=watch)
            await _flush(fan, stop)
    finally:
        await fan.close()
        letters.close()
        text = final(watch, account(), as_json=as_json)
        click.echo(text, err=prints_events)
        watch.write_report(generator.statistics(), {name: one.to_dict() for name, one in fan.statistics().items()})
    if any(figures.lost for name, figures in fan.statistics().items() if not (gone.is_set() and name == "stdout")):
        raise click.exceptions.Exit(1)


async def _flush(fan: FanOut, stop: asyncio.Event) -> None:
    """Until everything is written; when told to stop, not for long."""
    flushing = asyncio.ensure_future(fan.flush())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([flushing, stopping], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait([flushing], timeout=FLUSH_WITHIN)
    flushing.cancel()
    stopping.cancel()


def _bus(kind: str, kafka: Callable[[], KafkaBus], generator: ChainGenerator, plan: Plan) -> Sink:
    """The sinks `kafka` and `bus`."""
    from eventbus.chains.sinks import BusSink
    from eventbus.cli.commands.stream import topics_of
    from eventbus.inprocess import InProcessBus

    if kind == "bus":
        return BusSink(InProcessBus(topic_strategy=plan.topics, partitions=generator.catalog.partitions))
    bus = kafka()
    return BusSink(bus, name="kafka", prepare=lambda: bus.prepare(topics_of(generator.catalog, plan.topics)))
