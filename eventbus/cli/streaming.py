"""Runs a stream: the generator at its pace into Kafka or other sinks, watched, with an account at the end."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

import click
import numpy as np

from eventbus.bus import EventBus, TopicStrategy, topic_namer
from eventbus.chains.clock import AsyncClock, WallClock
from eventbus.chains.pacing.observers import Digest
from eventbus.chains.rendering import JSON
from eventbus.chains.sinks import BusSink, Channel, DeadLetters, FanOut
from eventbus.cli.command import invocation
from eventbus.cli.errors import INTERRUPTED
from eventbus.cli.options.arrivals import ArrivalOptions
from eventbus.cli.options.faults import FaultOptions, format_counts
from eventbus.cli.options.monitoring import MonitorOptions
from eventbus.cli.options.sinks import SinkOptions
from eventbus.cli.render.account import Delivery, KafkaDelivery, SinkDelivery, StreamAccount
from eventbus.cli.render.stream import BEGINNING, EventLines, StreamStatistics, statistics_lines, stream_panel
from eventbus.cli.render.tables import summary_document, summary_text
from eventbus.cli.reporting import expected_chains, time_zone, write_report
from eventbus.cli.running import run_until, stop_on_signals, until_first
from eventbus.inprocess import InProcessBus

if TYPE_CHECKING:
    from rich.live import Live

    from eventbus.catalog import Catalog
    from eventbus.chains import ChainGenerator, RunStatistics
    from eventbus.chains.pacing.observers import Observer
    from eventbus.chains.rendering import Format, FormatName
    from eventbus.chains.rendering.json import Convert
    from eventbus.chains.report.run import ExpectedChains
    from eventbus.chains.sinks import Sink
    from eventbus.chains.sinks.fanout import WhenFull
    from eventbus.event import Event
    from eventbus.kafka import KafkaBus
    from eventbus.record import ProducerRecord

UNPACED_CHAINS = 2000
"""Chains per second of virtual time when nothing is paced: it sets how densely they overlap."""
SAMPLE = 500
"""Chains from which the number of events of a chain, and their times, are estimated."""
QUANTILES = 50
"""Classes of equal size into which these times are divided."""
FLUSH_WITHIN = 1.0
"""Seconds that sinks get to write what is pending once the user stops the stream."""
REFRESH = 0.25
"""Seconds between two updates of the panel."""
RATE_WINDOW = 5.0
"""Seconds over which the panel's current rates are measured."""
SECOND = 1_000_000


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """What is streamed, and how fast."""

    rate: float
    """Events per second; infinite: as fast as the sinks accept them."""
    arrivals: ArrivalOptions
    has_arrivals: bool
    """Whether the generator has arrivals of its own, so that `rate` only says whether the stream is paced."""
    speed: float
    initial_chains: int
    duration: float | None
    max_lag: float | None
    topics: TopicStrategy
    start: datetime | None
    seed: int
    fault_options: FaultOptions

    @property
    def is_paced(self) -> bool:
        return math.isfinite(self.rate)

    @property
    def virtual_speed(self) -> float:
        """Virtual seconds per second; infinite without pacing."""
        return self.speed if self.is_paced else math.inf

    @property
    def virtual_duration(self) -> float | None:
        """Virtual seconds in which chains begin; None without a limit, or where the limit is one of real time."""
        return self.duration if self.is_paced else None


class Output(Protocol):
    """Where a stream is published."""

    async def open(self) -> None: ...
    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int: ...
    async def flush(self) -> None: ...
    async def close(self) -> None: ...
    def delivery(self) -> Delivery: ...


class KafkaOutput:
    """Kafka as the only sink: without a queue before it, so that lags include the acknowledgement of the broker, and
    an error of the broker ends the stream."""

    def __init__(self, bus: KafkaBus, topics: Iterable[str]) -> None:
        self._bus = bus
        self._topics = topics

    async def open(self) -> None:
        await self._bus.__aenter__()
        try:
            await self._bus.prepare(self._topics)
        except BaseException:
            await self._bus.close()
            raise

    async def publish_many(self, events: Iterable[Event | ProducerRecord]) -> int:
        return await self._bus.publish_many(events)

    async def flush(self) -> None:
        """Does nothing: `publish_many` waits for the acknowledgements."""

    async def close(self) -> None:
        await self._bus.close()

    def delivery(self) -> KafkaDelivery:
        return KafkaDelivery(self._bus.delivery_statistics())


class SinksOutput(FanOut):
    """The sinks of `--to`, each behind a queue of its own.

    Args:
        sinks: each with the conversion of its records.
    """

    def __init__(self, sinks: Iterable[tuple[Sink, Convert | None]], when_full: WhenFull) -> None:
        clock = WallClock()
        super().__init__([Channel(sink, when_full, clock, convert=convert) for sink, convert in sinks])
        self._when_full = when_full
        self.reader_gone = False

    def delivery(self) -> SinkDelivery:
        return SinkDelivery(self.statistics(), self._when_full, reader_gone=self.reader_gone)


