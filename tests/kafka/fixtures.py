"""A real Kafka for any test marked `kafka`; started once a session, on first use."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.kafka.apicurio import Apicurio
from tests.kafka.maven import UnavailableError
from tests.kafka.provider import given_or_container
from tests.kafka.server import KafkaServer


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> Iterator[str]:
    """Bootstrap servers of a real Kafka or Redpanda, shared by all tests: use topics and groups of your own."""
    try:
        with given_or_container() as bootstrap:
            yield bootstrap
    except UnavailableError:
        server: KafkaServer = request.getfixturevalue("kafka_server")
        yield server.bootstrap


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    """A broker of our own with SASL and TLS listeners, shared by all tests that leave it alive."""
    with _started() as server:
        yield server


@pytest.fixture
def mortal_kafka() -> Iterator[KafkaServer]:
    """A broker for this test alone, which may kill it."""
    with _started() as server:
        yield server


@pytest.fixture(scope="session")
def schema_registry() -> Iterator[str]:
    """The address of a real schema registry, shared by all tests: use subjects of your own."""
    with Apicurio() as registry:
        try:
            registry.start()
        except UnavailableError as error:
            _missing("schema registry", str(error))
        yield registry.url


@pytest.fixture
def kafka_topic() -> str:
    """A topic name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


def _started() -> KafkaServer:
    server = KafkaServer()
    try:
        server.start()
    except UnavailableError as error:
        _without_kafka(str(error))
    return server


def _without_kafka(reason: str) -> NoReturn:
    _missing("Kafka", f"KAFKA_BOOTSTRAP_SERVERS is not set, no Docker engine gives one, and {reason}")


def _missing(what: str, reason: str) -> NoReturn:
    """The test is skipped with the reason, or fails where these are promised (EVENTBUS_REQUIRE_KAFKA=1)."""
    if os.environ.get("EVENTBUS_REQUIRE_KAFKA") == "1":
        pytest.fail(f"a real {what} is required here: {reason}", pytrace=False)
    pytest.skip(f"no real {what}: {reason}")
