"""Failures of brokers are told apart, in one sentence, within their timeouts."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from eventbus import AuthenticationFailed, BrokerUnreachable, DeliveryFailed, Event, KafkaBus, TopicDenied
from eventbus.kafka import KafkaSecurity, SaslMechanism, SecurityProtocol
from eventbus.record import ProducerRecord
from tests.kafka.properties import USERS
from tests.kafka.server import KafkaServer

EVENT = Event.new("omninode.agent.execution.started.v1", {"agent": "coder"})

SLACK = 2.0
"""Seconds that a loaded machine may add to a stated time."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails if the block takes longer than `seconds`."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds + SLACK


@asynccontextmanager
async def silent_port() -> AsyncIterator[str]:
    """The address of a server that accepts connections and never responds."""
    hung_up = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hung_up.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"{host}:{port}"
        hung_up.set()


def login(
    user: str = "alice",
    password: str | None = None,
    *,
    protocol: SecurityProtocol = "SASL_PLAINTEXT",
    mechanism: SaslMechanism = "PLAIN",
    cafile: Path | None = None,
) -> KafkaSecurity:
    return KafkaSecurity(
        protocol=protocol, mechanism=mechanism, username=user, password=password or USERS[user], cafile=cafile
    )


async def test_a_closed_port_is_reported_at_once() -> None:
    """No server listens: entering and publishing report the address and the reason in one line."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        bus = KafkaBus(address)
        with within(1), pytest.raises(BrokerUnreachable, match=f"no Kafka broker answered at {address} within 5 s: "):
            await bus.__aenter__()
        with pytest.raises(BrokerUnreachable, match=address):
            await bus.publish(EVENT)
        with pytest.raises(BrokerUnreachable, match=address):
            await bus.publish_many([EVENT, EVENT])
        await bus.close()
        assert (bus.delivery_statistics().sent, bus.delivery_statistics().failed) == (3, 3)


async def test_a_silent_port_is_given_up_in_time() -> None:
    """A server that never responds ends the wait at the connect timeout."""
    async with silent_port() as address:
        with within(0.5), pytest.raises(BrokerUnreachable, match=r"within 0\.5 s: no answer"):
            async with KafkaBus(address, connect_timeout=0.5):
                pass


@pytest.mark.kafka
async def test_the_second_server_may_answer(kafka_server: KafkaServer) -> None:
    """One dead address among several does not matter."""
    async with KafkaBus(f"127.0.0.1:1,{kafka_server.bootstrap}") as bus:
        assert (await bus.publish(EVENT)).topic == "omninode.agent"


@pytest.mark.kafka
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_the_right_password_gets_in(
    kafka_server: KafkaServer, kafka_topic: str, mechanism: SaslMechanism
) -> None:
    """With SASL, publishing and reading work as without."""
    address = kafka_server.address("SASL_PLAINTEXT")
    async with KafkaBus(address, security=login(mechanism=mechanism)) as bus:
        await bus.publish(EVENT, topic=kafka_topic)
        async with bus.subscribe(kafka_topic, group=kafka_topic) as subscription:
            assert (await anext(subscription)).event == EVENT


@pytest.mark.kafka
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
async def test_a_wrong_password_is_an_authentication_error(kafka_server: KafkaServer, mechanism: SaslMechanism) -> None:
    """Refused credentials are not "unreachable"; the error names the user, but not the password."""
    bus = KafkaBus(kafka_server.address("SASL_PLAINTEXT"), security=login(password="hunter2", mechanism=mechanism))
    with within(5), pytest.raises(AuthenticationFailed, match=f"refused to log in alice by {mechanism}") as caught:
        await bus.__aenter__()
    assert "hunter2" not in str(caught.value)


@pytest.mark.kafka
async def test_an_unknown_mechanism_is_an_authentication_error(kafka_server: KafkaServer) -> None:
    """A mechanism that the broker does not support is named."""
    bus = KafkaBus(kafka_server.address("SASL_PLAINTEXT"), security=login(mechanism="SCRAM-SHA-512"))
    with pytest.raises(AuthenticationFailed, match="SCRAM-SHA-512: The broker does not support"):
        await bus.__aenter__()


@pytest.mark.kafka
@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
async def test_tls_with_the_right_certificate(
    kafka_server: KafkaServer, kafka_topic: str, protocol: SecurityProtocol
) -> None:
    """The broker's certificate is verified against the configured one, with and without a login."""
    ca = kafka_server.cafile
    security = (
        login(protocol=protocol, cafile=ca, mechanism="SCRAM-SHA-256")
        if protocol == "SASL_SSL"
        else KafkaSecurity(protocol=protocol, cafile=ca)
    )
    async with KafkaBus(kafka_server.address(protocol), security=security) as bus:
        await bus.publish(EVENT, topic=kafka_topic)
        async with bus.subscribe(kafka_topic) as subscription:
            assert (await anext(subscription)).event == EVENT


