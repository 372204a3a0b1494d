"""The broker that the tests and `make kafka` start: startup, addresses, cleanup."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kafka import maven
from tests.kafka.maven import UnavailableError, java_version
from tests.kafka.server import KafkaServer


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_392"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ("command not found", 0),
    ],
)
def test_java_tells_its_version(answer: str, version: int) -> None:
    """Old and new version numbers of Java are understood."""
    assert java_version(answer) == version


def test_without_java_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without Java, the message says what is required."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UnavailableError, match="Kafka needs Java 17 or newer"):
        maven.java()


def test_without_maven_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without jars and Maven, the message says where the jars belong and what is missing."""
    monkeypatch.setenv("EVENTBUS_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="Maven"):
        maven.jars()


def test_a_failed_download_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If Maven fails, its message is passed on, and the next run starts from scratch."""
    mvn = tmp_path / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text("#!/bin/sh\necho no such artifact; exit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("EVENTBUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{mvn.parent}:/usr/bin:/bin")
    with pytest.raises(UnavailableError, match="no such artifact"):
        maven.jars()
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.kafka
def test_the_runner_prints_its_address_and_stops(kafka_server: KafkaServer) -> None:
    """`make kafka` shows the broker's address, and SIGTERM ends it and removes its data."""
    command = [sys.executable, "-m", "tests.kafka.broker"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout
        lines = [runner.stdout.readline() for _ in range(5)]
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(timeout=30) == 0
    assert "bootstrap servers   127.0.0.1:" in lines[1]
    certificate = Path(lines[3].split("(CA ")[1].rstrip(")\n"))
    assert certificate.name == "ca.pem"
    assert not certificate.parent.exists()
