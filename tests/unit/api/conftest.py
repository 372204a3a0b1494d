"""Fixtures of the HTTP API's tests: an application over a store in memory and an in-process bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from eventbus.api import create_app
from eventbus.catalog import Catalog
from eventbus.event import Event
from eventbus.inprocess import InProcessBus
from tests.api.memory_store import MemoryStore

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def bus() -> AsyncIterator[InProcessBus]:
    """A bus with one partition per topic, which keeps all events in order."""
    async with InProcessBus(partitions=1) as bus:
        yield bus


@pytest.fixture
def app(store: MemoryStore, bus: InProcessBus) -> FastAPI:
    return create_app(
        store=store, bus=bus, catalog=Catalog.default(), version="1.2.3", now=lambda: NOW, max_body=10_000
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def chain() -> list[Event]:
    """An execution in three steps, a second apart."""
    return make_chain("routing.requested", "execution.started", "execution.completed")


def make_chain(*actions: str, tenant: str = "tenant-1") -> list[Event]:
    """A linear chain of agent events, a second apart."""
    events: list[Event] = []
    for number, action in enumerate(actions):
        events.append(
            Event.new(
                f"omninode.agent.{action}.v1",
                {"step": number},
                cause=events[-1] if events else None,
                tenant_id=tenant,
                timestamp=NOW.replace(hour=11, second=number),
            )
        )
    return events
