"""One chain as a tree: what caused what, when, and how it went."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response

from eventbus.api.parameters import Uuid
from eventbus.api.problems import Refusal, json_answer
from eventbus.api.store import Store
from eventbus.catalog import Catalog
from eventbus.views import chain_dict


class Chains:
    """The route `/api/event-bus/chains/{correlation_id}`."""

    def __init__(self, store: Store, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    async def one(self, correlation_id: Annotated[Uuid, Path()]) -> Response:
        """A chain with its events nested by causation, their times, and a sentence that explains it."""
        chain = await self._store.chain(correlation_id)
        if chain is None:
            raise Refusal(404, f"no chain {correlation_id} is stored")
        seen = {event.event_type for event in chain.events}
        return json_answer(chain_dict(chain, self._catalog.differences(chain.chain, seen, chain.outcome)))
