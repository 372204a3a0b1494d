"""The application: what it is made of, and all its routes in one table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from catalog import Catalog
from eventbus.api import models
from eventbus.api.catalog import CatalogDoor
from eventbus.api.chains import Chains
from eventbus.api.errors import handle_errors, json_answer
from eventbus.api.events import Events
from eventbus.api.health import Check, Health
from eventbus.api.inject import Inbox
from eventbus.api.live import LiveFeed
from eventbus.api.metrics import Latency, Metrics, Providers, Snapshots
from eventbus.api.statistics import Statistics
from eventbus.api.store import Store
from eventbus.api.streams import Streams
from eventbus.bus import EventBus

NO_PROVIDERS = Providers()
NO_CHECKS: Mapping[str, Check] = {}


class Route(NamedTuple):
    """One line of the table."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    tag: str
    answer: type[BaseModel] | None
    """Shape of the answer; None where it is not JSON."""
    errors: tuple[int, ...] = ()
    status: int = 200


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_app(
    *,
    store: Store,
    bus: EventBus,
    catalog: Catalog,
    version: str,
    title: str = "Event bus",
    topics: Iterable[str] | None = None,
    providers: Providers = NO_PROVIDERS,
    checks: Mapping[str, Check] = NO_CHECKS,
    registry: CollectorRegistry | None = None,
    feed: LiveFeed | None = None,
    max_body: int = 5 << 20,
    now: Callable[[], datetime] = utc_now,
) -> FastAPI:
    """The HTTP application over a store, a bus and a catalog that are open already, and stay the caller's.

    Args:
        topics: what the live feed reads; by default the topic of each domain in the catalog.
        providers: of the figures under `/metrics`.
        checks: parts of the program to report under `/health`, by name.
        registry: of Prometheus; by default one of its own.
        feed: another live feed than the usual one.
        max_body: largest request taken, in bytes.
        now: the clock, in UTC.
    """
    if feed is None:
        feed = LiveFeed(bus, topics or {kind.domain for kind in catalog.events.values()})
    registry = registry or CollectorRegistry()
    registry.register(Snapshots(providers, feed.statistics))
    app = FastAPI(title=title, version=version, lifespan=_closing(feed), redoc_url=None)
    app.state.live = feed
    app.add_middleware(Latency, registry=registry)
    handle_errors(app)

    events, inbox = Events(store, now), Inbox(bus, catalog, now, max_body=max_body)
    chains, statistics, streams = Chains(store), Statistics(store, now), Streams(feed)
    described, health = CatalogDoor(catalog), Health(store, feed, checks, now, version=version)
    for route in (
        Route("GET", "/health", health.get, "operation", models.Health),
        Route("GET", "/metrics", Metrics(registry).get, "operation", None),
        Route("GET", "/api/event-bus/events", events.browse, "events", models.EventPage, (400,)),
        Route("POST", "/api/event-bus/events", inbox.post, "events", models.Injected, (413,), status=202),
        Route("GET", "/api/event-bus/events/{event_id}", events.one, "events", models.StoredEvent, (400, 404)),
        Route("GET", "/api/event-bus/chains/{correlation_id}", chains.one, "chains", models.Chain, (400, 404)),
        Route("GET", "/api/event-bus/statistics", statistics.get, "statistics", models.Statistics, (400,)),
        Route("GET", "/api/event-bus/stream", streams.sse, "live", None, (400,)),
        Route("GET", "/api/catalog", described.get, "catalog", models.CatalogAnswer),
    ):
        _add(app, route)
    app.add_api_websocket_route("/ws/events", streams.websocket)
    app.add_api_route("/", _welcome(title, version), response_class=Response, include_in_schema=False)
    return app


def _add(app: FastAPI, route: Route) -> None:
    documented: dict[int | str, dict[str, Any]] = {status: {"model": models.Error} for status in route.errors}
    if route.answer:
        documented[route.status] = {"model": route.answer}
    if route.method == "POST":
        documented[400] = {"model": models.InjectionRefused}
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
