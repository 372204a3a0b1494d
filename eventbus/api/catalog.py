"""The catalog over HTTP: what may be on this bus, for people and for tools."""

from __future__ import annotations

from typing import Any

from fastapi import Response

from catalog import Catalog, Chain, EventType
from eventbus.api.errors import json_answer


class CatalogDoor:
    """The routes under `/api/catalog`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def get(self) -> Response:
        """The event types and chains there are."""
        return json_answer(
            {
                "chains": [_chain(chain) for chain in self._catalog.chains.values()],
                "event_types": [_event_type(kind) for kind in self._catalog.events.values()],
            }
        )


def _chain(chain: Chain) -> dict[str, Any]:
    return {
        "name": chain.name,
        "description": chain.description,
        "weight": chain.weight,
        "root": chain.root,
        "event_types": list(dict.fromkeys(state.emits for state in chain.states.values())),
    }


def _event_type(kind: EventType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "description": kind.description,
        "source": kind.source,
        "schema_version": kind.schema_version,
    }
