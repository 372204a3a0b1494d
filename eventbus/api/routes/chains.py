"""`/api/event-bus/chains`: stored chains."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from eventbus.api import models
from eventbus.api.openapi import documented
from eventbus.api.parameters import Uuid
from eventbus.api.problems import ProblemError, json_response
from eventbus.api.store import Store
from eventbus.catalog import Catalog
from eventbus.views import chain_dict


def chain_routes(store: Store, catalog: Catalog) -> APIRouter:
    """The routes of stored chains."""
    router = APIRouter(tags=["chains"], default_response_class=Response)

    @router.get("/api/event-bus/chains/{correlation_id}", responses=documented(models.ChainDetails, 400, 404, 503))
    async def get_chain(correlation_id: Annotated[Uuid, Path()]) -> Response:
        """A chain with its events nested by causation, their times, and an explanation."""
        chain = await store.chain(correlation_id)
        if chain is None:
            raise ProblemError(404, f"no chain {correlation_id} is stored")
        event_types = {event.event_type for event in chain.events}
        return json_response(chain_dict(chain, catalog.differences(chain.chain, event_types, chain.outcome)))

    return router