class ChainSample:
    """How many events chains have, and how long after its beginning a chain has them, from a sample."""

    def __init__(self, generator: ChainGenerator) -> None:
        ages = np.concatenate([block.table.time - block.table.began for block in generator.blocks(chains=SAMPLE)])
        #: The mean number.
        self.events_per_chain = ages.size / SAMPLE
        #: Quantiles of the time from the beginning of a chain to its events, microseconds.
        self._ages = np.quantile(ages, (np.arange(QUANTILES) + 0.5) / QUANTILES).astype(np.int64).tolist()

    def events(self, chains: ExpectedChains, since: int, until: int, now: int) -> float:
        """The expected number of events by now, of chains that begin between two times; microseconds.

        Args:
            chains: how many chains are expected to begin between two times.
        """
        counts = [chains(since, min(until, now - age)) for age in self._ages if now - age > since]
        return self.events_per_chain * sum(counts) / QUANTILES


class StreamMonitor:
    """Observes one run: counts, digests and prints its events, and compares them with what is expected."""

    def __init__(self, options: MonitorOptions, generator: ChainGenerator, plan: StreamPlan) -> None:
        self.options = options
        self.summary = generator.summary()
        self.digest = Digest()
        self.observers: list[Observer] = [self.summary, self.digest]
        if options.verbose:
            lines = EventLines(self.summary.event_types, lambda text: click.echo(text, nl=False, err=True))
            self.observers.append(lines)
        self.generator = generator
        self.plan = plan
        self.sample = ChainSample(generator)
        self._expected = expected_chains(generator) if plan.is_paced else None

    def statistics(self, run: RunStatistics, errors: int) -> StreamStatistics:
        """The statistics of this moment.

        Args:
            errors: events that a sink should have and does not.
        """
        chains, events = None, None
        if self._expected and run.began:
            since, until = self._span(run)
            now = run.start + round(run.elapsed * self.plan.virtual_speed * SECOND)
            chains, events = self._expected(since, until), self.sample.events(self._expected, since, until, now)
        return StreamStatistics.of(self.summary, run, errors=errors, expected_chains=chains, expected_events=events)

    @property
    def faults(self) -> Mapping[str, int]:
        """How many events have each kind of fault."""
        return self.generator.injected()

    def write_report(self, run: RunStatistics, sinks: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes the report, if the options ask for one.

        Args:
            sinks: the account of each sink by its name.
        """
        if self.options.report is None:
            return
        from eventbus.chains.report import Pace, RunReport

        since, until = self._span(run)
        report = RunReport(
            command=invocation(click.get_current_context()),
            seed=self.generator.seed,
            digest=self.digest.hexdigest(),
            summary=self.summary,
            seconds=run.elapsed,
            since=since,
            until=until,
            expected=self._expected,
            zone=time_zone(self.generator.arrivals),
            pace=Pace(began=run.began, speed=self.plan.virtual_speed, statistics=run),
            sinks=sinks,
            faults=self.faults,
        )
        write_report(self.options.report, report)

    def _span(self, run: RunStatistics) -> tuple[int, int]:
        """The virtual times between which chains could begin so far, microseconds since the Unix epoch."""
        speed, duration = self.plan.virtual_speed, self.plan.virtual_duration
        if math.isinf(speed):
            return run.start, max(run.start, self.summary.last_arrival)
        elapsed = run.elapsed * speed
        return run.start, run.start + round((elapsed if duration is None else min(elapsed, duration)) * SECOND)


async def stream_to_kafka(bus: KafkaBus, monitor: StreamMonitor, *, format: Format, as_json: bool) -> None:
    """Streams into Kafka alone and prints the account; see `_run` for the errors."""
    output = KafkaOutput(bus, emitted_topics(monitor.generator.catalog, monitor.plan.topics))
    await _run(output, monitor, stop_on_signals(), format=format, as_json=as_json)


async def stream_to_sinks(
    options: SinkOptions,
    connect: Callable[[], KafkaBus],
    monitor: StreamMonitor,
    *,
    form: FormatName,
    format: Format,
    as_json: bool,
) -> None:
    """Streams into the sinks of `--to` and prints the account; see `_run` for the errors.

    Args:
        connect: makes the bus of the sink `kafka`.

    Raises:
        SinkUnusable: a URL, a file or a setting is invalid.
    """
    plan, catalog = monitor.plan, monitor.generator.catalog

    def bus_sink(kind: str) -> Sink:
        if kind == "bus":
            return BusSink(InProcessBus(topic_strategy=plan.topics, partitions=catalog.partitions))
        bus = connect()
        return BusSink(bus, name="kafka", prepare=lambda: bus.prepare(emitted_topics(catalog, plan.topics)))

    def on_reader_gone() -> None:
        output.reader_gone = True
        stop.set()

    stop, dead_letters = stop_on_signals(), DeadLetters(options.dead_letters)
    sinks = options.sinks(form, dead_letters, bus_sink, on_reader_gone, takes=options.takes(catalog))
    output = SinksOutput(sinks, options.when_full or ("wait" if math.isinf(plan.rate * plan.speed) else "drop"))
    prints_events = any(spec.kind == "stdout" for spec in options.to)
    format = JSON if options.takes_json_only else format
    try:
        await _run(output, monitor, stop, format=format, as_json=as_json, prints_events=prints_events)
    finally:
        dead_letters.close()


async def _run(
    output: Output,
    monitor: StreamMonitor,
    stop: asyncio.Event,
    *,
    format: Format,
    as_json: bool,
    prints_events: bool = False,
) -> None:
    """Streams until the plan is done or `stop` is set, then prints the account, to stderr if events go to stdout.

    Raises:
        SinkUnusable, EventBusError: a sink cannot be opened; or Kafka, as the only sink, fails.
        click.exceptions.Exit: some events were not delivered, or `stop` was set before the sinks were open.
    """

    def account() -> StreamAccount:
        return StreamAccount(run=monitor.generator.statistics(), delivery=output.delivery(), seed=monitor.plan.seed)

    async def publish() -> None:
        await _generate(output, monitor, stop, format)
        await until_first(output.flush(), _grace_period(stop))

    await until_first(output.open(), stop.wait())
    if stop.is_set():  # a pipe may wait for its reader for ever
        raise click.exceptions.Exit(INTERRUPTED)
    try:
        await until_first(publish(), _show(monitor, account, prints_events=prints_events))
    finally:
        await output.close()
        final = account()
        click.echo(final_text(monitor, final, as_json=as_json), err=prints_events)
        monitor.write_report(final.run, final.delivery.by_sink())
    if final.delivery.errors:
        raise click.exceptions.Exit(1)


async def _generate(output: Output, monitor: StreamMonitor, stop: asyncio.Event, format: Format) -> None:
    """Runs the generator until it is done or fails; ends it when an unpaced plan's time is over or `stop` is set."""
    plan, generator = monitor.plan, monitor.generator
    rate = plan.rate / monitor.sample.events_per_chain if plan.is_paced else UNPACED_CHAINS
    model = plan.arrivals.model(rate)
    with plan.fault_options.with_faults(cast("EventBus", output), format) as arguments:
        run = generator.run(
            **arguments,
            initial_chains=plan.initial_chains,
            rate=rate if model is None and not plan.has_arrivals else None,
            arrivals=model,
            speed=plan.virtual_speed,
            duration=plan.virtual_duration,
            topic_strategy=plan.topics,
            max_lag=plan.max_lag,
            start=plan.start,
            observers=monitor.observers,
        )
        await run_until(stop, run, generator.stop, timeout=None if plan.is_paced else plan.duration)


async def _grace_period(stop: asyncio.Event) -> None:
    """Ends `FLUSH_WITHIN` seconds after `stop` is set."""
    await stop.wait()
    await asyncio.sleep(FLUSH_WITHIN)


async def _show(monitor: StreamMonitor, account: Callable[[], StreamAccount], *, prints_events: bool) -> None:
    """Shows statistics on stderr until it is cancelled: in place on a terminal, else as lines from time to time."""
    if not monitor.options.is_live(prints_events=prints_events):
        await print_statistics_lines(monitor, account, WallClock(), lambda text: click.echo(text, err=True))
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True, highlight=False), auto_refresh=False, transient=True) as live:
        await _redraw(live, monitor, account)


