"""Health, metrics, documentation, and error responses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from prometheus_client.parser import text_string_to_metric_families

from eventbus.api import StatsSources, create_app
from eventbus.api.live.feed import LiveFeed
from eventbus.api.models import CatalogListing, Health, Statistics
from eventbus.api.routes.operation import HealthCheck
from eventbus.catalog import Catalog
from eventbus.chains.pacing.statistics import RunStatistics
from eventbus.event import Event
from eventbus.inprocess import InProcessBus
from eventbus.processors.ingest.pipeline import ProcessorStatistics
from eventbus.record import TopicPartition
from tests.api.memory_store import MemoryStore
from tests.unit.api.conftest import NOW, make_chain


def figures(text: str) -> dict[str, float]:
    """Samples by name and labels, as `name{a="b"}`."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_health_is_ok_while_the_store_answers(client: AsyncClient) -> None:
    """200, with the components of the program."""
    answer = await client.get("/health")
    assert answer.status_code == 200
    health = Health.model_validate_json(answer.content)
    assert (health.status, health.version) == ("ok", "1.2.3")
    assert set(health.components) == {"store", "live"}


async def test_health_is_503_when_the_store_does_not_answer(client: AsyncClient, store: MemoryStore) -> None:
    """503, with the reason."""
    store.failure = ConnectionRefusedError("nobody there")
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "down"
    assert answer.json()["components"]["store"] == {"status": "down", "error": "ConnectionRefusedError: nobody there"}


async def test_a_store_that_hangs_is_down(bus: InProcessBus) -> None:
    """The check ends after its timeout."""

    class HangingStore(MemoryStore):
        async def ping(self) -> None:
            await asyncio.Event().wait()

    health = HealthCheck(HangingStore(), LiveFeed(bus, []), {}, lambda: NOW, version="1", timeout=0.01)
    answer = await health.response()
    assert answer.status_code == 503
    assert b"no answer within 0.01 s" in bytes(answer.body)


async def test_a_component_that_is_down_degrades_the_health(store: MemoryStore, bus: InProcessBus) -> None:
    """200, since events can be stored and queried; a check that raises is down."""

    def broken() -> Mapping[str, Any]:
        raise RuntimeError("lost")

    checks = {"generator": lambda: {"chains": 20}, "processor": broken}
    app = create_app(store=store, bus=bus, catalog=Catalog.default(), version="1", checks=checks)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["components"]["generator"] == {"status": "ok", "chains": 20}
    assert answer.json()["components"]["processor"] == {"status": "down", "error": "RuntimeError: lost"}


async def test_metrics_collect_the_sources_at_each_scrape(store: MemoryStore, bus: InProcessBus) -> None:
    """The statistics become metrics with Prometheus's names."""
    async with bus.subscribe("omninode.agent", group="storage") as subscription:
        await bus.publish_many(make_chain("step.done", "step.done", "step.done"))
        await anext(subscription)
        await subscription.commit()
    lag = {TopicPartition("omninode.agent", 1): 4}
    sources = StatsSources(
        broker=bus.broker_statistics,
        processor=lambda: ProcessorStatistics(new=5, duplicates=1, dead=2, batches=3, retries=6, lag=lag),
        generator=lambda: RunStatistics(emitted=7, late=1),
    )
    app = create_app(store=store, bus=bus, catalog=Catalog.default(), version="1", sources=sources)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = figures(answer.text)
    assert found['eventbus_events_published_total{topic="omninode.agent"}'] == 3
    assert found['eventbus_consumer_lag{group="storage"}'] == 2
    assert found['eventbus_processor_lag{partition="1",topic="omninode.agent"}'] == 4
    assert found['eventbus_processor_events_total{outcome="duplicate"}'] == 1
    assert (found["eventbus_processor_chunks_total"], found["eventbus_processor_errors_total"]) == (3, 6)
    assert found["eventbus_generator_late_total"] == 1
    assert found["eventbus_live_clients"] == 0


