"""The catalog over HTTP: what may be on this bus, for people and for tools."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import orjson
from fastapi import Response

from eventbus.catalog import Catalog, Chain, EventType
from eventbus.catalog.export.asyncapi import asyncapi
from eventbus.catalog.export.jsonschema import payload_schema


class CatalogPages:
    """The routes under `/api/catalog`. A catalog does not change while it is served, so each answer is made once.

    Args:
        topic_of: names the topic of an event type.
    """

    def __init__(self, catalog: Catalog, topic_of: Callable[[str], str]) -> None:
        self._catalog = catalog
        self._topic_of = topic_of

    async def get(self) -> Response:
        """The event types and chains there are."""
        return Response(self._listing, media_type="application/json")

    async def asyncapi(self) -> Response:
        """The same as an AsyncAPI 3 document, for tools that draw, check or generate."""
        return Response(self._document, media_type="application/json")

    @cached_property
    def _listing(self) -> bytes:
        chains = [_chain(chain) for chain in self._catalog.chains.values()]
        types = [_event_type(kind, self._topic_of(kind.name)) for kind in self._catalog.events.values()]
        return orjson.dumps({"chains": chains, "event_types": types})

    @cached_property
    def _document(self) -> bytes:
        return orjson.dumps(asyncapi(self._catalog, topic_of=self._topic_of))


def _chain(chain: Chain) -> dict[str, Any]:
    return {
        "name": chain.name,
        "description": chain.description,
        "weight": chain.weight,
        "root": chain.root,
        "event_types": list(dict.fromkeys(state.emits for state in chain.states.values())),
    }


def _event_type(kind: EventType, topic: str) -> dict[str, Any]:
    return {
        "name": kind.name,
        "description": kind.description,
        "topic": topic,
        "source": kind.source,
        "schema_version": kind.schema_version,
        "payload_schema": payload_schema(kind),
    }
