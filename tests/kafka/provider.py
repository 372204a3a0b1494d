"""Where the tests' Kafka comes from: the one given, a container, or our own from jars, in this order."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.kafka.maven import UnavailableError
from tests.kafka.server import KafkaServer

if TYPE_CHECKING:
    from testcontainers.community.kafka import RedpandaContainer


@contextmanager
def kafka() -> Iterator[str]:
    """Bootstrap servers of a real Kafka (or Redpanda) for as long as the block runs.

    `KAFKA_BOOTSTRAP_SERVERS` if set; else a Redpanda container where a Docker engine answers and gives one; else
    Apache Kafka from its jars.

    Raises:
        UnavailableError: none of them; the message has the reasons.
    """
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield given
        return
    try:
        container = start_container()
    except UnavailableError as no_container:
        with own_server(also=str(no_container)) as server:
            yield server.bootstrap
        return
    try:
        yield container.get_bootstrap_server()
    finally:
        container.stop()


@contextmanager
def own_server(*, also: str = "") -> Iterator[KafkaServer]:
    """A broker from jars, to be tormented: it has all listeners and can be killed.

    Args:
        also: what else was tried, for the reason given when this fails too.
    """
    server = KafkaServer()
    try:
        server.start()
    except UnavailableError as error:
        raise UnavailableError(f"{also}; {error}" if also else str(error)) from error
    try:
        yield server
    finally:
        server.stop()


def start_container() -> RedpandaContainer:
    """A Redpanda in Docker.

    Raises:
        UnavailableError: no engine answers, or it cannot start the image.
    """
    engine = shutil.which("docker")
    if engine is None or subprocess.run([engine, "info"], capture_output=True, check=False, timeout=30).returncode:
        raise UnavailableError("no Docker engine answers")
    from testcontainers.community.kafka import RedpandaContainer

    try:
        container: RedpandaContainer = RedpandaContainer().start()
    except Exception as error:  # of Docker, of the registry or of the wait for Redpanda: without it we go on
        raise UnavailableError(f"Docker has no Redpanda for us: {error}") from error
    return container