async def test_latencies_are_kept_by_route_and_not_by_id(client: AsyncClient, chain: list[Event]) -> None:
    """Series are labelled by route template."""
    for event in chain:
        await client.get(f"/api/event-bus/events/{event.event_id}")
    await client.get("/nowhere")
    counts = {key: value for key, value in figures((await client.get("/metrics")).text).items() if "_count" in key}
    name = "eventbus_http_request_duration_seconds_count"
    assert counts == {
        f'{name}{{method="GET",route="/api/event-bus/events/{{event_id}}",status="404"}}': 3,
        f'{name}{{method="GET",route="unmatched",status="404"}}': 1,
    }


async def test_statistics_are_the_documented_shape(client: AsyncClient, store: MemoryStore, chain: list[Event]) -> None:
    """The statistics of the store are returned."""
    store.add(chain)
    answer = await client.get("/api/event-bus/statistics", params={"tenant_id": "tenant-1", "since": "2h"})
    assert Statistics.model_validate_json(answer.content).events.total == 3


async def test_the_catalog_lists_types_and_chains(client: AsyncClient) -> None:
    """All chains and event types, as a `CatalogListing`."""
    answer = CatalogListing.model_validate_json((await client.get("/api/catalog")).content)
    assert {chain.name for chain in answer.chains} == set(Catalog.default().chains)
    assert {kind.name for kind in answer.event_types} == set(Catalog.default().events)


async def test_an_unknown_route_is_a_json_404(client: AsyncClient) -> None:
    """404, as an error response."""
    answer = await client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {"error": "nothing at /nowhere; /docs lists what there is", "details": []}


async def test_a_wrong_method_is_a_json_405(client: AsyncClient) -> None:
    """405, with an `Allow` header."""
    answer = await client.delete("/health")
    assert answer.status_code == 405
    assert answer.json() == {"error": "/health does not take DELETE", "details": []}
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("failure", [ConnectionResetError("secret"), TimeoutError("secret")])
async def test_a_store_that_does_not_answer_is_503(client: AsyncClient, store: MemoryStore, failure: Exception) -> None:
    """503: the client may try again."""
    store.failure = failure
    answer = await client.get("/api/event-bus/events")
    assert answer.status_code == 503
    assert answer.json() == {"error": "the event store does not answer", "details": []}


async def test_an_unforeseen_error_is_a_json_500_that_tells_no_secret(client: AsyncClient, store: MemoryStore) -> None:
    """500, without the cause, which the server logs."""
    store.failure = RuntimeError("password=hunter2")
    answer = await client.get("/api/event-bus/statistics")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert set(answer.json()) == {"error", "details"}


async def test_the_root_links_to_the_routes(client: AsyncClient) -> None:
    """Every link of the welcome page exists."""
    links = (await client.get("/")).json()["links"]
    for name, link in links.items():
        assert name == "live" or (await client.get(link)).status_code == 200


async def test_the_documentation_lists_every_route_and_its_errors(app: FastAPI, client: AsyncClient) -> None:
    """The OpenAPI document has the responses that occur: 400 for invalid input, and not FastAPI's 422."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert set(paths) == {
        "/health",
        "/metrics",
        "/api/event-bus/events",
        "/api/event-bus/events/{event_id}",
        "/api/event-bus/chains/{correlation_id}",
        "/api/event-bus/statistics",
        "/api/event-bus/stream",
        "/api/catalog",
        "/api/catalog/asyncapi.json",
    }
    for operations in paths.values():
        for operation in operations.values():
            assert operation["summary"]
            assert "422" not in operation["responses"]


async def test_the_documentation_asks_nothing_of_other_hosts(client: AsyncClient) -> None:
    """/docs works offline: this server serves all its resources."""
    page = (await client.get("/docs")).text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert loaded
    for path in loaded:
        assert path.startswith("/")
        assert (await client.get(path)).status_code == 200
