"""Counts of stored events and chains."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import Query, Response

from eventbus.api.parameters import StatisticsQuery
from eventbus.api.problems import json_answer
from eventbus.api.store import Store


class Statistics:
    """The route `/api/event-bus/statistics`."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    async def get(self, query: Annotated[StatisticsQuery, Query()]) -> Response:
        """How many events and chains, of which types, how they ended and how long they took."""
        since, until = query.bounds(self._now())
        return json_answer(await self._store.statistics(since=since, until=until, tenant_id=query.tenant_id))
