"""`/health` and `/metrics`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from eventbus.api import models
from eventbus.api.live.feed import LiveFeed
from eventbus.api.openapi import documented
from eventbus.api.problems import json_response
from eventbus.api.store import Store

Check = Callable[[], Mapping[str, Any]]
"""Returns details of a component; its `status` may be `ok` (the default), `degraded` or `down`."""


def operation_routes(health: HealthCheck, registry: CollectorRegistry) -> APIRouter:
    """The routes for operating the program."""
    router = APIRouter(tags=["operation"], default_response_class=Response)

    @router.get("/health", responses={**documented(models.Health), 503: {"model": models.Health}})
    async def get_health() -> Response:
        """200 while events can be stored and queried; 503 when the store does not answer."""
        return await health.response()

    @router.get("/metrics")
    async def get_metrics() -> Response:
        """All metrics in Prometheus's text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class HealthCheck:
    """Checks the components of the program.

    Args:
        checks: of components other than the store and the live feed, by name.
        timeout: seconds that the store may take to answer.
    """

    def __init__(
        self,
        store: Store,
        feed: LiveFeed,
        checks: Mapping[str, Check],
        now: Callable[[], datetime],
        *,
        version: str,
        timeout: float = 2.0,
    ) -> None:
        self._store = store
        self._feed = feed
        self._checks = checks
        self._now = now
        self._started = now()
        self._version = version
        self._timeout = timeout

    async def response(self) -> Response:
        """The health of all components; status 503 if the store is down."""
        store = await self._check_store()
        live = self._feed.statistics()
        components = {
            "store": store,
            "live": {"status": "ok", "clients": live.clients, "skipped": live.skipped},
            **{name: _component(check) for name, check in self._checks.items()},
        }
        health = {
            "status": _overall(components),
            "version": self._version,
            "uptime_seconds": round((self._now() - self._started).total_seconds(), 3),
            "components": components,
        }
        return json_response(health, 503 if store["status"] == "down" else 200)

    async def _check_store(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                await self._store.ping()
        except TimeoutError:
            return {"status": "down", "error": f"no answer within {self._timeout:g} s"}
        except Exception as error:  # every exception of a driver means the same here
            return _down(error)
        return {"status": "ok"}


def _component(check: Check) -> dict[str, Any]:
    try:
        return {"status": "ok", **check()}
    except Exception as error:  # a broken component must not hide the others
        return _down(error)


def _down(error: Exception) -> dict[str, Any]:
    return {"status": "down", "error": f"{type(error).__name__}: {error}"}


def _overall(components: Mapping[str, Mapping[str, Any]]) -> str:
    if components["store"]["status"] == "down":
        return "down"
    return "ok" if all(component["status"] == "ok" for component in components.values()) else "degraded"
