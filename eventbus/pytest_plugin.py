"""Pytest fixtures for the test suites of users: a bus, a chain generator, and an event store on a real PostgreSQL.

Every pytest run loads this module where the package is installed, so each fixture imports what it needs itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from eventbus.chains import ChainGenerator
    from eventbus.inprocess import InProcessBus
    from eventbus.processors.testing import EventStoreFixture, TemporaryServer

SEED_MARKER = "eventbus_seed(seed): the seed of this test's `chain_generator`, in place of --eventbus-seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("eventbus", "event bus")
    group.addoption(
        "--eventbus-seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the chain_generator fixture (default: 0): the same seed gives the same events",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", SEED_MARKER)


@pytest.fixture
def event_bus() -> Iterator[InProcessBus]:
    """An open in-process bus, closed after the test.

    It is a synchronous fixture, since opening a bus awaits nothing: it works with any asyncio plugin or none.
    """
    from eventbus.inprocess import InProcessBus

    bus = InProcessBus()
    yield bus
    bus.close_nowait()


@pytest.fixture
def chain_generator(request: pytest.FixtureRequest) -> ChainGenerator:
    """A generator of the shipped catalog, seeded by `--eventbus-seed` or `@pytest.mark.eventbus_seed(N)`."""
    from eventbus.catalog import Catalog
    from eventbus.chains import ChainGenerator

    return ChainGenerator(Catalog.default(), seed=_seed(request))


@pytest.fixture(scope="session")
def eventbus_postgres() -> Iterator[TemporaryServer]:
    """The PostgreSQL server of `event_store`, started by the first test that uses it and stopped after the last."""
    from eventbus.processors.testing import TemporaryServer

    with TemporaryServer() as server:
        yield server


@pytest.fixture
def event_store(eventbus_postgres: TemporaryServer) -> Iterator[EventStoreFixture]:
    """An empty database, removed after the test: `open()` queries it, `processing(bus)` stores the events of a bus."""
    from eventbus.processors.testing import EventStoreFixture

    dsn = eventbus_postgres.create_database()
    yield EventStoreFixture(dsn)
    eventbus_postgres.drop_database(dsn)


def _seed(request: pytest.FixtureRequest) -> int:
    marker = request.node.get_closest_marker("eventbus_seed")
    if marker is None:
        return int(request.config.getoption("--eventbus-seed"))
    if len(marker.args) != 1 or not isinstance(marker.args[0], int):
        raise pytest.UsageError(f"expected @pytest.mark.eventbus_seed(N) with a whole number, got {marker.args}")
    return marker.args[0]
