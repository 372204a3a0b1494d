"""Figures for Prometheus: snapshots taken from the parts of the program when somebody scrapes, and HTTP latencies."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from fastapi import Response
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventbus.api.live.ring import LiveNumbers
from eventbus.broker.broker import BrokerStatistics
from eventbus.record import TopicPartition

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds."""

ENDLESS = frozenset({"/api/event-bus/stream"})
"""Routes whose duration is the client's patience."""


class ProcessorStats(Protocol):
    """Counters of a processor since its start: the fields of `ProcessorStatistics` that are exported."""

    @property
    def new(self) -> int: ...
    @property
    def duplicates(self) -> int: ...
    @property
    def dead(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def lag(self) -> Mapping[TopicPartition, int]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorNumbers:
    """Counters of the generator since its start."""

    events: int = 0
    chains_started: int = 0
    chains_in_flight: int = 0
    late: int = 0
    """Events published after their time."""
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Providers:
    """Where the figures come from; a part that does not run has none."""

    bus: Callable[[], BrokerStatistics] | None = None
    """`InProcessBus.statistics`; a real broker exports its own figures."""
    processor: Callable[[], ProcessorStats] | None = None
    generator: Callable[[], GeneratorNumbers] | None = None


class Snapshots(Collector):
    """Asks the providers once for each scrape."""

    def __init__(self, providers: Providers, live: Callable[[], LiveNumbers]) -> None:
        self._providers = providers
        self._live = live

    def describe(self) -> Iterable[Metric]:
        return ()  # so that registering does not ask providers that may not have started yet

    def collect(self) -> Iterator[Metric]:
        yield from _live(self._live())
        if self._providers.bus:
            yield from _bus(self._providers.bus())
        if self._providers.processor:
            yield from _processor(self._providers.processor())
        if self._providers.generator:
            yield from _generator(self._providers.generator())


class Metrics:
    """The route `/metrics`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def get(self) -> Response:
        """All figures in Prometheus's text format."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class Latency:
    """Middleware that measures requests, by route template so that ids do not multiply the series."""

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
        status = 500  # what the server answers when the application raises before it has begun to

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begin = time.perf_counter()
        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._seconds.labels(scope["method"], route, status).observe(time.perf_counter() - begin)


def _live(live: LiveNumbers) -> Iterator[Metric]:
    yield GaugeMetricFamily("eventbus_live_clients", "Clients of the live feed.", live.clients)
    yield CounterMetricFamily("eventbus_live_events", "Events the live feed has read.", live.events)
    yield CounterMetricFamily("eventbus_live_frames", "Frames made of them.", live.frames)
    yield CounterMetricFamily("eventbus_live_skipped", "Events that slow clients missed, over clients.", live.skipped)
    yield CounterMetricFamily("eventbus_live_poison", "Records that are no events.", live.poison)


def _bus(bus: BrokerStatistics) -> Iterator[Metric]:
    published = [([topic], sum(offsets)) for topic, offsets in bus.end_offsets.items()]
    yield _by(CounterMetricFamily, "eventbus_events_published", "Events put into the log.", ["topic"], published)
    yield GaugeMetricFamily("eventbus_log_records", "Records kept.", bus.records)
    yield GaugeMetricFamily("eventbus_log_bytes", "Memory they take.", bus.bytes)
    yield CounterMetricFamily("eventbus_log_trimmed", "Records dropped by retention or for want of room.", bus.trimmed)
    lag = [([name], group.lag) for name, group in bus.groups.items()]
    yield _by(GaugeMetricFamily, "eventbus_consumer_lag", "Records a group has not committed.", ["group"], lag)
    lost = [([name], group.lost) for name, group in bus.groups.items()]
    yield _by(CounterMetricFamily, "eventbus_consumer_lost", "Records trimmed before they were read.", ["group"], lost)


def _processor(processor: ProcessorStats) -> Iterator[Metric]:
    outcomes = [(["new"], processor.new), (["duplicate"], processor.duplicates), (["dead"], processor.dead)]
    yield _by(CounterMetricFamily, "eventbus_processor_events", "Records processed.", ["outcome"], outcomes)
    yield CounterMetricFamily("eventbus_processor_chunks", "Transactions.", processor.batches)
    yield CounterMetricFamily("eventbus_processor_errors", "Transactions tried again.", processor.retries)
    lag = [([topic, str(partition)], behind) for (topic, partition), behind in processor.lag.items()]
    yield _by(GaugeMetricFamily, "eventbus_processor_lag", "Records not stored yet.", ["topic", "partition"], lag)


def _generator(generator: GeneratorNumbers) -> Iterator[Metric]:
    yield CounterMetricFamily("eventbus_generator_events", "Events generated.", generator.events)
    yield CounterMetricFamily("eventbus_generator_chains_started", "Chains begun.", generator.chains_started)
    yield GaugeMetricFamily("eventbus_generator_chains_in_flight", "Chains not ended.", generator.chains_in_flight)
    yield CounterMetricFamily("eventbus_generator_late", "Events published after their time.", generator.late)
    yield CounterMetricFamily("eventbus_generator_dropped", "Events given up.", generator.dropped)


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
