"""The application: what it is made of, and all its routes in one table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fastapi import FastAPI, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from eventbus.api import models
from eventbus.api.live.feed import LiveFeed
from eventbus.api.live.routes import Streams
from eventbus.api.metrics import Latency, Metrics, Providers, Snapshots
from eventbus.api.openapi import INJECTION, openapi_of
from eventbus.api.problems import handle_errors, json_answer
from eventbus.api.routes.catalog import CatalogPages
from eventbus.api.routes.chains import Chains
from eventbus.api.routes.events import Events, Inbox
from eventbus.api.routes.operation import Check, Health
from eventbus.api.routes.statistics import Statistics
from eventbus.api.store import Store
from eventbus.bus import SINGLE_TOPIC, EventBus, topic_of_domains
from eventbus.catalog import Catalog

NO_PROVIDERS = Providers()
NO_CHECKS: Mapping[str, Check] = {}

Errors = Mapping[int, type[BaseModel]]
"""Error statuses of a route, and the shapes of their answers."""
NO_ERRORS: Errors = {}
BAD: Errors = {400: models.Error, 503: models.Error}
UNKNOWN: Errors = {**BAD, 404: models.Error}
REFUSED: Errors = {400: models.InjectionRefused, 413: models.Error, 503: models.Error}


class Route(NamedTuple):
    """One line of the table."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    tag: str
    answer: type[BaseModel] | None
    """Shape of the answer; None where it is not JSON."""
    errors: Errors = NO_ERRORS
    status: int = 200
    extra: dict[str, Any] | None = None
    """Said of it in the OpenAPI document beside what its signature says."""


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
    providers: Providers = NO_PROVIDERS,
    checks: Mapping[str, Check] = NO_CHECKS,
    registry: CollectorRegistry | None = None,
    feed: LiveFeed | None = None,
    max_body: int = 5 << 20,
    now: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """The HTTP application over a store, a bus and a catalog that are open already, and stay the caller's.

    Args:
        topic_of: names the topic of an event type; by default each domain of the catalog has one, and all others
            share `omninode.events`.
        providers: of the figures under `/metrics`.
        checks: parts of the program to report under `/health`, by name.
        registry: of Prometheus; by default one of its own.
        feed: another live feed than the usual one.
        max_body: largest request taken, in bytes.
        now: the clock, in UTC.
    """
    if topic_of is None:
        topic_of = topic_of_domains({kind.domain for kind in catalog.events.values()})
    if feed is None:
        feed = LiveFeed(bus, {SINGLE_TOPIC, *map(topic_of, catalog.events)})
    registry = registry or CollectorRegistry()
    registry.register(Snapshots(providers, feed.statistics))
    app = FastAPIOffline(title=title, version=version, lifespan=_closing(feed), redoc_url=None)
    app.state.live = feed
    app.add_middleware(Latency, registry=registry)
    handle_errors(app)

    events, inbox = Events(store, now), Inbox(bus, catalog, now, topic_of=topic_of, max_body=max_body)
    chains, statistics, streams = Chains(store, catalog), Statistics(store, now), Streams(feed)
    pages, health = CatalogPages(catalog, topic_of), Health(store, feed, checks, now, version=version)
    for route in (
        Route("GET", "/health", health.get, "operation", models.Health, {503: models.Health}),
        Route("GET", "/metrics", Metrics(registry).get, "operation", None),
        Route("GET", "/api/event-bus/events", events.browse, "events", models.EventPage, UNKNOWN),
        Route("POST", "/api/event-bus/events", inbox.post, "events", models.Injected, REFUSED, 202, INJECTION),
        Route("GET", "/api/event-bus/events/{event_id}", events.one, "events", models.StoredEvent, UNKNOWN),
        Route("GET", "/api/event-bus/chains/{correlation_id}", chains.one, "chains", models.Chain, UNKNOWN),
        Route("GET", "/api/event-bus/statistics", statistics.get, "statistics", models.Statistics, BAD),
        Route("GET", "/api/event-bus/stream", streams.sse, "live", None, BAD),
        Route("GET", "/api/catalog", pages.get, "catalog", models.CatalogAnswer),
        Route("GET", "/api/catalog/asyncapi.json", pages.asyncapi, "catalog", None),
    ):
        _add(app, route)
    app.add_api_websocket_route("/ws/events", streams.websocket)
    app.add_api_route("/", _welcome(title, version), response_class=Response, include_in_schema=False)
    app.openapi = openapi_of(app)  # type: ignore[method-assign]  # FastAPI's documented way to change the document
    return app


def _add(app: FastAPI, route: Route) -> None:
    documented: dict[int | str, dict[str, Any]] = {status: {"model": shape} for status, shape in route.errors.items()}
    if route.answer:
        documented[route.status] = {"model": route.answer}
    app.add_api_route(
        route.path,
        route.endpoint,
        methods=[route.method],
        tags=[route.tag],
        summary=(route.endpoint.__doc__ or "").partition("\n")[0],
        responses=documented,
        status_code=route.status,
        response_class=Response,
        response_model=None,
        openapi_extra=route.extra,
    )


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
        return json_answer({"name": title, "version": version, "links": links})

    return welcome


def _closing(feed: LiveFeed) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await feed.close()

    return lifespan