async def print_statistics_lines(
    monitor: StreamMonitor, account: Callable[[], StreamAccount], clock: AsyncClock, write: Callable[[str], object]
) -> None:
    """Writes statistics at every interval of the options, until it is cancelled."""
    before = BEGINNING
    while True:
        await clock.sleep(monitor.options.stats_interval)
        current = account()
        now = monitor.statistics(current.run, current.delivery.errors)
        write("\n".join([*statistics_lines(now, before), f"         {current.delivery.line()}"]))
        before = now


async def _redraw(live: Live, monitor: StreamMonitor, account: Callable[[], StreamAccount]) -> None:
    recent = deque([BEGINNING], maxlen=round(RATE_WINDOW / REFRESH))
    while True:
        current = account()
        now = monitor.statistics(current.run, current.delivery.errors)
        panel = stream_panel(
            live.console,
            now,
            recent[0],
            monitor.summary.chains(),
            title="eventbus stream",
            below=current.delivery.line(),
        )
        live.update(panel, refresh=True)
        recent.append(now)
        await asyncio.sleep(REFRESH)


def final_text(monitor: StreamMonitor, account: StreamAccount, *, as_json: bool) -> str:
    """The account, the summary, and the SHA-256 of all events in the order in which they were published."""
    digest, faults = monitor.digest.hexdigest(), monitor.faults
    if as_json:
        document = {**account.to_dict(), **summary_document(monitor.summary), "sha256": digest}
        return json.dumps({**document, "faults": dict(faults)} if faults else document)
    texts = [account.text(), *([format_counts(faults)] if faults else []), "", summary_text(monitor.summary), ""]
    return "\n".join([*texts, f"sha256 {digest} of the events as lines"])


def emitted_topics(catalog: Catalog, strategy: TopicStrategy) -> set[str]:
    """The topics of the events of a catalog's chains."""
    topic_of = topic_namer(strategy)
    return {topic_of(state.emits) for chain in catalog.active for state in chain.states.values()}
