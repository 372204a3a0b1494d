"""Metrics for Prometheus: the statistics of the program's components at each scrape, and HTTP latencies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventbus.api.live.ring import LiveStats
from eventbus.broker.broker import BrokerStatistics

if TYPE_CHECKING:
    from eventbus.chains.pacing.statistics import RunStatistics
    from eventbus.processors.ingest.pipeline import ProcessorStatistics

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds."""

ENDLESS = frozenset({"/api/event-bus/stream"})
"""Routes whose duration is decided by the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsSources:
    """Functions that return the statistics of the program's components; None for a component that does not run."""

    broker: Callable[[], BrokerStatistics] | None = None
    """`InProcessBus.broker_statistics`; a Kafka cluster exports metrics of its own."""
    processor: Callable[[], ProcessorStatistics] | None = None
    """`Processor.statistics`."""
    generator: Callable[[], RunStatistics] | None = None
    """`ChainGenerator.statistics`."""


class StatsCollector(Collector):
    """Collects the statistics at each scrape."""

    def __init__(self, sources: StatsSources, live: Callable[[], LiveStats]) -> None:
        self._sources = sources
        self._live = live

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering does not call sources that may not have started yet

    def collect(self) -> Iterator[Metric]:
        yield from _live(self._live())
        if self._sources.broker:
            yield from _broker(self._sources.broker())
        if self._sources.processor:
            yield from _processor(self._sources.processor())
        if self._sources.generator:
            yield from _generator(self._sources.generator())


class Latency:
    """Middleware that measures the duration of requests by route template, so that ids do not multiply the series."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            "eventbus_http_request_duration_seconds",
            "Time from request to the end of the answer.",
            ["method", "route", "status"],
            buckets=BUCKETS,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ENDLESS:
            await self._app(scope, receive, send)
            return
        status = 500  # of the server's response if the application raises before its response starts

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begin = time.perf_counter()
        try:
            await self._app(scope, receive, send_and_note)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._seconds.labels(scope["method"], route, status).observe(time.perf_counter() - begin)


def _live(live: LiveStats) -> Iterator[Metric]:
    yield GaugeMetricFamily("eventbus_live_clients", "Clients of the live feed.", live.clients)
    yield CounterMetricFamily("eventbus_live_events", "Events the live feed has read.", live.events)
    yield CounterMetricFamily("eventbus_live_frames", "Frames made of them.", live.frames)
    yield CounterMetricFamily("eventbus_live_skipped", "Events that slow clients missed, over clients.", live.skipped)
    yield CounterMetricFamily("eventbus_live_poison", "Records that are no events.", live.poison)


def _broker(broker: BrokerStatistics) -> Iterator[Metric]:
    published = [([topic], sum(offsets)) for topic, offsets in broker.end_offsets.items()]
    yield _by(CounterMetricFamily, "eventbus_events_published", "Events put into the log.", ["topic"], published)
    yield GaugeMetricFamily("eventbus_log_records", "Records kept.", broker.records)
    yield GaugeMetricFamily("eventbus_log_bytes", "Memory they take.", broker.bytes)
    yield CounterMetricFamily("eventbus_log_trimmed", "Records dropped by retention or to make room.", broker.trimmed)
    lag = [([name], group.lag) for name, group in broker.groups.items()]
    yield _by(GaugeMetricFamily, "eventbus_consumer_lag", "Records a group has not committed.", ["group"], lag)
    lost = [([name], group.lost) for name, group in broker.groups.items()]
    yield _by(CounterMetricFamily, "eventbus_consumer_lost", "Records trimmed before they were read.", ["group"], lost)


def _processor(processor: ProcessorStatistics) -> Iterator[Metric]:
    outcomes = [(["new"], processor.new), (["duplicate"], processor.duplicates), (["dead"], processor.dead)]
    yield _by(CounterMetricFamily, "eventbus_processor_events", "Records processed.", ["outcome"], outcomes)
    yield CounterMetricFamily("eventbus_processor_chunks", "Transactions.", processor.batches)
    yield CounterMetricFamily("eventbus_processor_errors", "Chunks tried again.", processor.retries)
    lag = [([topic, str(partition)], records) for (topic, partition), records in processor.lag.items()]
    yield _by(GaugeMetricFamily, "eventbus_processor_lag", "Records not stored yet.", ["topic", "partition"], lag)


def _generator(run: RunStatistics) -> Iterator[Metric]:
    yield CounterMetricFamily("eventbus_generator_events", "Events generated.", run.emitted)
    yield CounterMetricFamily("eventbus_generator_chains_started", "Chains begun.", run.chains)
    yield GaugeMetricFamily("eventbus_generator_chains_in_flight", "Chains not ended.", run.chains_in_flight)
    yield CounterMetricFamily("eventbus_generator_late", "Events published after their time.", run.late)
    yield CounterMetricFamily("eventbus_generator_dropped", "Events given up.", run.dropped)


def _by(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    text: str,
    labels: list[str],
    values: Iterable[tuple[list[str], int]],
) -> Metric:
    metric = family(name, text, labels=labels)
    for key, value in values:
        metric.add_metric(key, value)
    return metric
