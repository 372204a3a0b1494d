"""A real Kafka for any test marked `kafka`; started once a session, on first use."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.kafka.maven import UnavailableError
from tests.kafka.provider import kafka, own_server
from tests.kafka.server import KafkaServer


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """Bootstrap servers of a real Kafka or Redpanda, shared by all tests: use topics and groups of your own."""
    with _or_skip(), kafka() as bootstrap:
        yield bootstrap


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    """A broker of our own with SASL and TLS listeners, shared by the tests that need those."""
    with _or_skip(), own_server() as server:
        yield server


@pytest.fixture
def mortal_kafka() -> Iterator[KafkaServer]:
    """A broker for this test alone, which may kill it."""
    with _or_skip(), own_server() as server:
        yield server


@pytest.fixture
def kafka_topic() -> str:
    """A topic name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"


@contextmanager
def _or_skip() -> Iterator[None]:
    """No broker: the test is skipped with the reason, or fails where one is promised (EVENTBUS_REQUIRE_KAFKA=1)."""
    try:
        yield
    except UnavailableError as error:
        if os.environ.get("EVENTBUS_REQUIRE_KAFKA") == "1":
            pytest.fail(f"a real Kafka is required here: {error}", pytrace=False)
        pytest.skip(f"no real Kafka: {error}")
