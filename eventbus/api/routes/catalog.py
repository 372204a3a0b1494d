"""`/api/catalog`: the chains and event types of the catalog."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from fastapi import APIRouter, Response

from eventbus.api import models
from eventbus.api.openapi import documented
from eventbus.catalog import Catalog, Chain, EventType
from eventbus.catalog.export.asyncapi import asyncapi
from eventbus.catalog.export.jsonschema import payload_schema


def catalog_routes(catalog: Catalog, topic_of: Callable[[str], str]) -> APIRouter:
    """The routes of the catalog. A catalog is immutable, so each document is built once, at the first request.

    Args:
        topic_of: the topic of an event type.
    """
    router = APIRouter(tags=["catalog"], default_response_class=Response)

    @cache
    def listing() -> bytes:
        chains = [_chain(chain) for chain in catalog.chains.values()]
        types = [_event_type(event_type, topic_of(event_type.name)) for event_type in catalog.events.values()]
        return orjson.dumps({"chains": chains, "event_types": types})

    @cache
    def asyncapi_document() -> bytes:
        return orjson.dumps(asyncapi(catalog, topic_of=topic_of))

    @router.get("/api/catalog", responses=documented(models.CatalogListing))
    async def get_catalog() -> Response:
        """The event types and chains of the catalog."""
        return Response(listing(), media_type="application/json")

    @router.get("/api/catalog/asyncapi.json")
    async def get_asyncapi() -> Response:
        """The catalog as an AsyncAPI 3 document."""
        return Response(asyncapi_document(), media_type="application/json")

    return router


def _chain(chain: Chain) -> dict[str, Any]:
    return {
        "name": chain.name,
        "description": chain.description,
        "weight": chain.weight,
        "root": chain.root,
        "event_types": list(dict.fromkeys(state.emits for state in chain.states.values())),
    }


def _event_type(event_type: EventType, topic: str) -> dict[str, Any]:
    return {
        "name": event_type.name,
        "description": event_type.description,
        "topic": topic,
        "source": event_type.source,
        "schema_version": event_type.schema_version,
        "payload_schema": payload_schema(event_type),
    }