@pytest.mark.kafka
async def test_an_untrusted_certificate_is_refused(kafka_server: KafkaServer) -> None:
    """An untrusted certificate ends the connection, with the reason."""
    bus = KafkaBus(kafka_server.address("SSL"), security=KafkaSecurity(protocol="SSL"))
    with within(5), pytest.raises(BrokerUnreachable, match="TLS failed: self-signed certificate"):
        await bus.__aenter__()


@pytest.mark.kafka
@pytest.mark.parametrize("listener", ["SSL", "SASL_PLAINTEXT"])
async def test_the_wrong_protocol_is_suspected(kafka_server: KafkaServer, listener: str) -> None:
    """Plain text to a port that expects TLS or a login fails in time, and the message questions the protocol."""
    bus = KafkaBus(kafka_server.address(listener), connect_timeout=3)
    with within(3), pytest.raises(BrokerUnreachable, match="is PLAINTEXT the protocol of that port"):
        await bus.__aenter__()


@pytest.mark.kafka
async def test_a_topic_nobody_granted_is_denied(kafka_server: KafkaServer, kafka_topic: str) -> None:
    """Publishing to a topic, or reading from it, without permission names the topic."""
    async with KafkaBus(kafka_server.bootstrap) as bus:
        await bus.create_topics({kafka_topic: 1})
    async with KafkaBus(kafka_server.address("SASL_PLAINTEXT"), security=login("guest")) as guest:
        with within(5), pytest.raises(TopicDenied, match=kafka_topic):
            await guest.publish(EVENT, topic=kafka_topic)
        with within(5), pytest.raises(TopicDenied, match=kafka_topic):
            await anext(guest.subscribe(kafka_topic))
        assert guest.delivery_statistics().failed == 1


@pytest.mark.kafka
async def test_a_topic_that_may_only_be_read_is_denied_to_publishers(
    kafka_server: KafkaServer, kafka_topic: str
) -> None:
    """Permission to describe does not include writing; a refused record does not affect later ones elsewhere."""
    allowed = f"{kafka_topic}-allowed"
    async with KafkaBus(kafka_server.bootstrap) as bus:
        await bus.create_topics({kafka_topic: 1, allowed: 1})
        await bus.publish(EVENT, topic=kafka_topic)
    kafka_server.allow("guest", "Read", topic=kafka_topic)
    kafka_server.allow("guest", "Write", topic=allowed)
    records = [ProducerRecord(kafka_topic, None, b"no", 0, ())] * 3
    async with KafkaBus(kafka_server.address("SASL_PLAINTEXT"), security=login("guest")) as guest:
        assert (await anext(guest.subscribe(kafka_topic))).event == EVENT
        with pytest.raises(TopicDenied, match=kafka_topic):
            await guest.publish_many(records)
        with pytest.raises(DeliveryFailed, match="2 records acknowledged, 3 failed") as caught:
            await guest.publish_many([*records, *(record._replace(topic=allowed) for record in records[:2])])
        assert (caught.value.acknowledged, caught.value.failed) == (2, 3)
        assert (await guest.publish(EVENT, topic=allowed)).offset == 2
    assert (guest.delivery_statistics().acknowledged, guest.delivery_statistics().failed) == (3, 6)


@pytest.mark.kafka
async def test_a_killed_broker_fails_publishers_in_time(mortal_kafka: KafkaServer) -> None:
    """If the broker dies while publishing, the counts are reported, and closing ends."""
    bus = KafkaBus(mortal_kafka.bootstrap, delivery_timeout=3, request_timeout=2, close_timeout=1)
    begun = asyncio.Event()

    def endless() -> Iterator[ProducerRecord]:
        for number in range(10**9):
            yield ProducerRecord("stream", b"%d" % number, b"x" * 100, number, ())
            if number == 50_000:
                begun.set()

    publishing = asyncio.ensure_future(bus.publish_many(endless()))
    reader = bus.subscribe("stream", group="readers")
    async with asyncio.timeout(30):
        await begun.wait()
        await anext(reader)
    mortal_kafka.kill()
    with within(3 + 5), pytest.raises(DeliveryFailed, match="records acknowledged, ") as caught:
        await publishing
    with within(4 * 1 + 2):
        await bus.close()
    account = bus.delivery_statistics()
    assert account.in_flight == 0
    assert account.acknowledged >= caught.value.acknowledged
    assert caught.value.failed > 0


@pytest.mark.kafka
async def test_a_frozen_broker_is_waited_for_until_the_time_is_up(mortal_kafka: KafkaServer) -> None:
    """A broker that stops responding fails the record, and the bus works again once it is back."""
    async with KafkaBus(
        mortal_kafka.bootstrap, delivery_timeout=2, request_timeout=1, connect_timeout=3, close_timeout=1
    ) as bus:
        await bus.publish(EVENT)
        mortal_kafka.freeze()
        with within(2 + 2), pytest.raises(DeliveryFailed, match="did not acknowledge within 2 s"):
            await bus.publish(EVENT)
        mortal_kafka.thaw()
        assert (await bus.publish(EVENT)).offset >= 1
    assert bus.delivery_statistics().acknowledged == 2
