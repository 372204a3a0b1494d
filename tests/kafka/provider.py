"""Where the tests' Kafka comes from: the one given, a container, or our own from jars, in this order."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.kafka.maven import UnavailableError

if TYPE_CHECKING:
    from testcontainers.community.kafka import RedpandaContainer


@contextmanager
def given_or_container() -> Iterator[str]:
    """Bootstrap servers of a Kafka that needs no Java here: `KAFKA_BOOTSTRAP_SERVERS`, else a Redpanda in Docker.

    Raises:
        UnavailableError: neither; the message has the reasons.
    """
    if given := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield given
        return
    container = start_container()
    try:
        yield container.get_bootstrap_server()
    finally:
        container.stop()


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
