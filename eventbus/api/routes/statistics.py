"""`/api/event-bus/statistics`: counts of stored events and chains."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from eventbus.api import models
from eventbus.api.openapi import documented
from eventbus.api.parameters import StatisticsQuery
from eventbus.api.problems import json_response
from eventbus.api.store import Store


def statistics_routes(store: Store, now: Callable[[], datetime]) -> APIRouter:
    """The route of the statistics."""
    router = APIRouter(tags=["statistics"], default_response_class=Response)

    @router.get("/api/event-bus/statistics", responses=documented(models.Statistics, 400, 503))
    async def get_statistics(query: Annotated[StatisticsQuery, Query()]) -> Response:
        """Counts of events by type, and of chains by outcome, with their durations."""
        since, until = query.bounds(now())
        return json_response(await store.statistics(since=since, until=until, tenant_id=query.tenant_id))

    return router
