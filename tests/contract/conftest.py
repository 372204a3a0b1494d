"""Every bus that has to keep the contract, and what a test of it needs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from eventbus import EventBus

BusFactory = Callable[[], EventBus]

PARTITIONS = 4


@pytest.fixture(params=["in-process", pytest.param("kafka", marks=pytest.mark.kafka)])
def bus_factory(request: pytest.FixtureRequest) -> BusFactory:
    """Makes a bus that is not yet entered."""
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
    """A word no other test uses: brokers outlive tests."""
    return f"c{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def topic(bus: EventBus, unique: str) -> str:
    """A topic of four partitions, empty."""
    await bus.create_topics({unique: PARTITIONS})
    return unique


@pytest.fixture
def group(unique: str) -> str:
    """A group nobody has used."""
    return f"group-{unique}"
