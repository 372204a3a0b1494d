"""A real server on a real socket, over a store in memory and an in-process bus."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eventbus.api import LiveFeed, Server, create_app
from eventbus.catalog import Catalog
from eventbus.inprocess import InProcessBus
from tests.api.memory_store import MemoryStore

TOPIC = "omninode.agent"


@pytest.fixture
async def bus() -> AsyncIterator[InProcessBus]:
    """A bus with one partition per topic, which keeps all events in order."""
    async with InProcessBus(partitions=1) as bus:
        yield bus


@pytest.fixture
def feed(bus: InProcessBus) -> LiveFeed:
    """A feed with one event per frame, and a small ring."""
    return LiveFeed(bus, [TOPIC], max_events=1, ring_bytes=100_000, linger=60.0)


@pytest.fixture
async def server(bus: InProcessBus, feed: LiveFeed) -> AsyncIterator[Server]:
    app = create_app(store=MemoryStore(), bus=bus, catalog=Catalog.default(), version="1", feed=feed)
    async with Server(app, port=0) as server:
        yield server
