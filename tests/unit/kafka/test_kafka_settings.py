"""Invalid settings are refused before connecting."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from eventbus.errors import InvalidSettings
from eventbus.kafka import KafkaBus, KafkaSecurity
from eventbus.kafka.connection import Connection
from eventbus.kafka.topics import TopicAdmin


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"protocol": "SASL_PLAINTEXT"}, "needs a user name and a password"),
        ({"protocol": "SASL_SSL", "username": "alice"}, "needs a user name and a password"),
        ({"username": "alice", "password": "secret"}, "needs SASL_PLAINTEXT or SASL_SSL"),
        ({"cafile": Path("ca.pem")}, "certificates need SSL"),
        ({"protocol": "SSL", "keyfile": Path("key.pem")}, "the certificate it belongs to"),
    ],
)
def test_contradictory_security_is_refused(settings: dict[str, Any], problem: str) -> None:
    """Contradicting settings are refused with a message that names them."""
    with pytest.raises(InvalidSettings, match=problem):
        KafkaSecurity(**settings)


def test_a_password_is_never_shown() -> None:
    """`repr` hides the password."""
    security = KafkaSecurity(protocol="SASL_SSL", username="alice", password="hunter2")
    assert "hunter2" not in repr(security)


def test_plain_connections_have_no_tls() -> None:
    """Without TLS there is no context; with TLS, the broker's name is verified."""
    assert KafkaSecurity().ssl_context() is None
    context = KafkaSecurity(protocol="SSL").ssl_context()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_an_unreadable_certificate_is_named(tmp_path: Path) -> None:
    """A file that is not a certificate is refused with its name."""
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    with pytest.raises(InvalidSettings, match=r"ca\.pem"):
        KafkaSecurity(protocol="SSL", cafile=bad).ssl_context()


@pytest.mark.parametrize("servers", ["", "localhost", "localhost:", ":9092", "localhost:0", "localhost:99999", "a:1,b"])
def test_an_address_has_a_host_and_a_port(servers: str) -> None:
    """Bootstrap servers other than host:port are refused when the bus is created."""
    with pytest.raises(InvalidSettings, match="expected host:port"):
        KafkaBus(servers)


@pytest.mark.parametrize("servers", ["localhost:9092", "a:1,b:2", "a:1, b:2", "[::1]:9092"])
def test_addresses_may_be_several(servers: str) -> None:
    """Servers are separated by commas, with or without spaces."""
    assert Connection(bootstrap_servers=servers).bootstrap_servers == servers


@pytest.mark.parametrize(
    ("topic", "partitions"), [("omninode.agent", 8), ("omninode.agent.execution.started.v1", 8), ("omninode.vault", 4)]
)
def test_partitions_by_topic_or_domain(topic: str, partitions: int) -> None:
    """A topic gets the partitions of its own name, else of its domain, else four."""
    topics = TopicAdmin(Connection(bootstrap_servers="localhost:9092"), {"omninode.agent": 8})
    assert topics.partitions_of(topic) == partitions
