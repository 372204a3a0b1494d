"""Buses that implement the protocol, and fixtures to test them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from eventbus import EventBus

BusFactory = Callable[[], EventBus]

PARTITIONS = 4


@pytest.fixture(params=["in-process", pytest.param("kafka", marks=pytest.mark.kafka)])
def bus_factory(request: pytest.FixtureRequest) -> BusFactory:
    """Creates a bus that is not entered yet."""
    if request.param == "in-process":
        from eventbus import InProcessBus

        return InProcessBus
    from eventbus import KafkaBus

    bootstrap: str = request.getfixturevalue("kafka_bootstrap")
    return lambda: KafkaBus(bootstrap)


@pytest.fixture
async def bus(bus_factory: BusFactory) -> AsyncIterator[EventBus]:
    """An open bus."""
    async with bus_factory() as bus:
        yield bus


@pytest.fixture
def unique() -> str:
    """A word that no other test uses, since brokers outlive tests."""
    return f"c{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def topic(bus: EventBus, unique: str) -> str:
    """An empty topic of four partitions."""
    await bus.create_topics({unique: PARTITIONS})
    return unique


@pytest.fixture
def group(unique: str) -> str:
    """A group without offsets."""
    return f"group-{unique}"
