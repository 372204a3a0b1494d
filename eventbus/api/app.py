"""The HTTP application: routes, error handling and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from eventbus.api.live.feed import LiveFeed
from eventbus.api.live.routes import live_routes
from eventbus.api.metrics import Latency, StatsCollector, StatsSources
from eventbus.api.openapi import openapi_of
from eventbus.api.problems import handle_errors, json_response
from eventbus.api.routes.catalog import catalog_routes
from eventbus.api.routes.chains import chain_routes
from eventbus.api.routes.events import EventIngest, event_routes
from eventbus.api.routes.operation import Check, HealthCheck, operation_routes
from eventbus.api.routes.statistics import statistics_routes
from eventbus.api.store import Store
from eventbus.bus import SINGLE_TOPIC, EventBus, topic_of_domains
from eventbus.catalog import Catalog

NO_SOURCES = StatsSources()
NO_CHECKS: Mapping[str, Check] = {}


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    *,
    store: Store,
    bus: EventBus,
    catalog: Catalog,
    version: str,
    title: str = "Event bus",
    topic_of: Callable[[str], str] | None = None,
    sources: StatsSources = NO_SOURCES,
    checks: Mapping[str, Check] = NO_CHECKS,
    registry: CollectorRegistry | None = None,
    feed: LiveFeed | None = None,
    max_body: int = 5 << 20,
    now: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """The HTTP application over an open store and bus, which the caller closes, and a catalog.

    Args:
        topic_of: the topic of an event type; by default each domain of the catalog has a topic, and all others share
            `omninode.events`.
        sources: of the statistics under `/metrics`.
        checks: components to report under `/health`, by name.
        registry: of Prometheus; by default a new one.
        feed: the live feed; by default a new one.
        max_body: limit of a request body, in bytes.
        now: the clock, in UTC.
    """
    if topic_of is None:
        topic_of = topic_of_domains({event_type.domain for event_type in catalog.events.values()})
    if feed is None:
        feed = LiveFeed(bus, {SINGLE_TOPIC, *map(topic_of, catalog.events)})
    registry = registry or CollectorRegistry()
    registry.register(StatsCollector(sources, feed.statistics))
    app = FastAPIOffline(title=title, version=version, lifespan=_closing(feed), redoc_url=None)
    app.state.live = feed
    app.add_middleware(Latency, registry=registry)
    handle_errors(app)

    ingest = EventIngest(bus, catalog, now, topic_of=topic_of, max_body=max_body)
    health = HealthCheck(store, feed, checks, now, version=version)
    app.include_router(operation_routes(health, registry))
    app.include_router(event_routes(store, ingest, now))
    app.include_router(chain_routes(store, catalog))
    app.include_router(statistics_routes(store, now))
    app.include_router(live_routes(feed))
    app.include_router(catalog_routes(catalog, topic_of))
    app.add_api_route("/", _welcome(title, version), response_class=Response, include_in_schema=False)
    app.openapi = openapi_of(app)  # type: ignore[method-assign]  # FastAPI's documented way to change the document
    return app


def _welcome(title: str, version: str) -> Callable[[], Any]:
    links = {
        "documentation": "/docs",
        "health": "/health",
        "metrics": "/metrics",
        "events": "/api/event-bus/events?limit=5",
        "statistics": "/api/event-bus/statistics",
        "live": "/api/event-bus/stream",
        "catalog": "/api/catalog",
    }

    async def welcome() -> Response:
        return json_response({"name": title, "version": version, "links": links})

    return welcome


def _closing(feed: LiveFeed) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await feed.close()

    return lifespan
